"""Cutting an ONNX graph before its readout: outputs are computed only where they are scored.

A language model's last step maps each position's features, some hundred numbers, to a score for
every word of the vocabulary, some ten thousand. Of a window of k inputs one position is scored.
Where the graph ends in a product with a constant matrix, and in operators that treat each position
alike, it is cut before the product. The two parts compute what the whole graph does.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqmem.submissions.extras import imported
from seqmem.submissions.onnx.operators import is_standard
from seqmem.submissions.onnx.structure import messages

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

__all__ = ["Readout", "cut_readout"]

# A cut must be worth the second call: so many outputs, and so many times as many as features.
FEWEST, TIMES = 1024, 2
# Operators of one input that treat each number, or each position's numbers, alike.
ALIKE = ("Identity", "LogSoftmax", "Softmax", "Dropout")
OF_LAST_AXIS = 13  # the version of operators from which on a softmax is of one axis
WITH_CONSTANT = ("Add", "Sub", "Mul", "Div")


@dataclass(frozen=True)
class Readout:
    """The last part of a graph.

    Attributes:
        model: from features (B, L, H) to outputs (B, L, V), both float32.
        features: the name of its input, which is an output of the first part.
        output: the name of its output.
        width: H.
        outputs: V.
    """

    model: "ModelProto"
    features: str
    output: str
    width: int
    outputs: int


def cut_readout(model: "ModelProto", output: str) -> Readout | None:
    """Cut a model's graph; it keeps what computes the features and its other outputs.

    Args:
        model: a prepared model; changed if it is cut.
        output: the name of its scores, (B, L, V) of float32.

    Returns:
        the readout; None where the graph does not end in one, or one that is too small.
    """
    graph = model.graph
    made = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    opset = max(each.version for each in model.opset_import if is_standard(each.domain))
    node = made.get(output)
    while node is not None and node.op_type != "MatMul":
        before = _read_by(node, constants) if opset >= OF_LAST_AXIS else None
        node = None if before is None else made.get(before)
    if node is None or not is_standard(node.domain):
        return None
    shape = _matrix(node.input[1], made, constants)
    if shape is None or shape[1] < max(FEWEST, TIMES * shape[0]):
        return None
    features = node.input[0]
    others = [value.name for value in graph.output if value.name != output]
    if features in others or features not in made:
        return None
    helper, kinds = imported("onnx.helper", "onnx"), imported("onnx", "onnx").TensorProto
    last = type(model)(ir_version=model.ir_version)
    last.opset_import.extend(model.opset_import)
    last.graph.name = graph.name
    nodes, used = _needed(graph, [output], stop=features)
    last.graph.node.extend(graph.node[i] for i in nodes)
    last.graph.initializer.extend(each for each in graph.initializer if each.name in used)
    last.graph.input.append(helper.make_tensor_value_info(features, kinds.FLOAT, None))
    last.graph.output.append(helper.make_tensor_value_info(output, kinds.FLOAT, None))
    nodes, used = _needed(graph, [features, *others])
    there = set(nodes)
    _keep(graph.node, [i in there for i in range(len(graph.node))])
    _keep(graph.initializer, [each.name in used for each in graph.initializer])
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in (features, *others)
    )
    return Readout(last, features, output, *shape)


def _read_by(node: "NodeProto", constants: "dict[str, TensorProto]") -> str | None:
    """Return the name of what a node reads, if it treats all positions alike."""
    if not is_standard(node.domain):
        return None
    if node.op_type in ALIKE:
        axis = next((each.i for each in node.attribute if each.name == "axis"), -1)
        return node.input[0] if axis in (-1, 2) else None
    if node.op_type not in WITH_CONSTANT:
        return None
    fixed = [name in constants and _of_last_axis(constants[name]) for name in node.input]
    return node.input[fixed.index(False)] if sum(fixed) == 1 else None


def _of_last_axis(tensor: "TensorProto") -> bool:
    """Return whether a constant is the same for each position."""
    return len(tensor.dims) <= 3 and math.prod(tensor.dims[:-1]) == 1


def _matrix(
    name: str, made: "dict[str, NodeProto]", constants: "dict[str, TensorProto]"
) -> tuple[int, int] | None:
    """Return the shape of a constant matrix of float32, which may be the transpose of one."""
    turned = made.get(name)
    if turned is not None:
        if turned.op_type != "Transpose" or not is_standard(turned.domain):
            return None
        name = turned.input[0]
    tensor = constants.get(name)
    if tensor is None or len(tensor.dims) != 2:
        return None
    if tensor.data_type != imported("onnx", "onnx").TensorProto.FLOAT:
        return None
    rows, columns = tensor.dims
    return (columns, rows) if turned is not None else (rows, columns)


def _needed(
    graph: "GraphProto", outputs: Sequence[str], stop: str = ""
) -> tuple[list[int], set[str]]:
    """Return the nodes that compute some outputs, in their order, and all names that these use.

    Args:
        graph: the graph.
        outputs: names.
        stop: a name that is given, and not computed.
    """
    made = {name: i for i, node in enumerate(graph.node) for name in node.output}
    needed, used, waiting = set[int](), set[str](), list(outputs)
    while waiting:
        name = waiting.pop()
        if name in used or name == stop:
            continue
        used.add(name)
        if (i := made.get(name)) is not None and i not in needed:
            needed.add(i)
            waiting += _names(graph.node[i])
    return sorted(needed), used


def _keep(items: Any, kept: Sequence[bool]) -> None:
    """Delete the other items in place: copies of weights would need their memory twice."""
    for i in reversed(range(len(items))):
        if not kept[i]:
            del items[i]


def _names(node: "NodeProto") -> Iterator[str]:
    """Yield the names that a node reads, those of the graphs within it included."""
    for part in messages(node):
        if part.DESCRIPTOR.name == "NodeProto":
            yield from part.input
        elif part.DESCRIPTOR.name == "GraphProto":
            yield from _results(part)


def _results(graph: "GraphProto") -> Iterator[str]:
    """Yield the names of a graph's outputs, which may be those of the graph around it."""
    for value in graph.output:
        yield value.name
