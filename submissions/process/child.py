"""A model's process as its parent sees it: start, requests and answers, limits, end.

The child reads requests from one pipe and writes answers to another; a third takes whatever it
prints, of which the end is stored for error messages. The child is not trusted: unless an answer
has the requested size and shape and comes within the time limit, the child and all processes of its
group are killed. Memory is limited by the address space (RLIMIT_AS). It is the only limit that
needs no privileges, covers shared memory and mapped files, and makes an allocation fail in the
child before the machine runs out of memory. (A GPU build of torch maps gigabytes.) It limits each
process; the memory of all of them together is checked while an answer is awaited.
"""

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from seqmem.errors import CellError, ModelMemoryError, SubmissionError
from seqmem.lifetime import temporary_folder
from seqmem.submissions.process.launch import worker_environment
from seqmem.submissions.process.limits import Limits, describe_exit, one_line, tree_usage
from seqmem.submissions.process.protocol import MARK, Header, check_answer, read_frame, write_frame

__all__ = ["Child"]

Buffers = Sequence[bytes | memoryview]
Outputs = npt.NDArray[np.float32]

PIPE = 1 << 20  # bytes that a pipe holds, where the system allows
ENDING = 2.0  # seconds until a killed process has ended
CHECK_INTERVAL = 0.2  # seconds between two checks of the process tree
SANDBOX = 2  # processes of bubblewrap itself


class _BrokenError(Exception):
    """Why a child is ended, as the end of a sentence about it."""


