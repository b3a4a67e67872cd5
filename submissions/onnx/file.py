"""Run an ONNX file: (B, L) ids or (B, L, D) vectors in, (B, L, V) float32 out; and its states.

Every message of the file is checked, and what was checked is written anew for the runtime, which
never sees the file: it cannot read it in another way, and there is no folder in which it could
look for other files. Memory and time are not limited here: an untrusted file needs a process with
limits.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from seqmem.errors import SubmissionError
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.check import check_model
from seqmem.submissions.onnx.readout import cut_readout
from seqmem.submissions.onnx.rewrite import halves_to_float32, prepare
from seqmem.submissions.onnx.signature import Signature, read_signature
from seqmem.submissions.onnx.states import StateError, packed, unpacked
from seqmem.submissions.onnx.structure import named, parse_onnx, refuse
from seqmem.submissions.process.worker import Opened

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["OnnxModel", "open_onnx", "read_onnx"]

LARGEST = (1 << 31) - 1  # bytes of a file, the limit of protobuf
# Where in the runtime's own code an error was raised, in its messages: a file, and a function.
PLACE = re.compile(r"\[ONNXRuntimeError\] : |/onnxruntime_src/\S+:\d+ [^()]*\([^()]*\)(?: const)? ")
MOST_DIGITS = 18  # of a receptive field
DYNAMIC = (
    "export it with torch.onnx.export(…, dynamo=True, dynamic_shapes=({0: AUTO, 1: AUTO},)), where "
    "AUTO is torch.export.Dim.AUTO; an nn.RNN, which that unrolls, with "
    "dynamo=False and dynamic_axes"
)

Inputs = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]
Outputs = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]


class OnnxModel:
    """A model that onnxruntime computes on the CPU, deterministically.

    Attributes:
        signature: its declared inputs and outputs.
        readout: the last part of its graph, which is computed only where outputs are needed; None:
            the whole graph is computed everywhere.
    """

    def __init__(self, data: bytes, threads: int) -> None:
        """Check an ONNX file and load it.

        Args:
            data: the file's bytes.
            threads: the number of threads for one operator.

        Raises:
            SubmissionError: it is refused.
            MemoryError: there is not enough memory.
            InputError: the onnx or onnxruntime library is not installed.
        """
        model, self.signature = read_onnx(data)
        self._output = prepare(model, self.signature)
        if model.ByteSize() > LARGEST:
            refuse("takes more than 2 GiB as float32, the limit of ONNX files")
        self._runtime = imported("onnxruntime", "onnx")
        self._runtime.disable_telemetry_events()
        self.readout = cut_readout(model, self._output)
        self._features = self._output if self.readout is None else self.readout.features
        self._session = self._loaded(model, threads)
        if self.readout is not None:
            self._last = self._loaded(self.readout.model, threads)
        self._quiet = self._runtime.RunOptions()
        self._quiet.log_severity_level = 4
        if any(self.signature.fixed) or self.signature.states:
            self._check_other_sizes()

    def _loaded(self, model: "ModelProto", threads: int) -> Any:
        """Return a session of the runtime; the model is emptied, to save its memory."""
        written = model.SerializeToString()
        model.Clear()
        try:
            return self._runtime.InferenceSession(
                written, self._options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors have no common base class
            raise _failed("cannot be loaded", error) from None

    @property
    def facts(self) -> dict[str, int]:
        """The number of parameters and of floats of its states, if it carries any.

        And the receptive field if the metadata declare one, as those that seqmem exports.

        Raises:
            SubmissionError: they declare something else.
        """
        field = self.signature.metadata.get("seqmem.receptive_field", "none")
        declared = {} if field == "none" else {"receptive_field": _declared(field)}
        carried = sum(state.floats for state in self.signature.states)
        states = {"state_floats": carried} if carried else {}
        return {"parameters": self.signature.parameters, **declared, **states}

    def __call__(self, inputs: Inputs) -> Outputs:
        """Return the outputs from the start of sequences, as `read` does."""
        return self.read(inputs)[0]

    def read(self, inputs: Inputs, carried: Outputs | None = None) -> tuple[Outputs, Outputs]:
        """Return the outputs (B, L, V) for inputs, and the states after them; see `features`."""
        features, after = self.features(inputs, carried)
        return self.outputs(features), after

    def features(self, inputs: Inputs, carried: Outputs | None = None) -> tuple[Outputs, Outputs]:
        """Read inputs (B, L) of ids or (B, L, D) of floats.

        Args:
            inputs: the inputs.
            carried: (B, S) the states after the inputs before; None: the start of the sequences.

        Returns:
            what `outputs` reads (B, L, H), and the states after the inputs (B, S); S may be 0.

        Raises:
            SubmissionError: the inputs do not fit the signature, or the outputs not the inputs.
            MemoryError: there is not enough memory.
        """
        states, batch = self.signature.states, len(inputs)
        given = {self.signature.input: self._readable(inputs)}
        for state, before in zip(states, unpacked(states, carried, batch), strict=True):
            given[state.input] = before
        wanted = [self._features, *(state.output for state in states)]
        what = f"inputs of shape {inputs.shape}"
        features, *after = self._run(self._session, wanted, given, what)
        return _floats(features, inputs.shape[:2]), packed(states, after, batch)

    def outputs(self, features: Outputs) -> Outputs:
        """Return the outputs (B, L, V) for features (B, L, H), which may be the outputs.

        Raises:
            SubmissionError: the outputs do not fit the features.
            MemoryError: there is not enough memory.
        """
        if self.readout is None:
            return features
        what = f"features of shape {features.shape}"
        given = {self.readout.features: features}
        (outputs,) = self._run(self._last, [self.readout.output], given, what)
        return _floats(outputs, features.shape[:2])

    def _run(
        self, session: Any, wanted: Sequence[str], given: Mapping[str, Any], what: str
    ) -> list[Any]:
        try:
            results: list[Any] = session.run(wanted, given, self._quiet)
        except Exception as error:  # the runtime's errors have no common base class
            raise _failed(f"cannot read {what}", error) from None
        return results

    def _check_other_sizes(self) -> None:
        """Check that a graph that declares a batch size or length, or states, reads other sizes.

        Raises:
            SubmissionError: it does not, or a state changes its shape.
        """
        signature = self.signature
        try:
            self(self._zeros())
        except StateError:
            raise
        except SubmissionError as error:
            if not any(signature.fixed):
                raise SubmissionError(f"{error}; {DYNAMIC}") from None
            sizes = zip(("batch", "length"), signature.fixed, strict=True)
            fixed = " and ".join(f"the {name} fixed at {size}" for name, size in sizes if size)
            refuse(f"reads the input {named(signature.input)} with {fixed}; {DYNAMIC}")

    def _zeros(self) -> Inputs:
        """Return inputs of another batch size and length than declared."""
        shape = [(size or 1) + 1 for size in self.signature.fixed]
        if self.signature.kind == "float32":
            shape.append(self.signature.features or 1)
        return np.zeros(shape, self.signature.kind)

    def _readable(self, inputs: Inputs) -> npt.NDArray[Any]:
        """Return the inputs in the type that the graph declares."""
        floats = self.signature.kind == "float32"
        if (
            inputs.ndim != (3 if floats else 2)
            or np.issubdtype(inputs.dtype, np.floating) != floats
        ):
            reads = "vectors of floats (B, L, D)" if floats else "ids (B, L)"
            raise SubmissionError(
                f"the model reads {reads}, the task has inputs of shape {inputs.shape}, "
                f"{inputs.dtype}"
            )
        if floats and self.signature.features not in (None, inputs.shape[2]):
            raise SubmissionError(
                f"the model reads vectors of {self.signature.features}, the task has "
                f"{inputs.shape[2]}"
            )
        return np.ascontiguousarray(inputs, dtype=self.signature.kind)

    def _options(self, threads: int) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # only fatal messages: errors are raised in any case
        options.use_deterministic_compute = True
        # Shapes change from batch to batch: a memory plan for each would accumulate.
        options.enable_mem_pattern = False
        # Waiting threads must not occupy a core.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        return options


def read_onnx(data: bytes) -> "tuple[ModelProto, Signature]":
    """Return an ONNX file's model, checked and with its half floats as float32, and its signature.

    Raises:
        SubmissionError: it is refused.
        InputError: the onnx library is not installed.
    """
    model = parse_onnx(data)
    check_model(model)
    halves_to_float32(model)
    return model, read_signature(model)


def open_onnx(request: Mapping[str, Any], data: bytes | bytearray) -> Opened:
    """Open an ONNX file in its process; return what it can be asked.

    Args:
        request: the number of threads, as "threads", and of the task's outputs, as "outputs".
        data: the file's bytes.

    Raises:
        SubmissionError: it is refused.
        MemoryError: there is not enough memory.
    """
    model = OnnxModel(bytes(data), request["threads"])
    # Another number of outputs is refused when the first of them are requested.
    cut = model.readout is not None and model.readout.outputs == request.get("outputs")
    read = model.features if cut else model.read

    def read_on(
        inputs: Inputs, rows: Positions, columns: Positions, carried: Outputs | None
    ) -> tuple[Outputs, Outputs]:
        features, after = read(inputs, carried)
        return features[rows, columns], after

    def outputs_at(inputs: Inputs, rows: Positions, columns: Positions) -> Outputs:
        return read_on(inputs, rows, columns, None)[0]

    if not cut or model.readout is None:
        return Opened(outputs_at, model.facts, read_on=read_on)
    facts = {**model.facts, "features": model.readout.width}
    return Opened(outputs_at, facts, read_on=read_on, readout=lambda f: model.outputs(f[None])[0])


def _floats(values: object, shape: tuple[int, ...]) -> Outputs:
    """Return what a graph computed, checked to be a vector of float32 for each input.

    Args:
        values: what it computed.
        shape: (B, L) of the inputs.

    Raises:
        SubmissionError: it is something else.
    """
    if not isinstance(values, np.ndarray) or values.dtype != np.float32:
        raise SubmissionError("the model returns no tensor of floats")
    if values.ndim != 3 or values.shape[:2] != shape:
        raise SubmissionError(
            f"the model returns outputs of shape {values.shape} for inputs of shape "
            f"{shape}; they must be (B, L, V), one vector for each input"
        )
    return np.ascontiguousarray(values)


def _declared(field: str) -> int:
    """Return the receptive field that metadata declare."""
    if not (field.isascii() and field.isdigit() and len(field) < MOST_DIGITS and int(field) > 0):
        refuse(
            f"declares {named(field)} as its seqmem.receptive_field; it must be a whole number "
            "from 1 on, or 'none'"
        )
    return int(field)


def _failed(what: str, error: Exception) -> SubmissionError | MemoryError:
    """Return an error of the runtime as one line."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "allocate memory" in text or "bad_alloc" in text:
        return MemoryError(f"the model {what}: there is not enough memory")
    return SubmissionError(f"the model {what}: {PLACE.sub('', text)[:300]}")
