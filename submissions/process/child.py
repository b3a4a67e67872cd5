"""The parent's side of a model's process: start it, ask it, bound it, end it.

A child gets inputs over one pipe and answers over another; a third takes whatever it prints, of
which the end is kept for error messages. None is trusted: an answer has the size and shape that
was asked for and comes within the time limit, or the child is ended, with all processes of its
group. Memory is bounded by its address space (RLIMIT_AS): the only limit that needs no rights,
covers shared memory and mapped files as well, and makes an allocation fail in the child rather
than the machine run out. (A GPU build of torch maps gigabytes.) It holds for each process; what a
family of them holds is looked at while an answer is awaited.
"""

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

import numpy as np

from seqmem.errors import CellError, ModelMemoryError, SubmissionError
from seqmem.submissions.process.answer import Reading, Values, read_answer, read_on
from seqmem.submissions.process.family import family_size
from seqmem.submissions.process.launch import environment
from seqmem.submissions.process.limits import Limits, one_line, tell_ending
from seqmem.submissions.process.protocol import Header, write_frame

__all__ = ["Child"]

Buffers = Sequence[bytes | memoryview]

PIPE = 1 << 20  # bytes that a pipe holds, where the system allows
ENDING = 2.0  # seconds that the dying may take
LOOKS = 0.2  # seconds between two looks at what a process started
SANDBOX = 2  # processes that shut it in


class _BrokenError(Exception):
    """What a child did that ends it, as the end of a sentence about it."""


