"""ONNX files that are refused before they run: each case has its message."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, defs
from onnx.helper import make_attribute, make_sparse_tensor

from seqmem.errors import SubmissionError
from seqmem.submissions.onnx.file import OnnxModel, read_onnx
from seqmem.submissions.onnx.operators import OPERATORS
from seqmem.tests.onnx_models import (
    FLOATS,
    constant,
    function,
    model,
    node,
    scores,
    subgraph,
    value,
)

RELU = node("Relu", ["x"], ["y"])


def _external() -> ModelProto:
    made = scores()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return made


def _external_within_a_loop() -> ModelProto:
    hidden = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[1])
    hidden.external_data.add(key="location", value="weights.bin")
    return model(_loop([node("Constant", [], ["c"], value=hidden)]))


def _loop(nodes: list[NodeProto], trips: str = "") -> list[NodeProto]:
    """A Loop whose condition stays true, whose state is x, and whose body contains these nodes."""
    body = subgraph(
        [*nodes, node("Identity", ["on"], ["still"]), node("Relu", ["s"], ["t"])],
        [value("still", TensorProto.BOOL, ()), value("t", dims=None)],
        [value("i", TensorProto.INT64, ()), value("on", TensorProto.BOOL, ()),
         value("s", dims=None)],
    )  # fmt: skip
    return [node("Loop", [trips, "", "x"], ["y"], body=body)]


def _random_in_a_branch() -> ModelProto:
    drawn = subgraph([node("RandomNormal", [], ["out"], shape=[1])], [value("out", dims=None)])
    plain = subgraph([node("Neg", ["x"], ["out"])], [value("out", dims=None)])
    never = constant(np.array(False), "never")
    branch = node("If", ["never"], ["n"], then_branch=drawn, else_branch=plain)
    return model([branch, node("Add", ["x", "n"], ["y"])], constants=[never])


def _function(body: NodeProto, domain: str = "mine", opset: int = 20) -> ModelProto:
    made = function(domain, "Own", [body], opset)
    call = node("Own", ["x"], ["y"], domain=domain)
    return model([call], functions=[made], domains=[domain] if domain else [])


def _recursive() -> ModelProto:
    return _function(node("Own", ["a"], ["b"], domain="mine"))


def _laughs() -> ModelProto:
    """Each function calls the next one ten times: 10^9 operators from a few hundred bytes."""
    functions = [function("mine", "F9", [node("Relu", ["a"], ["b"])])]
    for i in range(9):
        names = ["a", *(f"c{j}" for j in range(9)), "b"]
        calls = [
            node(f"F{i + 1}", [before], [after], domain="mine") for before, after in pairwise(names)
        ]
        functions.append(function("mine", f"F{i}", calls))
    call = node("F0", ["x"], ["y"], domain="mine")
    return model([call], functions=functions, domains=["mine"])


def _bomb() -> ModelProto:
    made = scores()
    made.graph.initializer[0].dims[:] = [1 << 20, 1 << 20]
    return made


def _overflow() -> ModelProto:
    made = scores()
    made.graph.initializer[0].dims[:] = [-5, -4]
    return made


def _sparse() -> ModelProto:
    made = scores()
    values, at = constant(np.ones(1, np.float32), "s"), constant(np.array([0]), "s_at")
    made.graph.sparse_initializer.append(make_sparse_tensor(values, at, [5, 4]))
    return made


def _trains() -> ModelProto:
    made = scores()
    made.training_info.add()
    return made


def _no_opset() -> ModelProto:
    made = scores()
    made.ClearField("opset_import")
    return made


def _training_mode_left_to_the_caller() -> ModelProto:
    normalise = node("BatchNormalization", ["a", "a", "a", "a", "a"], ["b"])
    normalise.attribute.add(name="training_mode", ref_attr_name="mode", type=2)
    return _function(normalise)


def _external_default() -> ModelProto:
    """The tensor is in the default of a function's attribute, to which its node refers."""
    made = _default(TensorProto(name="secret", data_type=TensorProto.UINT8, dims=[4]))
    tensor = made.functions[0].attribute_proto[0].t
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="etc/passwd")
    return made


