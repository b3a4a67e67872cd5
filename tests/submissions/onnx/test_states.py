"""States that ONNX files carry: read in pieces as at once, measured as in this process."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto
from torch import Tensor, nn

from seqmem.baselines.lru import LRU
from seqmem.baselines.training.loop import seeded
from seqmem.errors import ModelMemoryError, RefusedError, SubmissionError
from seqmem.leaderboard.record import Record
from seqmem.measuring.precision import Precision
from seqmem.measuring.scoring import in_batches
from seqmem.measuring.settings import MeasurementSettings
from seqmem.submissions.measure import measure_trained
from seqmem.submissions.onnx.export import _quiet, export_onnx
from seqmem.submissions.onnx.file import OnnxModel
from seqmem.submissions.process.remote import RemoteModel
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Features, Task
from seqmem.tests.onnx_models import Dims, constant, model, node, table, value

SETTINGS = MeasurementSettings(contexts=(1, 4, "full"), precision=Precision(0.05, relative=True))


def sums(*axes: int) -> ModelProto:
    """Cumulative sums of the inputs, plus those before in each of the states.

    The states have their batch at these axes.
    """
    nodes = [node("CumSum", ["x", "one"], ["new"])]
    inputs, outputs = [value("x")], [value("y")]
    total = "new"
    for place, axis in enumerate(axes):
        shape: list[int | str] = [3, 1] if axis == 2 else [1, 3]
        shape.insert(axis, "B")
        turned = [axis, *(i for i in range(3) if i != axis)]
        back = [turned.index(i) for i in range(3)]
        before, after = f"state{place}", f"state{place}_out"
        inputs.append(value(before, dims=shape))
        outputs.append(value(after, dims=None))
        nodes += [
            node("Transpose", [before], [f"{before}.first"], perm=turned),
            node("Reshape", [f"{before}.first", "rows"], [f"{before}.rows"]),
            node("Add", [total, f"{before}.rows"], [f"{before}.total"]),
        ]
        total = f"{before}.total"
        nodes += [
            node("Gather", ["new", "last"], [f"{after}.new"], axis=1),
            node("Add", [f"{after}.new", f"{before}.rows"], [f"{after}.sum"]),
            node("Reshape", [f"{after}.sum", "column" if axis == 2 else "row"], [f"{after}.first"]),
            node("Transpose", [f"{after}.first"], [after], perm=back),
        ]
    nodes.append(node("Identity", [total], ["y"]))
    shapes = {"one": 1, "last": [-1], "rows": [-1, 1, 3], "row": [-1, 1, 3], "column": [-1, 3, 1]}
    constants = [constant(np.array(number), name) for name, number in shapes.items()]
    return model(nodes, inputs=inputs, outputs=outputs, constants=constants)


def opened(proto: ModelProto) -> OnnxModel:
    return OnnxModel(proto.SerializeToString(), 1)


@settings(max_examples=30, deadline=None)
@given(
    axes=st.lists(st.integers(0, 2), min_size=1, max_size=3),
    batch=st.integers(1, 4),
    pieces=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_pieces_are_read_as_the_whole(
    axes: list[int], batch: int, pieces: list[int], seed: int
) -> None:
    run = opened(sums(*axes))
    inputs = np.random.default_rng(seed).random((batch, sum(pieces), 3), np.float32)
    carried, outputs = None, []
    ends = np.cumsum(pieces)
    for piece in np.split(inputs, ends[:-1], axis=1):
        found, carried = run.read(piece, carried)
        assert carried.shape == (batch, 3 * len(axes))
        outputs.append(found)
    expected = inputs.cumsum(1)
    for begin, end in pairwise(ends):
        # Once they are in the sums.
        expected[:, begin:end] += (len(axes) - 1) * inputs[:, :begin].sum(1, keepdims=True)
    np.testing.assert_allclose(np.concatenate(outputs, 1), expected, rtol=1e-4)
    assert run.facts == {"parameters": 0, "state_floats": 3 * len(axes)}


def test_states_return_to_the_process_that_computed_them() -> None:
    inputs = torch.rand(4, 9, 3, generator=torch.Generator().manual_seed(0))
    data, none = sums(1, 2).SerializeToString(), torch.zeros(0, dtype=torch.int64)
    with RemoteModel(data, Features(3), 3, sandbox=False) as remote:
        assert remote.stateful
        assert remote.state_size(5) == 6
        _, state = remote.features_at(inputs[:, :4], none, none)
        assert state.shape == (4, 6)
        features, after = remote.hidden(inputs[:, 4:], state)
        expected = inputs.cumsum(1)[:, 4:] + inputs[:, :4].sum(1, keepdim=True)
        assert torch.allclose(features, expected)
        assert torch.allclose(after, inputs.sum(1).repeat(1, 2))
        # Each call depends on what it is given alone.
        assert torch.allclose(remote.hidden(inputs)[0], inputs.cumsum(1))
        assert torch.equal(remote.hidden(inputs[:, 4:], state)[0], features)
    with RemoteModel(sums().SerializeToString(), Features(3), 3, sandbox=False) as remote:
        assert not remote.stateful
        assert remote.state_size(5) is None
        assert remote.hidden(inputs)[1] is None


def test_states_that_no_answer_holds_are_read_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("seqmem.submissions.process.process_model.LARGEST", 20)
    inputs, none = torch.ones(4, 2, 3), torch.zeros(0, dtype=torch.int64)
    read: list[Tensor] = []
    with RemoteModel(sums(1, 2).SerializeToString(), Features(3), 3, sandbox=False) as remote:
        with pytest.raises(ModelMemoryError, match="and 4 states of 6 floats are more than one"):
            remote.features_at(inputs, none, none)
        in_batches(inputs, 4, lambda some: read.append(remote.features_at(some, none, none)[1]))
    assert torch.equal(torch.cat(read), torch.full((4, 6), 2.0))


# Files that are refused.

ANY = ("B", "L", 3)
SHAPED: dict[str, tuple[Sequence[Dims], str]] = {
    "fixed": ([(2, 4, 3)], r"'state' of shape \(2, 4, 3\); one axis must be without a fixed size"),
    "two free axes": ([("C", "D", 3)], r"'state' of shape \('C', 'D', 3\); one axis"),
    "no axis": ([()], r"'state' of shape \(\); one axis"),
    "unknown": ([None], r"'state' of shape \(\); one axis"),
    "huge": ([("B", 1 << 30)], "carries states of more than 67,108,864 floats"),
}


def carrying(
    *dims: Dims,
    nodes: Sequence[NodeProto] = (),
    before: str = "state",
    after: str = "state_out",
    kinds: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
) -> ModelProto:
    return model(
        [node("Relu", ["x"], ["y"]), *(nodes or [node("Neg", [before], [after])])],
        inputs=[value("x"), *(value(before, kinds[0], each) for each in dims)],
        outputs=[value("y"), value(after, kinds[1], None)],
    )


@pytest.mark.parametrize("case", SHAPED)
def test_a_state_has_one_axis_without_a_size(case: str) -> None:
    dims, says = SHAPED[case]
    refused(carrying(*dims), says)


def refused(proto: ModelProto, says: str) -> None:
    with pytest.raises(SubmissionError, match=says) as caught:
        opened(proto)
    assert "\n" not in str(caught.value)


def test_among_free_axes_that_of_the_batch_has_its_name() -> None:
    """Not here: the other axis has no size then."""
    refused(carrying(("L", "B", 3)), r"\('L', 'B', 3\); one axis must be without a fixed size")


def test_states_come_in_pairs_of_floats() -> None:
    refused(carrying(("B", 3), after="state_new"), "'state' and has no output 'state_out'")
    refused(carrying(after="state_out", nodes=[node("Neg", ["x"], ["state_out"])]),
            "returns 'state_out', which is the state of no input")  # fmt: skip
    long, float_ = TensorProto.INT64, TensorProto.FLOAT
    refused(carrying(("B", 3), kinds=(long, long)), "'state' of the type int64; .* float32")
    refused(carrying(("B", 3), kinds=(float_, long)), "'state_out' of the type int64")
    half = TensorProto.FLOAT16
    assert opened(carrying(("B", 3), kinds=(half, half))).facts["state_floats"] == 3
    first = carrying(("B", "L", 3))
    del first.graph.output[0]
    first.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 2
    refused(first, "the first output, the scores, does not count")
    unused = [node("ReduceSum", ["x", "one"], ["state_out"], keepdims=0)]
    made = carrying(("B", 3), nodes=unused)
    made.graph.initializer.append(constant(np.array([1]), "one"))
    refused(made, "never uses the state 'state'; torch.onnx.export takes two states for one")
    refused(carrying(("B", 3), before="h"), r"reads 2 inputs \('x', 'h'\).*Others are states")


def test_a_state_keeps_its_shape_and_the_batch() -> None:
    grows = [node("Concat", ["state", "state"], ["state_out"], axis=1)]
    refused(carrying(("B", 3), nodes=grows), r"'state_out' of shape \(2, 6\) for 'state' of shape")
    fixed = carrying(("B", 3), nodes=grows)  # as torch declares a length that is none
    fixed.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 8
    refused(fixed, r"'state_out' of shape \(2, 6\) for 'state' of shape")
    unrolled = carrying(("B", 3))
    unrolled.graph.initializer.append(constant(np.ones((2, 8, 3), np.float32), "eight"))
    unrolled.graph.node[0].CopyFrom(node("Add", ["x", "eight"], ["y"]))
    refused(unrolled, r"cannot read inputs of shape \(2, 2, 3\): .*; export it with torch")
    mixes = [node("ReduceMean", ["state"], ["state_out"], keepdims=1)]
    refused(carrying(("B", 3), nodes=mixes), r"'state_out' of shape \(1, 1\) for 'state'")


def test_an_input_alone_may_have_any_name() -> None:
    made = model([node("Relu", ["states"], ["y"])], inputs=[value("states")])
    assert opened(made)(np.ones((1, 2, 3), np.float32)).shape == (1, 2, 3)


# Files from torch, measured.


class Net(nn.Module):
    """An LSTM as users write it, with its state as two arguments."""

    def __init__(self, ids: int) -> None:
        super().__init__()
        self.enter = nn.Embedding(ids, 6)
        self.cell = nn.LSTM(6, 5, 2, batch_first=True)
        self.leave = nn.Linear(5, ids)

    def forward(self, inputs: Tensor, state_h: Tensor, state_c: Tensor) -> tuple[Tensor, ...]:
        features, (h, c) = self.cell(self.enter(inputs), (state_h, state_c))
        return self.leave(features), h, c


class InMemory(SequenceModel):
    """The same network, measured in this process."""

    stateful = True

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        outputs: tuple[Tensor, State] = self.net.cell(self.net.enter(inputs), state)
        return outputs

    def readout(self, hidden: Tensor) -> Tensor:
        outputs: Tensor = self.net.leave(hidden)
        return outputs

    def state_size(self, context: int) -> int:
        return 2 * 2 * 5


@dataclass(frozen=True)
class Measured:
    """A text longer than what a model without state reads at once, and the network on it."""

    task: Task
    net: Net
    file: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    folder = tmp_path_factory.mktemp("text")
    words = np.random.default_rng(0).choice(["abc", "cab", "bad", "dd"], 80_000)
    (folder / "a.txt").write_text(" ".join(words))
    task = load_task(f"text:{folder / 'a.txt'}?unit=char")
    with seeded(1):
        net = Net(task.outputs).eval()
        for weight in net.parameters():
            weight.data.mul_(2)
    # As docs/your_model.md describes.
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    with _quiet():
        warnings.simplefilter("ignore")  # torch's own
        torch.onnx.export(
            net,
            (torch.zeros(3, 8, dtype=torch.int64), torch.zeros(2, 3, 5), torch.zeros(2, 3, 5)),
            folder / "net.onnx",
            dynamo=True,
            verbose=False,
            external_data=False,
            output_names=["outputs", "state_h_out", "state_c_out"],
            dynamic_shapes=({0: batch, 1: length}, {1: batch}, {1: batch}),
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqmem.measuring.reference.LONGEST_PASS", 4096)
        assert len(task.split("test").inputs) > 4096
        yield Measured(task, net, folder / "net.onnx")


def measured(model: str | nn.Module, task: Task) -> Record:
    lines: list[str] = []
    record = measure_trained(model, task, SETTINGS, lines.append, name="net")
    assert not [line for line in lines if "k = full" in line]
    return record


def same(file: Record, memory: Record) -> None:
    """Equal but for rounding, and for what describes the format."""
    assert [point.k for point in file.curve] == [1, 4, "full"]
    for found, expected in zip(file.curve, memory.curve, strict=True):
        assert found.loss.mean == pytest.approx(expected.loss.mean, abs=1e-5)
        assert (found.state_floats, found.method) == (expected.state_floats, expected.method)
    assert file.model["stateful"]
    assert file.measurement["full"] == "state carried"
    assert file.validity is not None
    assert all(check["passed"] for check in file.validity["checks"])
    assert "window" in {check["name"] for check in file.validity["checks"]}


def test_an_lstm_from_torch_is_measured_as_in_memory(made: Measured) -> None:
    file = measured(str(made.file), made.task)
    assert file.curve[0].state_floats == 20
    same(file, measured(InMemory(made.net), made.task))


def test_an_exported_baseline_is_measured_as_itself(made: Measured, tmp_path: Path) -> None:
    with seeded(1):
        lru = LRU(made.task.inputs, made.task.outputs, hidden=6, layers=1, state=4).eval()
        for weight in lru.parameters():
            weight.data.add_(0.3 * torch.randn(weight.shape))
    export_onnx(lru, made.task.inputs, tmp_path / "lru.onnx")
    same(measured(str(tmp_path / "lru.onnx"), made.task), measured(lru, made.task))


def test_a_state_shared_between_rows_is_found(made: Measured, tmp_path: Path) -> None:
    proto = onnx.load(made.file)
    for each in proto.graph.node:
        for place, name in enumerate(each.output):
            each.output[place] = name.replace("state_h_out", "own")
    proto.graph.initializer.append(constant(np.array([1]), "rows"))
    proto.graph.node.extend(
        [
            node("ReduceMean", ["own", "rows"], ["mean"], keepdims=1),
            node("Shape", ["own"], ["shape"]),
            node("Expand", ["mean", "shape"], ["state_h_out"]),
        ]
    )
    onnx.save(proto, tmp_path / "shared.onnx")
    with pytest.raises(RefusedError, match="window") as caught:
        measured(str(tmp_path / "shared.onnx"), made.task)
    assert "reading it input by input" in caught.value.report


def test_a_state_that_counts_until_it_reads_ahead_is_found(made: Measured, tmp_path: Path) -> None:
    """Nothing before measuring reads as far; what is scored again does."""
    nodes = [
        node("Slice", ["x", "one", "end", "one"], ["later"]),
        node("Slice", ["x", "last", "end", "one"], ["latest"]),
        node("Concat", ["later", "latest"], ["next"], axis=1),
        node("OneHot", ["next", "outputs", "range"], ["ahead"]),
        node("GreaterOrEqual", ["x", "zero"], ["read"]),
        node("Cast", ["read"], ["each"], to=TensorProto.FLOAT),
        node("CumSum", ["each", "axis"], ["counted"]),
        node("Add", ["counted", "state"], ["place"]),
        node("Gather", ["place", "last"], ["state_out"], axis=1),
        node("Greater", ["place", "far"], ["beyond"]),
        node("Cast", ["beyond"], ["flag"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["flag", "two"], ["mask"]),
        node("Mul", ["ahead", "mask"], ["bonus"]),
        node("Gather", ["table", "x"], ["honest"]),
        node("Add", ["honest", "bonus"], ["y"]),
    ]
    numbers = {"one": [1], "end": [1 << 30], "last": [-1], "zero": 0, "axis": 1, "two": [2]}
    floats = {"range": [0, 6], "far": 4000, "table": table(made.task.outputs, made.task.outputs)}
    proto = model(
        nodes,
        inputs=[value("x", TensorProto.INT64, ("B", "L")), value("state", dims=("B", 1))],
        outputs=[value("y", dims=None), value("state_out", dims=None)],
        constants=[
            constant(np.array(made.task.outputs), "outputs"),
            *(constant(np.array(number), name) for name, number in numbers.items()),
            *(constant(np.array(number, np.float32), name) for name, number in floats.items()),
        ],
    )
    onnx.save(proto, tmp_path / "counts.onnx")
    with pytest.raises(RefusedError, match="rescored"):
        measured(str(tmp_path / "counts.onnx"), made.task)


def test_without_a_state_the_line_about_full_context_says_how(
    made: Measured, tmp_path: Path
) -> None:
    size = made.task.outputs
    proto = model(
        [node("Gather", ["table", "x"], ["y"])],
        inputs=[value("x", TensorProto.INT64, ("B", "L"))],
        constants=[constant(table(size, size), "table")],
    )
    onnx.save(proto, tmp_path / "net.onnx")
    lines: list[str] = []
    record = measure_trained(str(tmp_path / "net.onnx"), made.task, SETTINGS, lines.append)
    assert [point.k for point in record.curve] == [1, 4]
    assert any("measured to k = 4; docs/your_model.md says how a file carries" in x for x in lines)
