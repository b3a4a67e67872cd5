"""The program in a model's process: it loads one model, then answers requests about it.

It sets its own limits before it reads anything, and imports numpy and torch only where the format
needs them. An error of the model is reported in an answer; the process continues.
"""

import os
import resource
import select
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from seqmem.errors import CellError, InputError
from seqmem.submissions.process.protocol import Header, read_frame, write_frame
from seqmem.submissions.process.seccomp import deny_system_calls

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    # (B, L) int64 or (B, L, D) float32 inputs, (m,) rows, (m,) columns -> (m, outputs)
    OutputsAt = Callable[[Array, npt.NDArray[np.int64], npt.NDArray[np.int64]], Array]
    # The same with (B, S) states, None at the start -> outputs, and the states after the inputs
    ReadOn = Callable[
        [Array, npt.NDArray[np.int64], npt.NDArray[np.int64], Array | None], tuple[Array, Array]
    ]

__all__ = ["FORMATS", "ModelFormat", "Opened", "main"]

MESSAGE = 2000  # characters of an error that are reported
MEMORY = ("can't allocate memory", "not enough memory", "failed to allocate memory", "bad_alloc")


@dataclass(frozen=True)
class ModelFormat:
    """A format of models.

    Attributes:
        opener: ``module:function``, called with the request and the file's bytes; it returns the
            fields of `Opened`.
        runs_code: whether opening a model runs code of its own, so that it needs a sandbox.
    """

    opener: str
    runs_code: bool


class Opened(NamedTuple):
    """What an opener returns.

    Attributes:
        outputs_at: from inputs and positions to outputs.
        facts: facts about the model, as values of JSON.
        others: what else can be asked: from a payload to an array.
        read_on: for models that carry states: from inputs, positions and states to outputs and
            the states after the inputs.
        readout: where the former two return features: from these (m, H) to outputs (m, V). The
            facts then have "features", H.
    """

    outputs_at: "OutputsAt"
    facts: Mapping[str, Any]
    others: "Mapping[str, Callable[[bytearray], Array]]" = MappingProxyType({})
    read_on: "ReadOn | None" = None
    readout: "Callable[[Array], Array] | None" = None


FORMATS: Mapping[str, ModelFormat] = {
    "onnx": ModelFormat("seqmem.submissions.onnx.file:open_onnx", runs_code=False),
    "hugging face": ModelFormat(
        "seqmem.submissions.hugging_face.loading:open_folder", runs_code=False
    ),
    "python": ModelFormat("seqmem.submissions.python_factory:open_factory", runs_code=True),
}


def main(limits: Mapping[str, Any], requests: int, answers: int) -> None:
    """Answer requests until the pipe is closed.

    Args:
        limits: the fields of `Limits`.
        requests: the file descriptor to read requests from.
        answers: the file descriptor to write answers to.
    """
    _set_limits(limits)
    deny_system_calls()
    tempfile.tempdir = "/tmp"  # set here, as torch asks for it and no trial file can be written
    _end_with_parent(requests)
    opened: Opened | None = None
    while True:
        try:
            header, size = read_frame(partial(_read, requests))
            payload = _read(requests, size)
        except EOFError:
            return
        answer: dict[str, Any]
        body: list[Array] = []
        try:
            if opened is None:
                opened = _open(header, payload)
                answer = {"answer": "ready", **opened.facts}
            elif "ask" in header:
                body = [opened.others[header["ask"]](payload)]
                answer = {"answer": "data"}
            else:
                body = _outputs(opened, header, payload)
                answer = {"answer": "outputs", "shape": _shape(body), "dtype": "float32"}
        except BaseException as error:  # SystemExit, and panics of libraries written in Rust
            answer = {"answer": "failed", **_reason(error)}
        del payload
        _send(answers, {**answer, "serial": header["serial"]}, body)


def _open(header: Header, payload: bytearray) -> Opened:
    module, _, name = FORMATS[header["format"]].opener.partition(":")
    return Opened(*getattr(import_module(module), name)(header, payload))