def _default(given: TensorProto | GraphProto) -> ModelProto:
    made = _function(node("Constant", [], ["b"]))
    default = make_attribute("content", given)
    made.functions[0].attribute_proto.append(default)
    made.functions[0].node[0].attribute.add(
        name="value", ref_attr_name="content", type=default.type
    )
    return made


def _random_in_a_default() -> ModelProto:
    drawn = subgraph([node("RandomNormal", [], ["out"], shape=[1])], [value("out", dims=None)])
    return _default(drawn)


def _graph_for_a_function() -> ModelProto:
    """Its body could contain the graph any number of times."""
    made = _function(node("Relu", ["a"], ["b"]))
    made.graph.node[0].attribute.append(make_attribute("body", subgraph([], [])))
    return made


def _dropout(off: Sequence[TensorProto], *nodes: NodeProto) -> ModelProto:
    return model([*nodes, node("Dropout", ["x", "", "off"], ["y"])], constants=off)


def _stored_twice() -> TensorProto:
    """The library reads one of the two values, and the runtime may read the other one."""
    twice = constant(np.array(False), "off")
    twice.int32_data.append(1)
    return twice


def _unknown_field() -> ModelProto:
    made = ModelProto()
    made.ParseFromString(scores().SerializeToString() + b"\xfa\x7f\x03abc")  # field 2047
    return made


def _attribute(**fields: Any) -> ModelProto:
    relu = node("Relu", ["x"], ["y"])
    relu.attribute.add(name="alpha", **fields)
    return model([relu])


def _edited(edit: Callable[[ModelProto], object]) -> ModelProto:
    made = scores()
    edit(made)
    return made


OFF = constant(np.array(False), "off")
ON = constant(np.array(True), "off")
TRAIN = constant(np.array(True), "on")