class Child:
    """A process that answers; on exit it is ended, with all of its group, and reaped.

    After it broke a rule or died, every further call raises the same error.
    """

    def __init__(self, command: Sequence[str], limits: Limits, *, threads: int = 1) -> None:
        """Take what is to be run; nothing is started yet.

        Args:
            command: is given two further arguments, the file descriptors of the pipes that requests
                come from and answers go to.
            limits: what holds for it.
            threads: for its arithmetic.
        """
        self._command, self._limits, self._threads = list(command), limits, threads
        self._process: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()
        self._requests = self._answers = self._output = self._exit = -1
        self._tail = b""
        self._serial = 0
        self._failure = "is not running"
        self._began = 0.0

    def __enter__(self) -> "Child":
        """Start it.

        Raises:
            SubmissionError: it cannot be started.
        """
        theirs: list[int] = []
        try:
            requests, self._requests = _pipe()
            theirs.append(requests)
            self._answers, answers = _pipe()
            theirs.append(answers)
            self._output, output = _pipe()
            theirs.append(output)
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                [*self._command, str(requests), str(answers)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(requests, answers),
                cwd="/",
                env=environment(self._threads),
                start_new_session=True,  # a group of its own, which Ctrl-C does not reach
            )
            for ours in (self._requests, self._answers, self._output):
                os.set_blocking(ours, False)
            self._selector.register(self._answers, selectors.EVENT_READ)
            self._selector.register(self._output, selectors.EVENT_READ)
            if hasattr(os, "pidfd_open"):  # tells of its end though others hold its pipes open
                self._exit = os.pidfd_open(self._process.pid)
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
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.close()

    @property
    def pid(self) -> int | None:
        """The process's id while it is there."""
        return None if self._process is None else self._process.pid

    def open(self, header: Header, payload: Buffers = ()) -> Header:
        """Let it load the model; give what it says of it.

        Raises:
            SubmissionError: it does not, in the time and memory it may have.
        """
        left = self._began + self._limits.start_seconds - time.monotonic()
        what = f"load the model within {self._limits.start_seconds:g} s"
        try:
            answer = self._exchange(header, payload, None, left, what)
        except CellError as error:
            raise SubmissionError(str(error)) from None
        if answer["answer"] == "failed":
            text = self._said(answer)
            if answer.get("kind") == "memory":
                text = f"the model does not load in {self._allowed_memory()}: {text}"
            raise SubmissionError(text)
        return answer

    def call(self, header: Header, payload: Buffers, shape: tuple[int, ...]) -> Values:
        """Ask for numbers.

        Args:
            header: what is asked.
            payload: the arrays that go with it.
            shape: of the answer, none of it 0.

        Raises:
            ModelMemoryError: it has not enough memory for that.
            CellError: the model fails, or the process died, did not answer in time, or answered
                something else.
        """
        target = np.empty(shape, np.float32)
        seconds = self._limits.call_seconds
        what = f"answer within {seconds:g} s"
        answer = self._exchange(header, payload, target, seconds, what)
        if answer["answer"] == "failed":
            if answer.get("kind") == "memory":
                raise ModelMemoryError(
                    f"the model ran out of memory: it may have {self._allowed_memory()}"
                )
            raise CellError(self._said(answer))
        return target

    def close(self) -> None:
        """End it and all of its group, and wait for its end; again does nothing."""
        self._failure = self._failure or "was closed"
        try:
            if self._process is not None:
                # Before it is reaped, as its id may be another's afterwards.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                self._process = None
                self._await_the_last()
        finally:
            self._selector.close()
            for descriptor in (self._requests, self._answers, self._output, self._exit):
                if descriptor >= 0:
                    os.close(descriptor)
            self._requests = self._answers = self._output = self._exit = -1

    def _await_the_last(self) -> None:
        """Wait until nobody holds the pipes: those that a sandbox kills end a little later."""
        deadline = time.monotonic() + ENDING
        while time.monotonic() < deadline:
            try:
                if not os.read(self._answers, PIPE):
                    return
            except BlockingIOError:
                time.sleep(0.005)

    def _exchange(
        self, header: Header, payload: Buffers, target: Values | None, seconds: float, what: str
    ) -> Header:
        """Send a request and give the header of the answer, its numbers in `target`."""
        if self._failure:
            raise CellError(f"the model's process {self._failure}")
        self._serial += 1
        size = sum(len(part) for part in payload)
        parts = [write_frame({**header, "serial": self._serial}, size), *payload]
        waiting = deque(memoryview(part).cast("B") for part in parts if len(part))
        try:
            return self._talk(waiting, read_answer(self._serial, target), seconds, what)
        except _BrokenError as broken:
            self._listen()
            self._fail(str(broken))
        except BaseException:  # Ctrl-C: what is on the pipes belongs to nobody
            self.close()
            raise

    def _talk(
        self,
        waiting: deque[memoryview],
        answer: Reading,
        seconds: float,
        what: str,
    ) -> Header:
        """Write, read and listen until the answer is there."""
        self._expect_silence("before it was asked")
        deadline = time.monotonic() + seconds
        looks = time.monotonic() + LOOKS
        room = next(answer)
        self._selector.register(self._requests, selectors.EVENT_WRITE)
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise _BrokenError(f"did not {what}, which is the limit")
                if time.monotonic() > looks:
                    self._look_at_family()
                    looks = time.monotonic() + LOOKS
                ready = {key.fd for key, _ in self._selector.select(min(left, LOOKS))}
                if self._output in ready:
                    self._listen(rounds=1)
                if waiting and self._requests in ready and self._write(waiting):
                    self._selector.unregister(self._requests)
                if self._answers in ready or self._exit in ready:
                    try:
                        room = read_on(self._answers, answer, room)
                    except StopIteration as end:
                        header: Header = end.value
                        break
                    except EOFError:
                        raise _BrokenError(self._how_it_ended()) from None
                    except ValueError as error:
                        raise _BrokenError(f"sent what is no answer: {error}") from None
                    if self._exit in ready:
                        raise _BrokenError(self._how_it_ended())
        finally:
            with suppress(KeyError):
                self._selector.unregister(self._requests)
        if waiting:
            raise _BrokenError("answered before it had read what was asked")
        self._expect_silence("after its answer")
        return header

    def _look_at_family(self) -> None:
        """Hold the process and its descendants to what they may take together."""
        assert self._process is not None
        most = self._limits.processes + SANDBOX
        count, size = family_size(self._process.pid, most + 1)
        if count > most:
            raise _BrokenError(f"started more than {self._limits.processes} processes")
        if size > self._limits.memory_bytes:
            raise _BrokenError(f"held, with what it started, more than {self._allowed_memory()}")

    def _write(self, waiting: deque[memoryview]) -> bool:
        """Write what fits into the pipe; tell whether that was all."""
        try:
            while waiting:
                waiting[0] = waiting[0][os.write(self._requests, waiting[0]) :]
                if not waiting[0]:
                    waiting.popleft()
        except BlockingIOError:
            return False
        except BrokenPipeError:
            raise _BrokenError(self._how_it_ended()) from None
        return True

    def _expect_silence(self, when: str) -> None:
        """Make sure that nothing waits on the pipe of answers."""
        with suppress(BlockingIOError):
            if os.read(self._answers, 1):
                raise _BrokenError(f"sent more than an answer, {when}")

    def _listen(self, rounds: int = 64) -> None:
        """Take what it prints, and keep the end of it."""
        with suppress(BlockingIOError):
            for _ in range(rounds):
                text = os.read(self._output, PIPE)
                if not text:
                    with suppress(KeyError):
                        self._selector.unregister(self._output)
                    return
                self._tail = (self._tail + text)[-self._limits.tail_bytes :]

    def _how_it_ended(self) -> str:
        """Say how the process ended, or that it goes on without its pipes."""
        assert self._process is not None
        deadline = time.monotonic() + ENDING / 2
        while hasattr(os, "waitid") and time.monotonic() < deadline:
            # Not reaped: its id stays its own, and that of its group, until they are killed.
            options = os.WEXITED | os.WNOWAIT | os.WNOHANG
            end = os.waitid(os.P_PID, self._process.pid, options)
            if end is not None:
                status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
                return tell_ending(status, self._limits)
            time.sleep(0.01)
        return "closed its pipes"

    def _fail(self, failure: str) -> NoReturn:
        """End the process and remember why."""
        printed = one_line(self._tail.decode("utf-8", "replace")[-300:])
        self._failure = failure + (f"; it had printed, at the end: '{printed}'" if printed else "")
        self.close()
        raise CellError(f"the model's process {self._failure}")

    def _said(self, answer: Header) -> str:
        message = answer.get("message")
        return one_line(message, 600) if isinstance(message, str) else "the model failed"

    def _allowed_memory(self) -> str:
        return f"{self._limits.memory_bytes / (1 << 20):,.0f} MiB of memory"


def _pipe() -> tuple[int, int]:
    """Make a pipe that holds much, so that large answers need few turns."""
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than the system's limit
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    return reading, writing