class Child:
    """A process that answers requests; a context manager that kills it and its group on exit.

    After the process broke a rule or died, every further call raises the same error.
    """

    def __init__(
        self, command: Sequence[str], limits: Limits, *, threads: int = 1, cwd: str | None = None
    ) -> None:
        """Configure the process; `__enter__` starts it.

        Args:
            command: its command line, to which the file descriptors of two pipes are appended: the
                one to read requests from, and the one to write answers to.
            limits: its limits.
            threads: number of threads for its arithmetic.
            cwd: its working directory; None: an empty folder, removed when the process ends.
        """
        self._command, self._limits, self._threads = list(command), limits, threads
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._open = ExitStack()  # closes the selector and this process's ends of the pipes
        self._selector = self._open.enter_context(selectors.DefaultSelector())
        self._requests = self._answers = self._output = self._exit = -1
        self._tail = b""
        self._serial = 0
        self._failure = "is not running"
        self._began = self._deadline = self._next_check = 0.0
        self._task = ""

    def __enter__(self) -> "Child":
        """Start the process.

        Raises:
            SubmissionError: it cannot be started.
        """
        try:
            with ExitStack() as theirs:
                requests, self._requests = _pipe(theirs, self._open)
                self._answers, answers = _pipe(self._open, theirs)
                self._output, output = _pipe(self._open, theirs)
                self._began = time.monotonic()
                cwd = self._cwd or self._open.enter_context(temporary_folder())
                self._process = subprocess.Popen(
                    [*self._command, str(requests), str(answers)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(requests, answers),
                    cwd=cwd,
                    env=worker_environment(self._threads),
                    start_new_session=True,  # a group of its own, which Ctrl-C does not reach
                )
            for ours in (self._requests, self._answers, self._output):
                os.set_blocking(ours, False)
            self._selector.register(self._output, selectors.EVENT_READ)
            if hasattr(os, "pidfd_open"):  # reports its end even if others hold its pipes open
                self._exit = os.pidfd_open(self._process.pid)
                self._open.callback(os.close, self._exit)
                self._selector.register(self._exit, selectors.EVENT_READ)
            self._failure = ""
        except OSError as error:
            self.close()
            raise SubmissionError(
                f"the model's process cannot be started: {one_line(str(error))}"
            ) from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        """Kill the process and its group."""
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id; None while there is no process."""
        return None if self._process is None else self._process.pid

    def open(self, header: Header, payload: Buffers = ()) -> Header:
        """Let the process load the model; return what it reports about the model.

        Raises:
            SubmissionError: the model does not load within the limits of time and memory.
        """
        left = self._began + self._limits.start_seconds - time.monotonic()
        task = f"load the model within {self._limits.start_seconds:g} s"
        try:
            answer = self._exchange(header, payload, None, left, task)
        except CellError as error:
            raise SubmissionError(str(error)) from None
        if answer["answer"] == "failed":
            text = _error_message(answer)
            if answer.get("kind") == "memory":
                text = f"the model does not load in {self._memory_limit()}: {text}"
            raise SubmissionError(text)
        return answer

    def call(self, header: Header, payload: Buffers, shape: tuple[int, ...]) -> Outputs:
        """Return the outputs requested.

        Args:
            header: the request.
            payload: the arrays that belong to it.
            shape: the shape of the outputs, without zeros.

        Raises:
            ModelMemoryError: it has too little memory for this request.
            CellError: the model fails, or the process died, did not answer in time, or sent
                an invalid answer.
        """
        target = np.empty(shape, np.float32)
        seconds = self._limits.call_seconds
        answer = self._exchange(header, payload, target, seconds, f"answer within {seconds:g} s")
        if answer["answer"] == "failed":
            if answer.get("kind") == "memory":
                raise ModelMemoryError(
                    f"the model ran out of memory: its limit is {self._memory_limit()}"
                )
            raise CellError(_error_message(answer))
        return target

    def fetch(self, header: Header, payload: Buffers, most: int) -> bytearray:
        """Return data of a length that the process chooses.

        Args:
            header: the request.
            payload: the data that belong to it.
            most: the most bytes that are accepted.

        Raises:
            SubmissionError: the model fails.
            CellError: the process died, did not answer in time, or sent an invalid answer.
        """
        seconds = self._limits.call_seconds
        data = bytearray()
        answer = self._exchange(
            header, payload, data, seconds, f"answer within {seconds:g} s", most
        )
        if answer["answer"] == "failed":
            raise SubmissionError(_error_message(answer))
        return data

    def close(self) -> None:
        """Kill the process and its group, and wait for their end; a second call does nothing."""
        self._failure = self._failure or "was closed"
        with self._open:
            if self._process is not None:
                # Before it is reaped: afterwards its id may be another process's.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                process, self._process = self._process, None
                process.wait()
                self._await_closed_pipe()

    def _await_closed_pipe(self) -> None:
        """Wait until no process holds the pipe: those in a sandbox end a little later."""
        deadline = time.monotonic() + ENDING
        while time.monotonic() < deadline:
            try:
                if not os.read(self._answers, PIPE):
                    return
            except BlockingIOError:
                time.sleep(0.005)

    def _exchange(
        self,
        header: Header,
        payload: Buffers,
        target: Outputs | bytearray | None,
        seconds: float,
        task: str,
        most: int | None = None,
    ) -> Header:
        """Send a request; return the header of the answer, and store its payload in `target`.

        Args:
            header: of the request.
            payload: of the request.
            target: the array for outputs; empty, for data; None for an answer without payload.
            seconds: the time limit.
            task: what has to happen within that time, for the error message.
            most: the most bytes of data.
        """
        if self._failure:
            raise CellError(f"the model's process {self._failure}")
        self._serial += 1
        self._deadline, self._task = time.monotonic() + seconds, task
        self._next_check = time.monotonic() + CHECK_INTERVAL
        size = sum(len(part) for part in payload)
        frame = write_frame({**header, "serial": self._serial}, size)
        try:
            self._expect_no_data("before the request")
            for part in (frame, *payload):
                self._write(memoryview(part))
            answer = self._answer(target, most)
            self._expect_no_data("after its answer")
        except _BrokenError as broken:
            self._fail(str(broken))
        except BaseException:  # Ctrl-C: the data in the pipes belong to no request
            self.close()
            raise
        return answer

    def _answer(self, target: Outputs | bytearray | None, most: int | None) -> Header:
        shape = target.shape if isinstance(target, np.ndarray) else None
        try:
            header, size = read_frame(self._read)
            check_answer(header, size, self._serial, shape, most)
        except ValueError as error:
            raise _BrokenError(f"sent an invalid answer: {error}") from None
        if isinstance(target, np.ndarray) and size:
            self._fill(target.data.cast("B"))
        elif isinstance(target, bytearray):
            target += self._read(size)
        return header

    def _write(self, data: memoryview) -> None:
        while data:
            with self._watching(self._answers):
                ready = self._wait_for(self._requests, selectors.EVENT_WRITE)
            if self._answers in ready:
                self._refuse_early_answer()
            try:
                data = data[os.write(self._requests, data) :]
            except BrokenPipeError:
                raise _BrokenError(self._how_it_ended()) from None

    def _refuse_early_answer(self) -> NoReturn:
        """Report what came before the whole request was sent: an answer, garbage or an end."""
        mark = os.read(self._answers, len(MARK))
        if not mark:
            raise _BrokenError(self._how_it_ended())
        if mark != MARK:
            raise _BrokenError(f"sent an invalid answer: it begins with {mark!r}")
        raise _BrokenError("answered before it had read the request")

    @contextmanager
    def _watching(self, pipe: int) -> Iterator[None]:
        self._selector.register(pipe, selectors.EVENT_READ)
        try:
            yield
        finally:
            self._selector.unregister(pipe)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        self._fill(memoryview(data))
        return data

    def _fill(self, room: memoryview) -> None:
        while room:
            self._wait_for(self._answers, selectors.EVENT_READ)
            received = os.readv(self._answers, [room])
            if received == 0:
                raise _BrokenError(self._how_it_ended())
            room = room[received:]

    def _wait_for(self, pipe: int, event: int) -> set[int]:
        """Wait until a pipe is ready, or another that is watched; return those that are.

        Meanwhile read what the process prints, and check its limits.
        """
        self._selector.register(pipe, event)
        try:
            while True:
                now = time.monotonic()
                if now >= self._deadline:
                    raise _BrokenError(f"did not {self._task}, which is the limit")
                if now >= self._next_check:
                    self._check_tree()
                    self._next_check = now + CHECK_INTERVAL
                wait = min(self._deadline - now, CHECK_INTERVAL)
                ready = {key.fd for key, _ in self._selector.select(wait)}
                if self._output in ready:
                    self._read_output(rounds=1)
                if ready & {pipe, self._answers}:
                    return ready
                if self._exit in ready:
                    raise _BrokenError(self._how_it_ended())
        finally:
            self._selector.unregister(pipe)

    def _check_tree(self) -> None:
        """Check the process and its descendants together against the limits."""
        assert self._process is not None
        most = self._limits.processes + SANDBOX
        count, size = tree_usage(self._process.pid, most + 1)
        if count > most:
            raise _BrokenError(f"started more than {self._limits.processes} processes")
        if size > self._limits.memory_bytes:
            raise _BrokenError(f"used, with all that it started, more than {self._memory_limit()}")

    def _expect_no_data(self, when: str) -> None:
        """Check that the pipe of answers is empty."""
        with suppress(BlockingIOError):
            if os.read(self._answers, 1):
                raise _BrokenError(f"sent more than an answer, {when}")

    def _read_output(self, rounds: int = 64) -> None:
        """Read what the process has printed, and store the end of it."""
        with suppress(BlockingIOError):
            for _ in range(rounds):
                text = os.read(self._output, PIPE)
                if not text:
                    with suppress(KeyError):
                        self._selector.unregister(self._output)
                    return
                self._tail = (self._tail + text)[-self._limits.tail_bytes :]

    def _how_it_ended(self) -> str:
        """Return how the process ended, or that it still runs without its pipes."""
        assert self._process is not None
        deadline = time.monotonic() + ENDING / 2
        while hasattr(os, "waitid") and time.monotonic() < deadline:
            # Not reaped: its id, and its group's, stay reserved until the group is killed.
            options = os.WEXITED | os.WNOWAIT | os.WNOHANG
            end = os.waitid(os.P_PID, self._process.pid, options)
            if end is not None:
                status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
                return describe_exit(status, self._limits)
            time.sleep(0.01)
        return "closed its pipes"

    def _fail(self, failure: str) -> NoReturn:
        """Kill the process, and store and raise the reason."""
        self._read_output()
        printed = one_line(self._tail.decode("utf-8", "replace")[-300:])
        self._failure = failure + (f"; the end of its output: '{printed}'" if printed else "")
        self.close()
        raise CellError(f"the model's process {self._failure}")

    def _memory_limit(self) -> str:
        return f"{self._limits.memory_bytes / (1 << 20):,.0f} MiB of memory"


def _error_message(answer: Header) -> str:
    message = answer.get("message")
    return one_line(message, 600) if isinstance(message, str) else "the model failed"


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """Return a pipe, whose ends the stacks close; large, for few system calls an answer."""
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than the system allows
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    return reading, writing
