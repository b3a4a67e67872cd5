"""Check what an ONNX file computes, before anything is computed.

The graph consists of operators whose outputs are determined by their inputs (operators.py), and of
functions that the file defines. The memory and time of a graph that runs (ConstantOfShape, Expand,
Tile, a Loop without end) cannot be checked here; they are limited in the process in which it runs.
"""

from collections import Counter
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from seqmem.submissions.onnx.operators import (
    CONTROL,
    OLDEST_OPSET,
    OPERATORS,
    is_reserved,
    is_standard,
)
from seqmem.submissions.onnx.structure import Message, check_structure, messages, named, refuse

if TYPE_CHECKING:
    from onnx import FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto

__all__ = ["check_model"]

# The size of a graph in which every function call is replaced by the function's body.
MOST_NODES = 1_000_000


def check_model(model: "ModelProto") -> None:
    """Check all messages of an ONNX file, and all nodes.

    Raises:
        SubmissionError: it is refused.
    """
    check_structure(model)
    functions = {_key(function): function for function in model.functions}
    if len(functions) != len(model.functions):
        refuse("defines a function twice")
    _check_opsets(model.opset_import)
    for function in model.functions:
        if is_reserved(function.domain):
            refuse(
                f"defines the function {named(function.name)} in the domain "
                f"{named(function.domain)}, which is a runtime's own"
            )
        _check_opsets(function.opset_import)
        for attribute in function.attribute_proto:
            if attribute.type == attribute.GRAPH:
                _refuse_graph(attribute.name)
    false = _false_names(model)
    for node in _of(model, "NodeProto"):
        called = _key(node) in functions
        if not called:
            _check_operator(node, false)
        for attribute in node.attribute:
            # Anywhere else, the size of the unfolded graph would not be the sum over its nodes.
            if attribute.type == attribute.GRAPH and (
                called or node.op_type not in CONTROL or attribute.ref_attr_name
            ):
                _refuse_graph(attribute.name)
    _check_unfolding(model, functions)


def _refuse_graph(name: str) -> None:
    refuse(f"passes a graph in the attribute {named(name)}; only If, Loop and Scan contain graphs")


def _check_operator(node: "NodeProto", false: frozenset[str]) -> None:
    if not is_standard(node.domain):
        refuse(
            f"uses the operator {named(node.op_type)} of the domain {named(node.domain)}: only "
            "ONNX's own operators are allowed"
        )
    if node.op_type not in OPERATORS:
        refuse(
            f"uses the operator {named(node.op_type)}, which is not among the accepted ones, those "
            "of sequence models whose outputs are determined by their inputs"
        )
    # Inside a function, the caller may set an attribute.
    trains = any(a.name == "training_mode" and (a.i or a.ref_attr_name) for a in node.attribute)
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        trains = trains or node.input[2] not in false
    if node.op_type in ("Dropout", "BatchNormalization") and trains:
        refuse(f"uses {node.op_type} in training mode; export it in evaluation mode")


def _false_names(model: "ModelProto") -> frozenset[str]:
    """Return the names that are the constant False wherever the file defines them."""
    graphs = _of(model, "GraphProto")
    constants = [tensor for graph in graphs for tensor in graph.initializer]
    others = [tensor.name for tensor in constants if not _is_false(tensor)]
    others += [name for function in model.functions for name in function.input]
    others += [name for node in _of(model, "NodeProto") for name in node.output]
    # Not the inputs of the whole graph: one that has a constant of its name keeps it.
    others += [value.name for graph in graphs[1:] for value in graph.input]
    return frozenset(tensor.name for tensor in constants) - frozenset(others)


def _is_false(tensor: "TensorProto") -> bool:
    return tensor.data_type == tensor.BOOL and (
        tensor.raw_data == b"\0" or list(tensor.int32_data) == [0]
    )


def _check_unfolding(model: "ModelProto", functions: "dict[_Key, FunctionProto]") -> None:
    """Check that no function calls itself, and the size of the graph with all calls replaced."""
    bodies = {key: _keys(function) for key, function in functions.items()}
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
        refuse("holds functions that call themselves")
    if size(_keys(model.graph)) > MOST_NODES:
        refuse(f"unfolds to more than {MOST_NODES:,} operators")


def _check_opsets(imports: "Iterable[OperatorSetIdProto]") -> None:
    versions = [entry.version for entry in imports if is_standard(entry.domain)]
    if not versions:
        refuse("does not declare its version of ONNX's operators, or is cut short")
    if min(versions) < OLDEST_OPSET:
        refuse(
            f"uses version {min(versions)} of ONNX's operators; export it with {OLDEST_OPSET} or "
            "later"
        )


_Key = tuple[str, str, str]  # domain, name, overload


def _key(called: "NodeProto | FunctionProto") -> "_Key":
    """Return the key by which a function is called."""
    name = called.op_type if hasattr(called, "op_type") else called.name
    return called.domain, name, called.overload


def _keys(holder: Message) -> Counter[_Key]:
    """Return how often a function or graph calls each operator or function."""
    return Counter(_key(node) for node in _of(holder, "NodeProto"))


def _of(holder: Message, kind: str) -> list[Any]:
    """Return all messages of a kind in another."""
    return [message for message in messages(holder) if message.DESCRIPTOR.name == kind]
