"""ONNX files that are run, and what is refused only then."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from seqmem.errors import InputError, SubmissionError
from seqmem.submissions.onnx.file import OnnxModel
from seqmem.tests.onnx_models import constant, function, model, node, scores, subgraph, table, value

X = np.random.default_rng(1).random((2, 6, 3), dtype=np.float32)
ANY = value("y", dims=None)
RELU = node("Relu", ["x"], ["y"])


def opened(proto: ModelProto) -> OnnxModel:
    return OnnxModel(proto.SerializeToString(), 1)


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


def test_errors_of_the_runtime_begin_with_what_is_wrong() -> None:
    newer = model([RELU])
    newer.ir_version = 99
    with pytest.raises(SubmissionError) as caught:
        opened(newer)
    assert "the model cannot be loaded: 1 : FAIL : Unsupported model IR version: 99" in str(
        caught.value
    )


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE])
def test_outputs_are_float32(kind: int) -> None:
    made = model([node("Cast", ["x"], ["y"], to=kind)], outputs=[value("y", kind)])
    outputs = opened(made)(X)
    assert outputs.dtype == np.float32
    np.testing.assert_array_equal(outputs, X)


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
    assert opened(made).facts["receptive_field"] == 1


@pytest.mark.parametrize("field", ["", "0", "-3", "8 inputs", "9" * 30, "\u0663"])
def test_a_receptive_field_that_is_none_is_refused(field: str) -> None:
    made = scores()
    made.metadata_props.add(key="seqmem.receptive_field", value=field)
    with pytest.raises(SubmissionError, match=r"as its seqmem\.receptive_field; it must be"):
        _ = opened(made).facts


@pytest.mark.parametrize("dims", [(2, "L", 3), ("B", 6, 3), (2, 6, 3)])
def test_declared_sizes_do_not_matter_where_the_graph_reads_others(dims: Sequence[Any]) -> None:
    """Exporters fix them in graphs that hold for all sizes."""
    made = model([RELU], inputs=[value("x", dims=dims)])
    made.graph.value_info.append(value("x", dims=dims))
    longer = np.concatenate([X, X, X], 1)
    for inputs in (X, X[:1, :1], longer):
        np.testing.assert_array_equal(opened(made)(inputs), inputs)


@pytest.mark.parametrize(
    ("dims", "says"),
    [
        ((2, "L", 3), "with the batch fixed at 2; export it with torch"),
        (("B", 6, 3), "with the length fixed at 6; export it"),
        ((2, 6, 3), "with the batch fixed at 2 and the length fixed at 6; export it"),
    ],
)
def test_a_graph_that_reads_one_size_is_refused(dims: Sequence[Any], says: str) -> None:
    made = model(
        [node("Add", ["x", "c"], ["y"])],
        inputs=[value("x", dims=dims)],
        constants=[constant(np.ones((2, 6, 3), np.float32), "c")],
    )
    with pytest.raises(SubmissionError, match=says):
        opened(made)


@pytest.mark.parametrize("half", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
def test_half_floats_are_computed_in_float32(half: int) -> None:
    """Also where onnxruntime has no operator for them, or ends its process (an LSTM)."""
    source = np.random.default_rng(3)
    weight, recurrent = source.normal(size=(2, 1, 16, 4)).astype(np.float32)
    arrays = {"w": weight[..., :3], "r": recurrent, "t": table(5, 3)}
    parts = [cast(constant(array, name), half) for name, array in arrays.items()]
    nodes = [
        node("Gather", ["t", "x"], ["e"]),
        node("Transpose", ["e"], ["time"], perm=[1, 0, 2]),
        node("Cast", ["x"], ["n"], to=half),
        node("LSTM", ["time", "w", "r"], ["states"], hidden_size=4),
        node("Squeeze", ["states", "one"], ["s"]),
        node("Transpose", ["s"], ["u"], perm=[1, 0, 2]),
        node("Unsqueeze", ["n", "two"], ["m"]),
        node("Add", ["u", "m"], ["y"]),
    ]
    made = model(
        nodes,
        inputs=[value("x", TensorProto.INT64, ("B", "L"))],
        outputs=[value("y", half, None)],
        constants=[*parts, constant(np.array([1]), "one"), constant(np.array([2]), "two")],
    )
    ids = np.array([[0, 4, 2, 3], [1, 1, 3, 0]])
    outputs = opened(made)(ids)
    assert outputs.dtype == np.float32
    w, r, t = (numpy_helper.to_array(part).astype(np.float32) for part in parts)
    np.testing.assert_allclose(outputs, _lstm(t[ids], w[0], r[0]) + ids[..., None], rtol=1e-5)
    assert opened(made).signature.parameters == w.size + r.size + t.size


def _lstm(inputs: Any, weight: Any, recurrent: Any) -> Any:
    """The equations of ONNX's LSTM, without biases: gates in the order i, o, f, c."""
    hidden, cell, states = np.zeros((len(inputs), 4)), np.zeros((len(inputs), 4)), []
    for step in np.moveaxis(inputs, 1, 0):
        i, o, f, c = np.split(step @ weight.T + hidden @ recurrent.T, 4, axis=1)
        i, o, f = (1 / (1 + np.exp(-gate)) for gate in (i, o, f))
        cell = f * cell + i * np.tanh(c)
        hidden = o * np.tanh(cell)
        states.append(hidden)
    return np.stack(states, 1)


def cast(tensor: TensorProto, kind: int) -> TensorProto:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return constant(numpy_helper.to_array(tensor).astype(dtype), tensor.name)


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
