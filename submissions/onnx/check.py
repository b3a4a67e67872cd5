"""Check an ONNX file's graph before anything is computed.

A model reads one input, ids (B, L) or vectors (B, L, D), and its first output is (B, L, V). The
graph must be complete within the file, and consist of operators whose outputs are determined by
their inputs; see operators.py.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal, NoReturn

from seqmem.errors import SubmissionError
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.operators import OLDEST_OPSET, OPERATORS, is_reserved, is_standard

if TYPE_CHECKING:
    from onnx import (
        FunctionProto,
        GraphProto,
        ModelProto,
        NodeProto,
        OperatorSetIdProto,
        TensorProto,
        ValueInfoProto,
    )

__all__ = ["Signature", "check_onnx", "parse_onnx"]

# The size of a graph in which every function call is replaced by the function's body.
MOST_NODES = 1_000_000

DYNAMIC = (
    "export it with dynamic axes, as in torch.onnx.export(…, "
    "dynamic_shapes=({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)) with torch.export's Dim"
)


@dataclass(frozen=True)
class Signature:
    """The declared input and output of a model.

    Attributes:
        input: the input's name.
        kind: the input's type; integers are ids (B, L), floats are vectors (B, L, D).
        features: D, if it is declared.
        output: the first output's name.
        is_float32: whether the output is float32, not another floating-point type.
        parameters: the number of floats in its constants, scalars excluded.
        metadata: the file's metadata.
    """

    input: str
    kind: Literal["int32", "int64", "float32"]
    features: int | None
    output: str
    is_float32: bool
    parameters: int
    metadata: Mapping[str, str]


def check_onnx(data: bytes) -> Signature:
    """Check an ONNX file; return its signature.

    The memory and time of a graph that runs (ConstantOfShape, Expand, Tile, a Loop without end)
    cannot be checked here; they are limited in the process in which it runs.

    Args:
        data: the file's bytes.

    Raises:
        SubmissionError: it is refused.
        InputError: the onnx library is not installed.
    """
    model = parse_onnx(data)
    functions = {_key(function): function for function in model.functions}
    _check_opsets(model.opset_import)
    if len(functions) != len(model.functions):
        _refuse("defines a function twice")
    if model.training_info:
        _refuse("holds graphs for training; export it for inference")
    for function in model.functions:
        _check_text(*_key(function))
        if is_reserved(function.domain):
            _refuse(
                f"defines the function {_named(function.name)} in the domain "
                f"{_named(function.domain)}, which is a runtime's own"
            )
        _check_opsets(function.opset_import)
        _check_nodes(function.node, functions, frozenset())
    _check_graph(model.graph, functions)
    _check_unfolding(model, functions)
    return _signature(model)


def parse_onnx(data: bytes) -> "ModelProto":
    """Parse an ONNX file; other files are not read.

    Raises:
        SubmissionError: it is not an ONNX file.
        InputError: the onnx library is not installed.
    """
    onnx = imported("onnx", "onnx")
    message = imported("google.protobuf.message", "onnx")
    if not data:
        _refuse("is empty")
    try:
        model: ModelProto = onnx.load_model_from_string(data)
    except message.DecodeError:
        model = onnx.ModelProto()
    if not model.HasField("graph"):
        _refuse("is not an ONNX file, or is cut short")
    return model


def _check_graph(graph: "GraphProto", functions: "Mapping[_Key, FunctionProto]") -> None:
    """Check constants and nodes, including those of inner graphs."""
    for tensor in graph.initializer:
        _check_tensor(tensor)
    if graph.sparse_initializer:
        _refuse("holds sparse tensors; store them in full")
    false = {tensor.name for tensor in graph.initializer if _is_false(tensor)}
    _check_nodes(graph.node, functions, frozenset(false))


def _check_nodes(
    nodes: "Iterable[NodeProto]",
    functions: "Mapping[_Key, FunctionProto]",
    false: frozenset[str],
) -> None:
    """Check the nodes of one graph; `false` are the names of its constants that are False."""
    for node in nodes:
        _check_text(*_key(node))
        if _key(node) not in functions:
            _check_operator(node, false)
        for attribute in node.attribute:
            single = [attribute.t] if attribute.HasField("t") else []
            for tensor in (*single, *attribute.tensors):
                _check_tensor(tensor)
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                _refuse("holds sparse tensors; store them in full")
            for graph in (attribute.g, *attribute.graphs):  # empty, if there is none
                _check_graph(graph, functions)


def _check_operator(node: "NodeProto", false: frozenset[str]) -> None:
    if not is_standard(node.domain):
        _refuse(
            f"uses the operator {_named(node.op_type)} of the domain {_named(node.domain)}: only "
            "ONNX's own operators are allowed"
        )
    if node.op_type not in OPERATORS:
        _refuse(
            f"uses the operator {_named(node.op_type)}, which is not allowed: outputs must be "
            "determined by the inputs"
        )
    # Inside a function, the caller may set an attribute.
    trains = any(a.name == "training_mode" and (a.i or a.ref_attr_name) for a in node.attribute)
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        trains = node.input[2] not in false
    if node.op_type in ("Dropout", "BatchNormalization") and trains:
        _refuse(f"uses {node.op_type} in training mode; export it in evaluation mode")


def _check_text(*texts: str | bytes) -> None:
    """Refuse text that is not UTF-8, which the library returns as bytes."""
    for text in texts:
        if isinstance(text, bytes):
            _refuse(f"holds the name {_named(text)}, which is not UTF-8")


def _check_tensor(tensor: "TensorProto") -> None:
    """Check that a constant is in the file, and no larger than its data in the file."""
    if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
        _refuse(
            f"stores the tensor {_named(tensor.name)} in another file; save it as one file "
            "(torch.onnx.export(…, external_data=False))"
        )
    helper = imported("onnx.helper", "onnx")
    elements = math.prod(tensor.dims)
    try:
        field = helper.tensor_dtype_to_field(tensor.data_type)
        numbers = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError:
        _refuse(f"holds the tensor {_named(tensor.name)} of an unknown type")
    # Numbers of two or four bits are packed, up to four in a byte.
    held = max(len(getattr(tensor, field)), len(tensor.raw_data) // numbers)
    held *= 4 if numbers == 1 else 1
    if min(tensor.dims, default=1) < 0 or elements > held:
        _refuse(
            f"declares the tensor {_named(tensor.name)} as {list(tensor.dims)}, which is more than "
            "the file holds"
        )


def _check_unfolding(model: "ModelProto", functions: "Mapping[_Key, FunctionProto]") -> None:
    """Check that no function calls itself, and the size of the graph with all calls replaced."""
    bodies = {key: _keys(function.node) for key, function in functions.items()}
    calls = {
        key: [called for called in body if called in functions] for key, body in bodies.items()
    }
    sizes: dict[_Key, int] = {}

    def size(body: Counter[_Key]) -> int:
        total = sum(count * sizes.get(called, 1) for called, count in body.items())
        return min(total, MOST_NODES + 1)

    try:
        for key in TopologicalSorter(calls).static_order():
            sizes[key] = size(bodies[key])
    except CycleError:
        _refuse("holds functions that call themselves")
    if size(_keys(model.graph.node)) > MOST_NODES:
        _refuse(f"unfolds to more than {MOST_NODES:,} operators")


def _signature(model: "ModelProto") -> Signature:
    """Return the signature, after a check of its input and output."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(_named(value.name) for value in inputs[:5])
        _refuse(
            f"reads {len(inputs)} inputs{f' ({names})' if names else ''}; it must read one: ids "
            "(B, L) or vectors (B, L, D), and start from its initial state"
        )
    if not graph.output:
        _refuse("has no output")
    _check_text(inputs[0].name, graph.output[0].name)
    for entry in model.metadata_props:
        _check_text(entry.key, entry.value)
    kind, features = _input_kind(inputs[0])
    return Signature(
        input=inputs[0].name,
        kind=kind,
        features=features,
        output=graph.output[0].name,
        is_float32=_is_float32(graph.output[0]),
        parameters=sum(_size(tensor) for tensor in graph.initializer),
        metadata={entry.key: entry.value for entry in model.metadata_props},
    )


