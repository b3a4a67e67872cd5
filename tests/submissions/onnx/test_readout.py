"""A graph is cut before its readout where that changes nothing, and nowhere else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx", reason="needs the onnx extra")

from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from seqmem.submissions.onnx.file import OnnxModel
from seqmem.submissions.onnx.readout import FEWEST, cut_readout
from seqmem.submissions.process.remote import RemoteModel
from seqmem.tasks.task import Tokens
from seqmem.tests.onnx_models import model, value

onnxruntime = pytest.importorskip("onnxruntime", reason="needs the onnx extra")

IDS, WIDTH, OUTPUTS = 7, 5, FEWEST + 3
RNG = np.random.default_rng(2)
NUMBERS = {
    "table": RNG.normal(size=(IDS, WIDTH)).astype(np.float32),
    "weight": RNG.normal(size=(WIDTH, OUTPUTS)).astype(np.float32),
    "turned": RNG.normal(size=(OUTPUTS, WIDTH)).astype(np.float32),
    "bias": RNG.normal(size=OUTPUTS).astype(np.float32),
    "half": np.array(0.5, np.float32),
    "by_place": RNG.normal(size=(1, 3, OUTPUTS)).astype(np.float32),
    "small": RNG.normal(size=(WIDTH, 8)).astype(np.float32),
}

Node = tuple[str, Sequence[str], str]


def graph(*nodes: Node, opset: int = 20, **attributes: Any) -> ModelProto:
    """Return ids -> features by a table -> tanh -> the given nodes; attributes are the last's."""
    made = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Tanh", ["rows"], ["features"]),
        *(helper.make_node(kind, list(read), [name]) for kind, read, name in nodes[:-1]),
    ]
    kind, read, name = nodes[-1]
    made.append(helper.make_node(kind, list(read), [name], **attributes))
    used = {each for node in made for each in node.input}
    return model(
        made,
        inputs=[value("ids", TensorProto.INT64, ("B", "L"))],
        outputs=[value(name, dims=("B", "L", "V"))],
        constants=[numpy_helper.from_array(NUMBERS[n], n) for n in NUMBERS if n in used],
        opset=opset,
    )


PRODUCT: Node = ("MatMul", ["features", "weight"], "scores")
BIAS: Node = ("Add", ["bias", "scores"], "biased")
CUT: dict[str, tuple[Sequence[Node], dict[str, int]]] = {
    "product": ([PRODUCT], {}),
    "bias": ([PRODUCT, BIAS], {}),
    "scaled": ([PRODUCT, BIAS, ("Mul", ["biased", "half"], "out")], {}),
    "probabilities": ([PRODUCT, BIAS, ("LogSoftmax", ["biased"], "out")], {"axis": -1}),
    "third axis": ([PRODUCT, ("Softmax", ["scores"], "out")], {"axis": 2}),
    "tied": ([("Transpose", ["turned"], "w"), ("MatMul", ["features", "w"], "out")], {}),
}
WHOLE: dict[str, tuple[Sequence[Node], dict[str, int]]] = {
    "few outputs": ([("MatMul", ["features", "small"], "out")], {}),
    "softmax over positions": ([PRODUCT, ("Softmax", ["scores"], "out")], {"axis": 1}),
    "a bias of each position": ([PRODUCT, ("Add", ["scores", "by_place"], "out")], {}),
    "a sum over positions": ([PRODUCT, ("CumSum", ["scores", "half"], "out")], {}),
    "a product of two results": (
        [
            ("Transpose", ["features"], "w"),
            ("MatMul", ["features", "w"], "squares"),
            ("MatMul", ["squares", "by_place"], "out"),
        ],
        {},
    ),
}


