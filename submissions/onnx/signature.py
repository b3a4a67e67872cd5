"""The declared inputs and outputs of an ONNX model.

A model reads ids (B, L) or vectors (B, L, D), and its first output is (B, L, V). Its other inputs
and outputs are states that it carries (states.py); other outputs than these are not computed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.states import BEFORE, CarriedState, read_states
from seqmem.submissions.onnx.structure import messages, named, refuse, type_name

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto, ValueInfoProto

__all__ = ["Signature", "read_signature"]


@dataclass(frozen=True)
class Signature:
    """The declared inputs and outputs of a model.

    Attributes:
        input: the name of the input that is not a state.
        kind: the input's type; integers are ids (B, L), floats are vectors (B, L, D).
        features: D, if it is declared.
        fixed: the declared batch size and length; None where any is allowed.
        output: the first output's name.
        is_float32: whether the output is float32, not another floating-point type.
        states: what it carries from one call to the next.
        parameters: the number of floats in its constants, scalars excluded.
        metadata: the file's metadata.
    """

    input: str
    kind: Literal["int32", "int64", "float32"]
    features: int | None
    fixed: tuple[int | None, int | None]
    output: str
    is_float32: bool
    states: tuple[CarriedState, ...]
    parameters: int
    metadata: Mapping[str, str]


def read_signature(model: "ModelProto") -> Signature:
    """Return the signature of a model, after a check of its inputs and outputs.

    Raises:
        SubmissionError: it has other inputs, an output of another type, or a state that cannot be
            carried.
    """
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    # A single input is what the model reads, whatever its name.
    states = [value for value in inputs[1:] and inputs if value.name.startswith(BEFORE)]
    main = [value for value in inputs if not (inputs[1:] and value.name.startswith(BEFORE))]
    if len(main) != 1:
        names = ", ".join(named(value.name) for value in inputs[:5])
        refuse(
            f"reads {len(inputs)} inputs{f' ({names})' if names else ''}; it must read one: ids "
            f"(B, L) or vectors (B, L, D). Others are states, whose names begin with '{BEFORE}'"
        )
    if not graph.output:
        refuse("has no output")
    kind = _input_kind(main[0])
    dims = main[0].type.tensor_type.shape.dim
    sizes = [dim.dim_value if dim.dim_value > 0 else None for dim in dims]
    parts = [*messages(model)]
    tensors = [part for part in parts if part.DESCRIPTOR.name == "TensorProto"]
    nodes = [part for part in parts if part.DESCRIPTOR.name == "NodeProto"]
    used = {name for each in nodes for name in each.input}
    return Signature(
        input=main[0].name,
        kind=kind,
        features=sizes[2] if len(sizes) == 3 else None,
        fixed=(sizes[0], sizes[1]),
        output=graph.output[0].name,
        is_float32=_is_float32(graph.output[0]),
        states=read_states(states, graph.output[1:], dims[0].dim_param, used),
        parameters=sum(_size(tensor) for tensor in tensors),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def _size(tensor: "TensorProto") -> int:
    """Return the number of floats of a constant; a scalar is not a parameter."""
    kinds = imported("onnx", "onnx").TensorProto
    floats = {kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE}
    size = math.prod(tensor.dims)
    return size if tensor.data_type in floats and size > 1 else 0


def _input_kind(value: "ValueInfoProto") -> Literal["int32", "int64", "float32"]:
    """Return an input's type, after a check of its number of dimensions."""
    tensor = imported("onnx", "onnx").TensorProto
    kinds: dict[int, Literal["int32", "int64", "float32"]] = {
        tensor.INT32: "int32",
        tensor.INT64: "int64",
        tensor.FLOAT: "float32",
    }
    name, given = named(value.name), value.type.tensor_type
    kind = kinds.get(given.elem_type)
    if kind is None:
        refuse(
            f"reads the input {name} of the type {type_name(value)}; it must be int64 or int32 "
            "for ids, or float32 for vectors"
        )
    rank = 3 if kind == "float32" else 2
    wanted = "vectors are float32 (B, L, D)" if rank == 3 else "ids are integers (B, L)"
    if not given.HasField("shape") or len(given.shape.dim) != rank:
        seen = f"{len(given.shape.dim)}" if given.HasField("shape") else "unknown"
        refuse(f"reads the input {name} of {kind}, its number of dimensions {seen}; {wanted}")
    return kind


def _is_float32(value: "ValueInfoProto") -> bool:
    """Return whether an output is float32; other floats are converted, integers are refused."""
    tensor = imported("onnx", "onnx").TensorProto
    given = value.type.tensor_type.elem_type
    if given not in (tensor.FLOAT, tensor.FLOAT16, tensor.BFLOAT16, tensor.DOUBLE):
        refuse(
            f"returns the output {named(value.name)} of the type {type_name(value)}; it must be "
            "floats: raw scores, before softmax"
        )
    return bool(given == tensor.FLOAT)