def _size(tensor: "TensorProto") -> int:
    """Return the number of floats of a constant; a scalar is not a parameter."""
    kinds = imported("onnx", "onnx").TensorProto
    floats = {kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE}
    size = math.prod(tensor.dims)
    return size if tensor.data_type in floats and size > 1 else 0


def _input_kind(
    value: "ValueInfoProto",
) -> tuple[Literal["int32", "int64", "float32"], int | None]:
    """Return an input's type, and the size of its vectors if it is declared."""
    tensor = imported("onnx", "onnx").TensorProto
    kinds: dict[int, Literal["int32", "int64", "float32"]] = {
        tensor.INT32: "int32",
        tensor.INT64: "int64",
        tensor.FLOAT: "float32",
    }
    name, given = _named(value.name), value.type.tensor_type
    kind = kinds.get(given.elem_type)
    if kind is None:
        _refuse(
            f"reads the input {name} of the type {_type_name(value)}; it must be int64 or int32 "
            "for ids, or float32 for vectors"
        )
    rank = 3 if kind == "float32" else 2
    wanted = "vectors are float32 (B, L, D)" if rank == 3 else "ids are integers (B, L)"
    if not given.HasField("shape") or len(given.shape.dim) != rank:
        seen = f"{len(given.shape.dim)}" if given.HasField("shape") else "unknown"
        _refuse(f"reads the input {name} of {kind}, its number of dimensions {seen}; {wanted}")
    for place, dimension in enumerate(("batch", "length")):
        if (fixed := given.shape.dim[place].dim_value) > 0:
            _refuse(f"reads the input {name} with the {dimension} fixed at {fixed}; {DYNAMIC}")
    features = given.shape.dim[2].dim_value if rank == 3 else 0
    return kind, features if features > 0 else None