REFUSED: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "external data": (_external, "stores the tensor 'table' in another file"),
    "external data in a function's default": (
        _external_default,
        "stores the tensor 'secret' in another file",
    ),
    "external data without a place": (
        lambda: _edited(lambda made: made.graph.initializer[0].external_data.add(key="offset")),
        "stores the tensor 'table' in another file",
    ),
    "external data of a node's attribute in a list": (
        lambda: _attribute(type=9, tensors=[_external().graph.initializer[0]]),
        "stores the tensor 'table' in another file|the attribute 'alpha' of the type TENSORS",
    ),
    "random in a function's default": (_random_in_a_default, "passes a graph in .* 'content'"),
    "a graph for a function": (_graph_for_a_function, "passes a graph in the attribute 'body'"),
    "a graph for an operator": (
        lambda: model([node("Relu", ["x"], ["y"], body=subgraph([], []))]),
        "passes a graph in the attribute 'body'; only If, Loop and Scan",
    ),
    "dropout by a name that is True elsewhere": (
        lambda: _dropout([OFF, ON]),
        "Dropout in training mode",
    ),
    "dropout by a name that is computed elsewhere": (
        lambda: _dropout([OFF], node("Not", ["off2"], ["off"])),
        "Dropout in training mode",
    ),
    "a constant stored twice": (lambda: _dropout([_stored_twice()]), "stores the tensor 'off' as"),
    "a field that nobody knows": (_unknown_field, "fields of ModelProto that ONNX does not define"),
    "devices": (
        lambda: _edited(lambda made: made.configuration.add(name="gpu")),
        "uses ModelProto.configuration of ONNX, which is not allowed",
    ),
    "an attribute of two types": (
        lambda: _attribute(type=1, f=1.0, i=1),
        "the attribute 'alpha' of the type FLOAT with f, i",
    ),
    "an attribute of another type": (lambda: _attribute(type=2, f=1.0), "of the type INT with f"),
    "a type as an attribute": (
        lambda: _attribute(type=13, tp=TypeProto(denotation="x")),
        "of the type TYPE_PROTO with tp",
    ),
    "a sparse attribute": (
        lambda: _attribute(type=11, sparse_tensor=_sparse().graph.sparse_initializer[0]),
        "holds sparse tensors",
    ),
    "text": (
        lambda: _edited(lambda made: made.graph.initializer.append(
            TensorProto(name="t", data_type=8, dims=[1], string_data=[b"x"]))),
        "uses the type string for the tensor 't'",
    ),
    "a cast to text": (
        lambda: model([node("Cast", ["x"], ["y"], to=TensorProto.STRING)]),
        "uses the type string for the attribute 'to'",
    ),
    "complex numbers": (
        lambda: model([RELU], inputs=[value("x", TensorProto.COMPLEX64)]),
        "uses the type complex64 for a tensor",
    ),
    "many dimensions": (
        lambda: _edited(lambda made: made.graph.initializer[0].dims.extend([1] * 99)),
        "with 101 dimensions, more than 64",
    ),
    "external data in a loop": (_external_within_a_loop, "stores the tensor 'secret' in another"),
    "custom domain": (
        lambda: model([node("Relu", ["x"], ["y"], domain="evil")], domains=["evil"]),
        "the operator 'Relu' of the domain 'evil'",
    ),
    "the runtime's own domain": (
        lambda: model([node("Gelu", ["x"], ["y"], domain="com.microsoft")]),
        "the operator 'Gelu' of the domain 'com.microsoft'",
    ),
    "unknown operator": (lambda: model([node("Relo", ["x"], ["y"])]), "operator 'Relo', which"),
    "random": (lambda: model([node("Bernoulli", ["x"], ["y"])]), "the operator 'Bernoulli'"),
    "random in a branch": (_random_in_a_branch, "the operator 'RandomNormal'"),
    "random in a loop": (
        lambda: model(_loop([node("RandomNormalLike", ["s"], ["r"])])),
        "the operator 'RandomNormalLike'",
    ),
    "random in a function": (
        lambda: _function(node("RandomUniformLike", ["a"], ["b"])),
        "the operator 'RandomUniformLike'",
    ),
    "strings": (lambda: model([node("StringNormalizer", ["x"], ["y"])]), "'StringNormalizer'"),
    "optional": (lambda: model([node("Optional", ["x"], ["y"])]), "'Optional'"),
    "control characters": (lambda: model([node("\x1b[31m\n", ["x"], ["y"])]), r"'\\x1b\[31m\\n'"),
    "dropout in training": (
        lambda: model([node("Dropout", ["x", "", "on"], ["y"])], constants=[TRAIN]),
        "Dropout in training mode",
    ),
    "dropout by an input": (
        lambda: model([node("Not", ["f"], ["on"]), node("Dropout", ["x", "", "on"], ["y"])]),
        "Dropout in training mode",
    ),
    "batch statistics": (
        lambda: model([node("BatchNormalization", ["x"] * 5, ["y"], training_mode=1)]),
        "BatchNormalization in training mode",
    ),
    "batch statistics by a caller": (
        _training_mode_left_to_the_caller,
        "BatchNormalization in training mode",
    ),
    "recursive function": (_recursive, "functions that call themselves"),
    "a billion laughs": (_laughs, "unfolds to more than 1,000,000 operators"),
    "function in ONNX's domain": (
        lambda: _function(node("Relu", ["a"], ["b"]), ""),
        "the function 'Own' in the domain ''",
    ),
    "function in the runtime's domain": (
        lambda: _function(node("Relu", ["a"], ["b"]), "com.microsoft"),
        "the function 'Own' in the domain 'com.microsoft'",
    ),
    "old function": (lambda: _function(node("Relu", ["a"], ["b"]), opset=6), "uses version 6"),
    "old": (lambda: model([RELU], opset=6), "uses version 6 of ONNX's operators"),
    "no version": (_no_opset, "does not declare its version"),
    "training": (_trains, "holds graphs for training"),
    "sparse": (_sparse, "holds sparse tensors"),
    "more than the file holds": (_bomb, r"as \[1048576, 1048576\], which is not what the file"),
    "negative size": (_overflow, r"as \[-5, -4\]"),
    "two inputs": (
        lambda: model([RELU], inputs=[FLOATS, value("h")]),
        r"reads 2 inputs \('x', 'h'\); it must read one",
    ),
    "no input": (lambda: model([RELU], inputs=[]), "reads 0 inputs; it must read one"),
    "no output": (lambda: model([RELU], outputs=[]), "has no output"),
    "vectors of ids": (
        lambda: model([RELU], inputs=[value("x", TensorProto.INT64)]),
        r"'x' of int64, its number of dimensions 3; ids are integers \(B, L\)",
    ),
    "floats without vectors": (
        lambda: model([RELU], inputs=[value("x", dims=("B", "L"))]),
        "number of dimensions 2; vectors are float32",
    ),
    "unknown rank": (
        lambda: model([RELU], inputs=[value("x", dims=None)]),
        "its number of dimensions unknown",
    ),
    "double in": (
        lambda: model([RELU], inputs=[value("x", TensorProto.DOUBLE)]),
        "the input 'x' of the type double; it must be int64 or int32",
    ),
    "integers out": (
        lambda: model([RELU], outputs=[value("y", TensorProto.INT64)]),
        "the output 'y' of the type int64; it must be floats",
    ),
    "no type out": (
        lambda: model([RELU], outputs=[value("y", TensorProto.UNDEFINED)]),
        "the output 'y' of the type undefined",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused_for_its_own_reason(case: str) -> None:
    make, says = REFUSED[case]
    data = make().SerializeToString()
    with pytest.raises(SubmissionError, match=says) as caught:
        read_onnx(data)
    assert "\n" not in str(caught.value)
    with pytest.raises(SubmissionError, match=says):
        OnnxModel(data, 1)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"import torch\nprint(torch)\n", "is not an ONNX file, or is cut short"),
        (b'{"model": "lstm"}', "is not an ONNX file"),
        (b"\n", "is not an ONNX file"),
        (np.random.default_rng(0).bytes(4096), "is not an ONNX file"),
    ],
)
def test_other_files_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(SubmissionError, match=says):
        OnnxModel(data, 1)


