"""The parent's side of a model's process: start it, ask it, bound it, end it.

A child gets inputs over one pipe and answers over another; a third takes whatever it prints, of
which the end is kept for error messages. None is trusted: an answer has the size and shape that
was asked for and comes within the time limit, or the child is ended, with all processes of its
group. Memory is bounded by its address space (RLIMIT_AS): the only limit that needs no rights,
covers shared memory and mapped files as well, and makes an allocation fail in the child rather
than the machine run out. It holds for each process; a GPU build of torch maps gigabytes.
"""

import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import numpy as np
import numpy.typing as npt

import seqmem
from seqmem.baselines.adapters.protocol import (
    MARK,
    PREFIX,
    Header,
    read_header,
    read_prefix,
    write_frame,
)
from seqmem.errors import CellError, ModelMemoryError, SubmissionError

__all__ = ["Child", "Limits", "import_path", "one_line", "package_root", "worker_command"]

Values = npt.NDArray[np.float32]
Buffers = Sequence[bytes | memoryview]

PIPE = 1 << 20  # bytes that a pipe holds, where the system allows
ENDING = 2.0  # seconds that the dying may take
# What a child is told of the environment, where it is set.
ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY", "TZ")
# Finds this package wherever it is, whatever the name of its folder, and without running what is
# installed beside it (.pth files).
_BOOT = """
import importlib.util, json, sys
settings = json.loads(sys.argv[1])
sys.path += [place for place in settings["path"] if place not in sys.path]
spec = importlib.util.spec_from_file_location(
    "seqmem", settings["root"] + "/__init__.py", submodule_search_locations=[settings["root"]]
)
sys.modules["seqmem"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["seqmem"])
from seqmem.baselines.adapters.worker import main
main(settings["limits"], int(sys.argv[2]), int(sys.argv[3]))
"""


@dataclass(frozen=True)
class Limits:
    """What a model's process may take.

    Attributes:
        memory_bytes: address space of each of its processes.
        start_seconds: until the model is loaded.
        call_seconds: for each answer.
        cpu_seconds: processor time of each of its processes, over its life.
        open_files: files open at once.
        tail_bytes: how much of what it prints is kept.
    """

    memory_bytes: int = 8 << 30
    start_seconds: float = 120.0
    call_seconds: float = 300.0
    cpu_seconds: int = 24 * 3600
    open_files: int = 256
    tail_bytes: int = 4096


def package_root() -> Path:
    """Give the folder of this package."""
    return Path(seqmem.__file__).resolve().parent


def import_path() -> list[str]:
    """Give the folders that this process imports from, the current one left out."""
    return [place for place in sys.path if place and os.path.isdir(place)]


def worker_command(limits: Limits, path: Sequence[str] | None = None) -> list[str]:
    """Give the command that runs worker.py.

    Args:
        limits: what it may take; it binds itself before it reads anything.
        path: where it imports from, besides the standard library; None: as this process does.
    """
    settings = {
        "root": str(package_root()),
        "path": import_path() if path is None else list(path),
        "limits": asdict(limits),
    }
    # Isolated: nothing from environment variables, the user's folder or the current one.
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", "-B", "-u", "-c", _BOOT, json.dumps(settings)]


def one_line(text: str, most: int = 300) -> str:
    """Make text from a stranger fit for a message: one line, no control characters, not long."""
    clean = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


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
                env=_environment(self._threads),
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
            return self._talk(waiting, _answer(self._serial, target), seconds, what)
        except _BrokenError as broken:
            self._listen()
            self._fail(str(broken))
        except BaseException:  # Ctrl-C: what is on the pipes belongs to nobody
            self.close()
            raise

    def _talk(
        self,
        waiting: deque[memoryview],
        answer: Generator[memoryview, int, Header],
        seconds: float,
        what: str,
    ) -> Header:
        """Write, read and listen until the answer is there."""
        self._expect_silence("before it was asked")
        deadline = time.monotonic() + seconds
        room = next(answer)
        self._selector.register(self._requests, selectors.EVENT_WRITE)
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise _BrokenError(f"did not {what}, which is the limit")
                ready = {key.fd for key, _ in self._selector.select(left)}
                if self._output in ready:
                    self._listen(rounds=1)
                if waiting and self._requests in ready and self._write(waiting):
                    self._selector.unregister(self._requests)
                if self._answers in ready or self._exit in ready:
                    try:
                        room = _read(self._answers, answer, room)
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
                return _ending(status, self._limits)
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
        return f"{self._limits.memory_bytes / (1 << 20):,.0f} MiB of address space"


def _answer(serial: int, target: Values | None) -> Generator[memoryview, int, Header]:
    """Read one answer: give what is to be filled next, be told how much was, return the header.

    Raises:
        ValueError: it is not what was asked for.
    """
    prefix = memoryview(bytearray(PREFIX.size))
    yield from _fill(prefix[: len(MARK)])
    if prefix[: len(MARK)] != MARK:  # said before it is known how much else there will be
        raise ValueError(f"it begins with {prefix[: len(MARK)].tobytes()!r}")
    yield from _fill(prefix[len(MARK) :])
    length, size = read_prefix(prefix.tobytes())
    text = bytearray(length)
    yield from _fill(memoryview(text))
    header = read_header(bytes(text))
    if header.get("serial") != serial:
        raise ValueError("it answers another request")
    wanted: tuple[object, ...] = (None, "ready", None)
    if target is not None:
        wanted = (list(target.shape), "outputs", "float32")
    found = (header.get("shape"), header.get("answer"), header.get("dtype"))
    expected = 0 if target is None else target.nbytes
    if found[1] == "failed":
        wanted, expected = found, 0
    if found != wanted or size != expected:
        given = one_line(f"{found[1]} of shape {found[0]} and dtype {found[2]}", 120)
        raise ValueError(
            f"it announces {given} in {size:,} bytes, where {wanted[1]} of shape {wanted[0]} and "
            f"dtype {wanted[2]} in {expected:,} bytes were asked for"
        )
    if target is not None and size:
        yield from _fill(target.data.cast("B"))
    return header


def _fill(view: memoryview) -> Generator[memoryview, int, None]:
    while len(view):
        view = view[(yield view) :]


def _read(
    descriptor: int, answer: Generator[memoryview, int, Header], room: memoryview
) -> memoryview:
    """Read what is there of an answer; give what is to be filled next.

    Raises:
        StopIteration: all is there.
        EOFError: the other end was closed.
    """
    while True:
        try:
            got = os.readv(descriptor, [room])
        except BlockingIOError:
            return room
        if got == 0:
            raise EOFError
        room = answer.send(got)


def _pipe() -> tuple[int, int]:
    """Make a pipe that holds much, so that large answers need few turns."""
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):  # more than the system's limit
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    return reading, writing


def _environment(threads: int) -> dict[str, str]:
    """Give the environment of a child: nothing of the user's but what is listed."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return kept | dict.fromkeys(names, str(threads)) | {"PATH": os.defpath, "HOME": "/tmp"}


def _ending(status: int, limits: Limits) -> str:
    """Say what a status means: below 0 a signal, as above 128 where bwrap stands between."""
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"ended by itself, with status {status}"
    hint = {
        "SIGKILL": ", as happens when memory runs out",
        "SIGXCPU": f": it used more than {limits.cpu_seconds:,} s of processor time",
    }
    return f"was killed by {name}{hint.get(name, '')}"
