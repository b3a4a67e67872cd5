"""ONNX files: which are run, and which are refused before they are run."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, defs
from onnx.helper import make_sparse_tensor

from seqmem.errors import InputError, SubmissionError
from seqmem.submissions.onnx.check import check_onnx
from seqmem.submissions.onnx.file import OnnxModel
from seqmem.submissions.onnx.operators import OPERATORS
from seqmem.tests.onnx_models import (
    FLOATS,
    constant,
    function,
    model,
    node,
    scores,
    subgraph,
    table,
    value,
)

X = np.random.default_rng(1).random((2, 6, 3), dtype=np.float32)
ANY = value("y", dims=None)


def opened(proto: ModelProto) -> OnnxModel:
    return OnnxModel(proto.SerializeToString(), 1)


# Files that are run.


def test_the_runtime_sends_and_stores_nothing_of_the_user(tmp_path: Path) -> None:
    """Its usage statistics would write a device id into the home folder, and look up a host."""
    file = tmp_path / "model.onnx"
    file.write_bytes(scores().SerializeToString())
    code = f"""
import pathlib, time
from seqmem.submissions.onnx.file import OnnxModel
model = OnnxModel(pathlib.Path({str(file)!r}).read_bytes(), 1)
model._runtime.InferenceSession({str(file)!r}, providers=["CPUExecutionProvider"])
time.sleep(1)
"""
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: text for name, text in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=environment | {"HOME": str(home)}, check=True, timeout=100)
    assert [*home.rglob("*")] == []


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
@pytest.mark.parametrize("given_as", [np.int64, np.int32])
def test_ids_are_read_in_the_declared_type(kind: int, given_as: type[np.integer[Any]]) -> None:
    ids = np.array([[0, 4, 2], [1, 1, 3]]).astype(given_as)
    outputs = opened(scores(kind))(ids)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, table()[ids])


@pytest.mark.parametrize(
    ("kind", "bits"),
    [(TensorProto.FLOAT16, 11), (TensorProto.BFLOAT16, 8), (TensorProto.DOUBLE, 24)],
)
def test_other_floats_become_float32(kind: int, bits: int) -> None:
    made = model([node("Cast", ["x"], ["y"], to=kind)], outputs=[value("y", kind)])
    outputs = opened(made)(X)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, X, rtol=2.0**-bits)
    assert bits == 24 or not np.array_equal(outputs, X)


def test_a_wrongly_declared_output_is_run_without_messages(
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = opened(scores(dims=("B", 5, 4)))
    for length in (1, 3, 9):
        assert run(np.zeros((2, length), np.int64)).shape == (2, length, 4)
    assert capfd.readouterr() == ("", "")


def test_functions_of_the_file_are_run() -> None:
    double = function("mine", "Double", [node("Add", ["a", "a"], ["b"])])
    again = function("mine", "Four", [node("Double", ["a"], ["c"], domain="mine"),
                                      node("Double", ["c"], ["b"], domain="mine")])  # fmt: skip
    call = node("Four", ["x"], ["y"], domain="mine")
    made = model([call], functions=[double, again], domains=["mine"])
    np.testing.assert_array_equal(opened(made)(X), 4 * X)


def test_the_first_output_is_used() -> None:
    nodes = [node("Neg", ["x"], ["y"]), node("Shape", ["x"], ["z"])]
    made = model(nodes, outputs=[value("y"), value("z", TensorProto.INT64, None)])
    np.testing.assert_array_equal(opened(made)(X), -X)


def test_control_flow_is_run() -> None:
    branch = subgraph([node("Neg", ["x"], ["out"])], [value("out", dims=None)])
    other = subgraph([node("Abs", ["x"], ["out"])], [value("out", dims=None)])
    made = model(
        [node("If", ["yes"], ["y"], then_branch=branch, else_branch=other)],
        constants=[constant(np.array(True), "yes")],
    )
    np.testing.assert_array_equal(opened(made)(X), -X)


def test_dropout_that_does_nothing_is_run() -> None:
    share, off = constant(np.array(0.5, np.float32), "share"), constant(np.array(False), "off")
    made = model([node("Dropout", ["x", "share", "off"], ["y"])], constants=[share, off])
    np.testing.assert_array_equal(opened(made)(X), X)


def test_metadata_are_read() -> None:
    made = scores()
    made.metadata_props.add(key="seqmem.receptive_field", value="1")
    assert opened(made).signature.metadata == {"seqmem.receptive_field": "1"}


# Files that are refused before they run: each case builds a file, and has the expected message.


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


RELU = node("Relu", ["x"], ["y"])
TRAIN = constant(np.array(True), "on")


REFUSED: dict[str, tuple[Callable[[], ModelProto], str]] = {
    "external data": (_external, "stores the tensor 'table' in another file"),
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
    "more than the file holds": (_bomb, r"as \[1048576, 1048576\], which is more than the file"),
    "negative size": (_overflow, r"as \[-5, -4\]"),
    "two inputs": (
        lambda: model([RELU], inputs=[FLOATS, value("h")]),
        r"reads 2 inputs \('x', 'h'\); it must read one",
    ),
    "no input": (lambda: model([RELU], inputs=[]), "reads 0 inputs; it must read one"),
    "no output": (lambda: model([RELU], outputs=[]), "has no output"),
    "fixed length": (
        lambda: model([RELU], inputs=[value("x", dims=("B", 50, 3))]),
        "with the length fixed at 50; export it with dynamic axes, as in torch.onnx.export",
    ),
    "fixed batch": (
        lambda: model([RELU], inputs=[value("x", TensorProto.INT64, (1, "L"))]),
        "with the batch fixed at 1; export it with dynamic axes",
    ),
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
    "half floats in": (
        lambda: model([RELU], inputs=[value("x", TensorProto.FLOAT16)]),
        "the input 'x' of the type float16; it must be int64 or int32",
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
        check_onnx(data)
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
    check_onnx(data)
    for length in range(len(data)):
        with pytest.raises(SubmissionError, match=r"cut short|is empty"):
            check_onnx(data[:length])


CHANGED = [scores(), _random_in_a_branch(), _external_within_a_loop(), _laughs()]


@given(
    data=st.sampled_from([made.SerializeToString() for made in CHANGED]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_files_are_accepted_or_refused(data: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, byte in changes:
        damaged[place % len(damaged)] = byte
    with suppress(SubmissionError):
        check_onnx(bytes(damaged))


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
        assert check_onnx(made.SerializeToString()).kind == "float32"


def test_operators_exist_and_are_deterministic() -> None:
    known = {schema.name: schema for schema in defs.get_all_schemas() if schema.domain == ""}
    assert set(known) >= OPERATORS
    random = defs.OpSchema.NodeDeterminism.NonDeterministic
    drawing = {n for n, s in known.items() if getattr(s, "node_determinism", None) == random}
    assert drawing >= {"RandomNormal", "Multinomial"}
    # These four depend on their inner graphs or on their mode, which are checked.
    assert drawing & OPERATORS == {"Dropout", "If", "Loop", "Scan"}


# Files that are refused when they run.


def test_a_refusal_by_the_runtime_is_one_line() -> None:
    made = model([node("MatMul", ["x", "wrong"], ["y"])],
                 constants=[constant(np.ones((7, 2), np.int64), "wrong")])  # fmt: skip
    with pytest.raises(SubmissionError, match="the model cannot be loaded: ") as caught:
        opened(made)
    assert "\n" not in str(caught.value)


def test_an_error_in_the_graph_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SubmissionError, match=r"cannot read inputs of shape \(1, 1\): ") as caught:
        opened(scores())(np.array([[99]]))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([node("ReduceMax", ["x"], ["y"], keepdims=1)], r"outputs of shape \(1, 1, 1\)"),
        ([node("Flatten", ["x"], ["y"], axis=2)], r"outputs of shape \(12, 3\)"),
        ([node("Concat", ["x", "x"], ["y"], axis=1)], r"outputs of shape \(2, 12, 3\)"),
        ([node("SequenceConstruct", ["x"], ["y"])], "cannot be loaded"),
    ],
)
def test_outputs_of_the_wrong_shape(nodes: list[NodeProto], says: str) -> None:
    with pytest.raises(SubmissionError, match=says):
        opened(model(nodes, outputs=[ANY]))(X)


def test_inputs_of_another_task() -> None:
    ids, vectors = opened(scores()), opened(model([RELU]))
    with pytest.raises(SubmissionError, match=r"reads ids \(B, L\), the task has .*float32"):
        ids(X)
    with pytest.raises(SubmissionError, match="reads vectors of floats"):
        vectors(np.zeros((2, 3), np.int64))
    with pytest.raises(SubmissionError, match="reads vectors of 3, the task has 2"):
        vectors(X[:, :, :2])
    assert opened(model([RELU], inputs=[value("x", dims=("B", "L", "D"))]))(X[:, :, :2]).size == 24


def test_a_lack_of_memory_is_a_memory_error(tmp_path: Path) -> None:
    """With a limit of memory like that of an untrusted file."""
    size = constant(np.array([1 << 12, 1 << 12, 1 << 12]), "size")
    made = model(
        [node("ConstantOfShape", ["size"], ["z"]), node("ReduceSum", ["z"], ["s"], keepdims=0),
         node("Add", ["x", "s"], ["y"])],
        constants=[size],
    )  # fmt: skip
    (tmp_path / "huge.onnx").write_bytes(made.SerializeToString())
    code = """
import resource, sys, numpy
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from seqmem.submissions.onnx.file import OnnxModel
try:
    OnnxModel(open(sys.argv[1], "rb").read(), 1)(numpy.zeros((1, 1, 3), "float32"))
except MemoryError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "huge.onnx")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "there is not enough memory" in done.stdout, done.stderr


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = scores().SerializeToString()
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(InputError, match=r"pip install 'seqmem\[onnx\]'") as caught:
        OnnxModel(data, 1)
    assert missing in str(caught.value)
    assert "\n" not in str(caught.value)
