"""Run an ONNX file: (B, L) ids or (B, L, D) vectors in, (B, L, V) float32 out.

The file comes as bytes, so that nothing beside it can be reached, and is checked before the
runtime sees it (`onnx_check`). Its memory and time are not limited here: whoever runs a stranger's
file does so in a process that has limits.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seqmem.errors import SubmissionError
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.check import check_onnx, parse_onnx

__all__ = ["OnnxModel", "open_onnx"]

Inputs = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]


class OnnxModel:
    """A model that onnxruntime computes on the CPU, the same for the same inputs.

    Attributes:
        signature: what it reads and gives.
        outputs: V, where a task says what it must be; None to take what comes.
    """

    def __init__(self, data: bytes, threads: int, outputs: int | None) -> None:
        """See `open_onnx`."""
        self.signature = check_onnx(data)
        self.outputs = outputs
        self._runtime = imported("onnxruntime", "onnx")
        self._runtime.disable_telemetry_events()
        self._output = self.signature.output
        if not self.signature.is_float32:
            data, self._output = _with_float32(data)
        try:
            self._session = self._runtime.InferenceSession(
                data, self._options(threads), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # whatever the runtime has against it
            raise _failed("cannot be loaded", error) from None
        self._quiet = self._runtime.RunOptions()
        self._quiet.log_severity_level = 4

    @property
    def facts(self) -> dict[str, int]:
        """What the file tells of its size, and of how far it sees where the suite wrote it."""
        field = self.metadata.get("seqmem.receptive_field", "")
        known = {"receptive_field": int(field)} if field.isascii() and field.isdigit() else {}
        return {"parameters": self.signature.parameters, **known}

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the file says about itself."""
        return self.signature.metadata

    def __call__(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Give the outputs for inputs (B, L) of ids or (B, L, D) of floats: (B, L, V).

        Raises:
            SubmissionError: the inputs are not what it reads, or its outputs are not what the
                task asks for.
            MemoryError: it needs more memory than there is.
        """
        given = self._readable(inputs)
        try:
            (outputs,) = self._session.run(
                [self._output], {self.signature.input: given}, self._quiet
            )
        except Exception as error:  # whatever goes wrong within the graph
            raise _failed(f"cannot read inputs of shape {inputs.shape}", error) from None
        if not isinstance(outputs, np.ndarray) or outputs.dtype != np.float32:
            raise SubmissionError("the model gives no tensor of floats")
        if outputs.ndim != 3 or outputs.shape[:2] != inputs.shape[:2]:
            raise SubmissionError(
                f"the model gives outputs of shape {outputs.shape} for inputs of shape "
                f"{inputs.shape}; they must be (B, L, V), one vector for each input"
            )
        if self.outputs is not None and outputs.shape[2] != self.outputs:
            raise SubmissionError(
                f"the model gives {outputs.shape[2]:,} outputs for each input, the task asks for "
                f"{self.outputs:,}"
            )
        return np.ascontiguousarray(outputs)

    def _readable(self, inputs: Inputs) -> npt.NDArray[Any]:
        """Give the inputs in the type that the graph declares."""
        floats = self.signature.kind == "float32"
        if (
            inputs.ndim != (3 if floats else 2)
            or np.issubdtype(inputs.dtype, np.floating) != floats
        ):
            reads = "vectors of floats (B, L, D)" if floats else "ids (B, L)"
            raise SubmissionError(
                f"the model reads {reads}, the task gives inputs of shape {inputs.shape}, "
                f"{inputs.dtype}"
            )
        if floats and self.signature.features not in (None, inputs.shape[2]):
            raise SubmissionError(
                f"the model reads vectors of {self.signature.features}, the task gives "
                f"{inputs.shape[2]}"
            )
        return np.ascontiguousarray(inputs, dtype=self.signature.kind)

    def _options(self, threads: int) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # only what is fatal: an error is raised all the same
        options.use_deterministic_compute = True
        # Shapes change from batch to batch: a plan of memory for each would pile up.
        options.enable_mem_pattern = False
        # Threads that wait must not take the core from those that work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.load_model_format", "ONNX")
        return options


def open_onnx(data: bytes, threads: int, outputs: int | None = None) -> OnnxModel:
    """Check an ONNX file and make it ready to run.

    Args:
        data: the file's bytes.
        threads: how many threads an operator may use.
        outputs: V, how many outputs the task asks for at each position; None to take any.

    Raises:
        SubmissionError: it cannot be taken.
        MemoryError: it needs more memory than there is.
        InputError: the libraries that read it are not installed.
    """
    return OnnxModel(data, threads, outputs)


def _with_float32(data: bytes) -> tuple[bytes, str]:
    """Let the graph itself turn its first output into float32: numpy cannot hold every float.

    Returns:
        the changed file, and the name of the output in it.
    """
    onnx = imported("onnx", "onnx")
    model = parse_onnx(data)
    graph = model.graph
    taken = {name for node in graph.node for name in node.output}
    name = "float32"
    while name in taken:
        name += "_"
    graph.node.append(
        onnx.helper.make_node("Cast", [graph.output[0].name], [name], to=onnx.TensorProto.FLOAT)
    )
    del graph.output[:]
    graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return model.SerializeToString(), name


def _failed(what: str, error: Exception) -> SubmissionError | MemoryError:
    """Say in one line what the runtime says in several."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or "allocate memory" in text or "bad_alloc" in text:
        return MemoryError(f"the model {what}: there is not enough memory")
    text = text.removeprefix("[ONNXRuntimeError] : ")
    return SubmissionError(f"the model {what}: {text[:300]}")