def _is_float32(value: "ValueInfoProto") -> bool:
    """Return whether an output is float32; other floats are converted, integers are refused."""
    tensor = imported("onnx", "onnx").TensorProto
    given = value.type.tensor_type.elem_type
    if given not in (tensor.FLOAT, tensor.FLOAT16, tensor.BFLOAT16, tensor.DOUBLE):
        _refuse(
            f"returns the output {_named(value.name)} of the type {_type_name(value)}; it must be "
            "floats: raw scores, before softmax"
        )
    return bool(given == tensor.FLOAT)


def _check_opsets(imports: "Iterable[OperatorSetIdProto]") -> None:
    imports = list(imports)
    _check_text(*(entry.domain for entry in imports))
    versions = [entry.version for entry in imports if is_standard(entry.domain)]
    if not versions:
        _refuse("does not declare its version of ONNX's operators, or is cut short")
    if min(versions) < OLDEST_OPSET:
        _refuse(
            f"uses version {min(versions)} of ONNX's operators; export it with {OLDEST_OPSET} or "
            "later"
        )


_Key = tuple[str, str, str]  # domain, name, overload


def _key(called: "NodeProto | FunctionProto") -> "_Key":
    """Return the key by which a function is called."""
    name = called.op_type if hasattr(called, "op_type") else called.name
    return called.domain, name, called.overload


def _keys(nodes: "Iterable[NodeProto]") -> Counter[_Key]:
    """Return how often nodes call each operator or function, inner graphs included."""
    counts: Counter[_Key] = Counter()
    for node in nodes:
        counts[_key(node)] += 1
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                counts.update(_keys(graph.node))
    return counts


def _is_false(tensor: "TensorProto") -> bool:
    return tensor.data_type == tensor.BOOL and (
        tensor.raw_data == b"\0" or list(tensor.int32_data) == [0]
    )


def _type_name(value: "ValueInfoProto") -> str:
    """Return the name of the type of an input or output."""
    types = imported("onnx", "onnx").TensorProto.DataType
    number = value.type.tensor_type.elem_type
    return str(types.Name(number)).lower() if number in types.values() else f"number {number}"


def _named(text: str | bytes) -> str:
    """Return an untrusted name, quoted and shortened."""
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}…"


def _refuse(why: str) -> NoReturn:
    raise SubmissionError(f"the model {why}")
