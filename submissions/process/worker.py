"""What runs in a model's process: it loads one model, then gives outputs where it is asked to.

It binds itself to its limits before it reads anything. Of numpy and torch no more is imported than
the format needs. Whatever goes wrong with the model is told in an answer; the process lives on.
"""

import os
import resource
import select
import signal
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from seqmem.errors import CellError, InputError
from seqmem.submissions.process.protocol import (
    PREFIX,
    Header,
    read_exactly,
    read_header,
    read_prefix,
    write_frame,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    # (B, L) int64 or (B, L, D) float32 inputs, (m,) rows, (m,) columns -> (m, outputs)
    Opened = Callable[[Array, npt.NDArray[np.int64], npt.NDArray[np.int64]], Array]

__all__ = ["FORMATS", "Format", "main"]

MESSAGE = 2000  # characters of an error that are passed on
MEMORY = ("can't allocate memory", "not enough memory", "failed to allocate memory", "bad_alloc")


@dataclass(frozen=True)
class Format:
    """A kind of model.

    Attributes:
        opener: ``module:function``. One that gives full outputs is called with the file's bytes and
            the number of threads, and gives a function from inputs to outputs (B, L, V); any other
            with the request, and gives a function that takes positions as well.
        runs_code: whether to open it is to run what it says, so that it must be shut in.
        full_outputs: which of the two.
    """

    opener: str
    runs_code: bool
    full_outputs: bool


FORMATS: Mapping[str, Format] = {
    "onnx": Format("seqmem.submissions.onnx.file:open_onnx", runs_code=False, full_outputs=True),
    "python": Format(
        "seqmem.submissions.python_factory:open_factory", runs_code=True, full_outputs=False
    ),
}


def main(limits: Mapping[str, Any], requests: int, answers: int) -> None:
    """Serve until the requests end.

    Args:
        limits: the fields of `Limits`.
        requests: the file descriptor that requests come from.
        answers: the one that answers go to.
    """
    _bind(limits)
    tempfile.tempdir = "/tmp"  # named here, as torch asks for it and a trial file cannot be written
    _end_with_parent(requests)
    opened: Opened | None = None
    while True:
        try:
            header, payload = _receive(requests)
        except EOFError:
            return
        answer: dict[str, Any]
        body: Array | None = None
        try:
            if opened is None:
                opened, facts = _open(header, payload)
                answer = {"answer": "ready", **facts}
            else:
                body = _outputs(opened, header, payload)
                answer = {"answer": "outputs", "shape": list(body.shape), "dtype": "float32"}
        except (Exception, SystemExit) as error:
            answer = {"answer": "failed", **_reason(error)}
        del payload
        _send(answers, {**answer, "serial": header["serial"]}, body)


def _open(header: Header, payload: bytearray) -> "tuple[Opened, dict[str, Any]]":
    form = FORMATS[header["format"]]
    module, _, name = form.opener.partition(":")
    opener: Callable[..., Any] = getattr(import_module(module), name)
    if form.full_outputs:
        model = opener(bytes(payload), header["threads"])
        return _full_outputs(model), model.facts
    opened, facts = opener(header)
    return opened, facts


def _full_outputs(model: "Callable[[Array], Array]") -> "Opened":
    """Let a model that gives outputs everywhere give them where they are asked for."""

    def outputs_at(
        inputs: "Array", rows: "npt.NDArray[np.int64]", columns: "npt.NDArray[np.int64]"
    ) -> "Array":
        outputs = model(inputs)
        if outputs.ndim != 3 or outputs.shape[:2] != inputs.shape[:2]:
            raise CellError(
                f"for inputs of shape {inputs.shape} the model gave outputs of shape "
                f"{outputs.shape}; the first two must be the same"
            )
        chosen: Array = outputs[rows, columns]
        return chosen

    return outputs_at


def _outputs(opened: "Opened", header: Header, payload: bytearray) -> "Array":
    """Let the model answer; hold it to the number of outputs, as floats."""
    import numpy as np

    shape, kind = tuple(header["shape"]), np.dtype(header["dtype"])
    size = int(np.prod(shape)) * kind.itemsize
    inputs = np.frombuffer(payload, kind, int(np.prod(shape))).reshape(shape)
    rows, columns = np.frombuffer(payload, np.int64, offset=size).reshape(2, -1)
    outputs = opened(inputs, rows, columns)
    if outputs.dtype.kind != "f":
        raise CellError(f"the model's outputs are {outputs.dtype}; floats are asked for")
    if outputs.ndim != 2 or len(outputs) != len(rows) or outputs.shape[1] != header["outputs"]:
        raise CellError(
            f"the model gave {outputs.shape[1:]} outputs for each input, the task asks for "
            f"({header['outputs']},)"
        )
    with np.errstate(over="ignore"):  # too large for float32 is infinite, which is found later
        return np.ascontiguousarray(outputs, np.float32)


def _reason(error: BaseException) -> dict[str, str]:
    """Tell what went wrong, in the user's terms where there are some."""
    text = str(error)
    memory = isinstance(error, MemoryError) or any(part in text.lower() for part in MEMORY)
    if not isinstance(error, InputError | CellError):
        text = f"the model failed: {type(error).__name__}: {text}"
    return {"kind": "memory" if memory else "model", "message": text[:MESSAGE]}


def _bind(limits: Mapping[str, Any]) -> None:
    """Take on the limits for good: no unprivileged process can raise them again."""
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
        # Processor time ends with a signal that says so, and soon after with one that cannot be
        # ignored.
        spare = 2 if kind == resource.RLIMIT_CPU and wanted != allowed else 0
        resource.setrlimit(kind, (wanted, wanted + spare))


def _end_with_parent(requests: int) -> None:
    """End this process when nobody is left to ask it, even in the midst of an answer."""

    def watch() -> None:
        poll = select.poll()
        poll.register(requests, 0)  # only that the other end was closed
        poll.poll()
        os.killpg(0, signal.SIGKILL)  # the group that was made for this process

    threading.Thread(target=watch, daemon=True).start()


def _receive(requests: int) -> tuple[Header, bytearray]:
    length, size = read_prefix(bytes(read_exactly(requests, PREFIX.size)))
    header = read_header(bytes(read_exactly(requests, length)))
    return header, read_exactly(requests, size)


def _send(answers: int, header: Header, body: "Array | None") -> None:
    parts = [memoryview(write_frame(header, 0 if body is None else body.nbytes))]
    if body is not None and body.nbytes:
        parts.append(body.data.cast("B"))
    for part in parts:
        while part:
            part = part[os.write(answers, part) :]