def _outputs(opened: Opened, header: Header, payload: bytearray) -> "list[Array]":
    """Return the outputs for a request, or features, checked to be as many floats as requested.

    If it carries states, also the states after the inputs.
    """
    import numpy as np

    shape, kind = tuple(header["shape"]), np.dtype(header["dtype"])
    size = int(np.prod(shape))
    inputs = np.frombuffer(payload, kind, size).reshape(shape)
    if header.get("readout"):
        assert opened.readout is not None
        return [np.ascontiguousarray(opened.readout(inputs), np.float32)]
    offset = size * kind.itemsize
    carried = tuple(header.get("carried", (0, 0)))
    states = np.frombuffer(payload, np.float32, int(np.prod(carried)), offset).reshape(carried)
    rows, columns = np.frombuffer(payload, np.int64, offset=offset + states.nbytes).reshape(2, -1)
    after: list[Array] = []
    if "carried" in header and opened.read_on is not None:
        before = states if len(states) else None
        outputs, *after = opened.read_on(inputs, rows, columns, before)
    else:
        outputs = opened.outputs_at(inputs, rows, columns)
    if outputs.dtype.kind != "f":
        raise CellError(f"the model's outputs are {outputs.dtype}; they must be floats")
    if outputs.ndim != 2 or len(outputs) != len(rows) or outputs.shape[1] != header["outputs"]:
        raise CellError(
            f"the model returned {outputs.shape[1:]} outputs for each input, the task requires "
            f"({header['outputs']},)"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        return [np.ascontiguousarray(part, np.float32) for part in (outputs, *after)]


def _shape(body: "list[Array]") -> list[int]:
    """Return the shape of outputs; with states after them, the number of all floats."""
    return [*body[0].shape] if len(body) == 1 else [sum(part.size for part in body)]


def _reason(error: BaseException) -> dict[str, str]:
    """Return the kind and the message of an error for an answer."""
    text = str(error)
    memory = isinstance(error, MemoryError) or any(part in text.lower() for part in MEMORY)
    if not isinstance(error, InputError | CellError):
        text = f"the model failed: {type(error).__name__}: {text}"
    return {"kind": "memory" if memory else "model", "message": text[:MESSAGE]}


def _set_limits(limits: Mapping[str, Any]) -> None:
    """Set the limits of this process; without privileges it cannot raise them again."""
    bounds = {
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_CPU: limits["cpu_seconds"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, wanted in bounds.items():
        _, allowed = resource.getrlimit(kind)
        if allowed != resource.RLIM_INFINITY:
            wanted = min(wanted, allowed)
        # SIGXCPU comes first, and SIGKILL, which cannot be ignored, two seconds later.
        spare = 2 if kind == resource.RLIMIT_CPU and wanted != allowed else 0
        resource.setrlimit(kind, (wanted, wanted + spare))


def _end_with_parent(requests: int) -> None:
    """End this process when its parent has ended, even while it computes an answer."""

    def watch() -> None:
        poll = select.poll()
        poll.register(requests, 0)  # reports only that the other end was closed
        poll.poll()
        os.killpg(0, signal.SIGKILL)  # the group of this process, created by its parent

    threading.Thread(target=watch, daemon=True).start()


def _read(pipe: int, size: int) -> bytearray:
    """Return the next bytes of a pipe.

    Raises:
        EOFError: the other end was closed before that.
    """
    data = bytearray(size)
    room = memoryview(data)
    while room:
        received = os.readv(pipe, [room])
        if received == 0:
            raise EOFError("the pipe was closed")
        room = room[received:]
    return data


def _send(answers: int, header: Header, body: "list[Array]") -> None:
    parts = [memoryview(write_frame(header, sum(part.nbytes for part in body)))]
    parts += [part.data.cast("B") for part in body if part.nbytes]
    for part in parts:
        while part:
            part = part[os.write(answers, part) :]
