"""What an ONNX file must be to be run here, told from its graph before anything is computed.

A model reads one input, ids (B, L) or vectors (B, L, D), and its first output is (B, L, V). The
graph must be whole within the file, and made of operators whose outputs follow from their inputs
alone; see `onnx_operators`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Literal, NoReturn

from seqmem.errors import SubmissionError
from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.operators import OLDEST_OPSET, OPERATORS, is_standard, is_taken

if TYPE_CHECKING:
    from onnx import (
        AttributeProto,
        FunctionProto,
        GraphProto,
        ModelProto,
        NodeProto,
        OperatorSetIdProto,
        TensorProto,
        ValueInfoProto,
    )

__all__ = ["Signature", "check_onnx", "parse_onnx"]

# What functions may unfold to: each call is replaced by what is called.
MOST_NODES = 1_000_000

DYNAMIC = (
    "export it with dynamic axes, as in torch.onnx.export(…, "
    "dynamic_shapes=({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)) with torch.export's Dim"
)


@dataclass(frozen=True)
class Signature:
    """What a model says that it reads and gives.

    Attributes:
        input: the input's name.
        kind: what the input holds; integers are ids (B, L), floats are vectors (B, L, D).
        features: D, where it is declared.
        output: the first output's name.
        is_float32: whether the output is float32, and not a shorter or longer float.
        parameters: floats among its constants, single ones left out.
        metadata: what the file says about itself, text to text.
    """

    input: str
    kind: Literal["int32", "int64", "float32"]
    features: int | None
    output: str
    is_float32: bool
    parameters: int
    metadata: Mapping[str, str]


def check_onnx(data: bytes) -> Signature:
    """Check an ONNX file and give what it reads.

    What a graph makes only once it runs (ConstantOfShape, Expand, Tile, a Loop without end) cannot
    be told here: the limits on memory and time of the process in which it runs must hold it.

    Args:
        data: the file's bytes.

    Raises:
        SubmissionError: it cannot be taken.
        InputError: the library that reads it is not installed.
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
        if is_taken(function.domain):
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
    """Read the graph; nothing is fetched from other files.

    Raises:
        SubmissionError: it is not an ONNX file.
        InputError: the library that reads it is not installed.
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
        _refuse("is no ONNX file, or is cut short")
    return model


def _check_graph(graph: "GraphProto", functions: "Mapping[_Key, FunctionProto]") -> None:
    """Check constants and nodes, those of graphs within graphs too."""
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
    """Check nodes of one graph; `false` names its constants that are False."""
    for node in nodes:
        _check_text(*_key(node))
        if _key(node) not in functions:
            _check_operator(node, false)
        for attribute in node.attribute:
            for tensor in _tensors(attribute):
                _check_tensor(tensor)
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                _refuse("holds sparse tensors; store them in full")
            for graph in _graphs(attribute):
                _check_graph(graph, functions)


def _check_operator(node: "NodeProto", false: frozenset[str]) -> None:
    if not is_standard(node.domain):
        _refuse(
            f"uses the operator {_named(node.op_type)} of the domain {_named(node.domain)}: only "
            "ONNX's own operators are run"
        )
    if node.op_type not in OPERATORS:
        _refuse(
            f"uses the operator {_named(node.op_type)}, which is not among those that are run: "
            "outputs must follow from the inputs alone"
        )
    # Within a function, an attribute may be left to the caller.
    trains = any(a.name == "training_mode" and (a.i or a.ref_attr_name) for a in node.attribute)
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        trains = node.input[2] not in false
    if node.op_type in ("Dropout", "BatchNormalization") and trains:
        _refuse(f"uses {node.op_type} in training mode; export it in evaluation mode")


def _check_text(*texts: str | bytes) -> None:
    """Refuse what is no UTF-8: the library then gives bytes."""
    for text in texts:
        if isinstance(text, bytes):
            _refuse(f"holds the name {_named(text)}, which is no text")


def _check_tensor(tensor: "TensorProto") -> None:
    """Check that a constant is in the file, and no larger than what the file holds of it."""
    if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
        _refuse(
            f"keeps the tensor {_named(tensor.name)} in another file; save it as one file "
            "(torch.onnx.export(…, external_data=False))"
        )
    helper = imported("onnx.helper", "onnx")
    elements = math.prod(tensor.dims)
    try:
        field = helper.tensor_dtype_to_field(tensor.data_type)
        numbers = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError:
        _refuse(f"holds the tensor {_named(tensor.name)} of a type that is not known")
    # Numbers of two or four bits are packed, up to four in a byte.
    held = max(len(getattr(tensor, field)), len(tensor.raw_data) // numbers)
    held *= 4 if numbers == 1 else 1
    if min(tensor.dims, default=1) < 0 or elements > held:
        _refuse(
            f"declares the tensor {_named(tensor.name)} as {list(tensor.dims)}, which is more than "
            "the file holds"
        )


def _check_unfolding(model: "ModelProto", functions: "Mapping[_Key, FunctionProto]") -> None:
    """Check that functions end, and what they unfold to: each call is a copy of what is called."""
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
    """Read what goes in and comes out."""
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
    """Count the floats of a constant; a single one is a setting."""
    kinds = imported("onnx", "onnx").TensorProto
    floats = {kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE}
    size = math.prod(tensor.dims)
    return size if tensor.data_type in floats and size > 1 else 0


def _input_kind(
    value: "ValueInfoProto",
) -> tuple[Literal["int32", "int64", "float32"], int | None]:
    """Give what an input holds, and the size of its vectors where it declares one."""
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
    """Say whether an output is float32; other floats are made so, integers are refused."""
    tensor = imported("onnx", "onnx").TensorProto
    given = value.type.tensor_type.elem_type
    if given not in (tensor.FLOAT, tensor.FLOAT16, tensor.BFLOAT16, tensor.DOUBLE):
        _refuse(
            f"gives the output {_named(value.name)} of the type {_type_name(value)}; it must be "
            "floats: raw scores, before softmax"
        )
    return bool(given == tensor.FLOAT)


def _check_opsets(imports: "Iterable[OperatorSetIdProto]") -> None:
    imports = list(imports)
    _check_text(*(entry.domain for entry in imports))
    versions = [entry.version for entry in imports if is_standard(entry.domain)]
    if not versions:
        _refuse("does not say which version of ONNX's operators it uses, or is cut short")
    if min(versions) < OLDEST_OPSET:
        _refuse(
            f"uses version {min(versions)} of ONNX's operators; export it with {OLDEST_OPSET} or "
            "later"
        )


_Key = tuple[str, str, str]  # domain, name, overload


def _key(called: "NodeProto | FunctionProto") -> "_Key":
    """Give what a function is called by."""
    name = called.op_type if hasattr(called, "op_type") else called.name
    return called.domain, name, called.overload


def _keys(nodes: "Iterable[NodeProto]") -> Counter[_Key]:
    """Count what nodes call, those of graphs within them too."""
    counts: Counter[_Key] = Counter()
    for node in nodes:
        counts[_key(node)] += 1
        for attribute in node.attribute:
            for graph in _graphs(attribute):
                counts.update(_keys(graph.node))
    return counts


def _graphs(attribute: "AttributeProto") -> "Iterator[GraphProto]":
    if attribute.HasField("g"):
        yield attribute.g
    yield from attribute.graphs


def _tensors(attribute: "AttributeProto") -> "Iterator[TensorProto]":
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _is_false(tensor: "TensorProto") -> bool:
    return tensor.data_type == tensor.BOOL and (
        tensor.raw_data == b"\0" or list(tensor.int32_data) == [0]
    )


def _type_name(value: "ValueInfoProto") -> str:
    """Name the type of an input or output."""
    types = imported("onnx", "onnx").TensorProto.DataType
    number = value.type.tensor_type.elem_type
    return str(types.Name(number)).lower() if number in types.values() else f"number {number}"


def _named(text: str | bytes) -> str:
    """Quote a name out of a file, whatever is in it."""
    return repr(text) if len(text) <= 60 else f"{text[:57]!r}…"


def _refuse(why: str) -> NoReturn:
    raise SubmissionError(f"the model {why}")