def test_every_cut_is_refused() -> None:
    data = scores().SerializeToString()
    read_onnx(data)
    for length in range(len(data)):
        with pytest.raises(SubmissionError, match=r"cut short|is empty"):
            read_onnx(data[:length])


def test_unlimited_loops_and_sizes_are_not_refused() -> None:
    """A loop without end and a tensor of 256 GiB: the process that runs them needs limits."""
    endless = model(_loop([]))
    size = constant(np.array([1 << 12, 1 << 12, 1 << 12]), "size")
    huge = model(
        [node("ConstantOfShape", ["size"], ["z"]), node("ReduceSum", ["z"], ["s"], keepdims=0),
         node("Add", ["x", "s"], ["y"])],
        constants=[size],
    )  # fmt: skip
    for made in (endless, huge):
        assert read_onnx(made.SerializeToString())[1].kind == "float32"


def test_operators_exist_and_are_deterministic() -> None:
    known = {schema.name: schema for schema in defs.get_all_schemas() if schema.domain == ""}
    assert set(known) >= OPERATORS
    random = defs.OpSchema.NodeDeterminism.NonDeterministic
    drawing = {n for n, s in known.items() if getattr(s, "node_determinism", None) == random}
    assert drawing >= {"RandomNormal", "Multinomial"}
    # These four depend on their inner graphs or on their mode, which are checked.
    assert drawing & OPERATORS == {"Dropout", "If", "Loop", "Scan"}