def computed(whole: ModelProto, ids: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(whole.SerializeToString())
    (found,) = session.run(None, {"ids": ids})
    return np.asarray(found)


@pytest.mark.parametrize("name", CUT)
def test_a_cut_graph_computes_what_the_whole_one_does(name: str) -> None:
    nodes, attributes = CUT[name]
    whole = graph(*nodes, **attributes)
    ids = RNG.integers(0, IDS, (2, 6))
    expected = computed(whole, ids)
    file = OnnxModel(whole.SerializeToString(), 1)
    assert file.readout is not None
    assert (file.readout.width, file.readout.outputs) == (WIDTH, OUTPUTS)
    features, _ = file.features(ids)
    assert features.shape == (2, 6, WIDTH)
    np.testing.assert_allclose(file(ids), expected, rtol=1e-5, atol=1e-6)
    # Rows of features, in any company, as a process is asked for them.
    some = features[[1, 0, 1], [5, 2, 0]]
    np.testing.assert_allclose(
        file.outputs(some[None])[0], expected[[1, 0, 1], [5, 2, 0]], rtol=1e-5, atol=1e-6
    )
    spec = Tokens(IDS)
    with RemoteModel(whole.SerializeToString(), spec, OUTPUTS, sandbox=False) as remote:
        assert remote.floats_per_step == WIDTH
        hidden, _ = remote.hidden(torch.from_numpy(ids))
        np.testing.assert_allclose(remote.readout(hidden), expected, rtol=1e-5, atol=1e-6)
        assert remote.readout(hidden[:0]).shape == (0, 6, OUTPUTS)


@pytest.mark.parametrize("name", WHOLE)
def test_what_combines_positions_is_not_cut_off(name: str) -> None:
    nodes, attributes = WHOLE[name]
    whole = graph(*nodes, **attributes)
    before = whole.SerializeToString(deterministic=True)
    assert cut_readout(whole, nodes[-1][2]) is None
    assert whole.SerializeToString(deterministic=True) == before


def test_a_softmax_of_older_files_is_of_all_axes_after_its_own() -> None:
    nodes = [PRODUCT, ("LogSoftmax", ["scores"], "out")]
    assert cut_readout(graph(*nodes, opset=13), "out") is not None
    assert cut_readout(graph(*nodes, opset=12), "out") is None


def test_what_is_cut_off_may_be_used_elsewhere() -> None:
    """A state that depends on the outputs keeps the nodes that compute it."""
    whole = graph(PRODUCT, BIAS)
    whole.graph.input.append(value("state_h", dims=(1, "B", 1)))
    whole.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["scores"], ["most"], keepdims=0),
            helper.make_node("Add", ["state_h", "most"], ["state_h_out"]),
        ]
    )
    whole.graph.output.append(value("state_h_out", dims=(1, "B", 1)))
    ids = RNG.integers(0, IDS, (2, 4))
    expected = NUMBERS["weight"].T @ np.tanh(NUMBERS["table"][ids])[..., None]
    file = OnnxModel(whole.SerializeToString(), 1)
    assert file.readout is not None
    outputs, state = file.read(ids)
    np.testing.assert_allclose(outputs, expected[..., 0] + NUMBERS["bias"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state, np.full((2, 1), expected.max()), rtol=1e-5)


def test_another_number_of_outputs_than_the_tasks_is_refused_as_before() -> None:
    whole = graph(PRODUCT)
    with RemoteModel(whole.SerializeToString(), Tokens(IDS), OUTPUTS + 1, sandbox=False) as remote:
        with pytest.raises(Exception, match=rf"returned \({OUTPUTS},\) outputs") as caught:
            remote.hidden(torch.zeros(1, 2, dtype=torch.int64))
        assert f"requires ({OUTPUTS + 1},)" in str(caught.value)


def test_nodes_of_the_graph_keep_their_order() -> None:
    whole = graph(PRODUCT, BIAS)
    readout = cut_readout(whole, "biased")
    assert readout is not None

    def kinds(nodes: Sequence[NodeProto]) -> list[str]:
        return [node.op_type for node in nodes]

    assert kinds(whole.graph.node) == ["Gather", "Tanh"]
    assert kinds(readout.model.graph.node) == ["MatMul", "Add"]
    assert [tensor.name for tensor in whole.graph.initializer] == ["table"]
