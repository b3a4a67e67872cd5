"""Small ONNX files for tests, valid ones and others."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from onnx.helper import (
    make_function,
    make_graph,
    make_model,
    make_node,
    make_operatorsetid,
    make_tensor_value_info,
)
from onnx.numpy_helper import from_array

__all__ = [
    "FLOATS",
    "Dims",
    "constant",
    "function",
    "model",
    "node",
    "scores",
    "subgraph",
    "table",
    "value",
]

Dims = Sequence[int | str | None] | None

node = make_node
constant = from_array


def value(name: str, kind: int = TensorProto.FLOAT, dims: Dims = ("B", "L", 3)) -> ValueInfoProto:
    return make_tensor_value_info(name, kind, dims)


FLOATS = value("x")


def model(
    nodes: Sequence[NodeProto],
    *,
    inputs: Sequence[ValueInfoProto] = (FLOATS,),
    outputs: Sequence[ValueInfoProto] = (value("y"),),
    constants: Sequence[TensorProto] = (),
    functions: Sequence[FunctionProto] = (),
    opset: int = 20,
    domains: Sequence[str] = (),
) -> ModelProto:
    graph = make_graph(nodes, "graph", inputs, outputs, constants)
    imports = [make_operatorsetid("", opset), *(make_operatorsetid(d, 1) for d in domains)]
    return make_model(graph, opset_imports=imports, ir_version=10, functions=functions)


def subgraph(
    nodes: Sequence[NodeProto],
    outputs: Sequence[ValueInfoProto],
    inputs: Sequence[ValueInfoProto] = (),
    constants: Sequence[TensorProto] = (),
) -> GraphProto:
    return make_graph(nodes, "branch", inputs, outputs, constants)


def function(domain: str, name: str, nodes: Sequence[NodeProto], opset: int = 20) -> FunctionProto:
    """A function with one input, a, and one output, b."""
    imports = [make_operatorsetid("", opset), make_operatorsetid("mine", 1)]
    return make_function(domain, name, ["a"], ["b"], nodes, imports)


def table(ids: int = 5, outputs: int = 4) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(ids, outputs)).astype(np.float32)


def scores(kind: int = TensorProto.INT64, dims: Dims = ("B", "L", 4)) -> ModelProto:
    """A model whose outputs are the rows of `table()`."""
    return model(
        [onnx.helper.make_node("Gather", ["table", "x"], ["y"])],
        inputs=[value("x", kind, ("B", "L"))],
        outputs=[value("y", TensorProto.FLOAT, dims)],
        constants=[constant(table(), "table")],
    )
