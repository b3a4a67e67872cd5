"""The curve of any model equals brute force, one window at a time."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import seqmem.tasks.curve as curve_module
from seqmem.baselines.convolutional import TCN
from seqmem.baselines.recurrent import LSTM, RNN
from seqmem.baselines.training import seeded
from seqmem.baselines.transformer import Transformer
from seqmem.errors import CellError
from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.curve import Context, expected_steps, measure, sample_targets
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import FullOutputs, SequenceModel, State
from seqmem.tasks.task import Features, Split, Task

CONTEXTS: list[Context] = [1, 2, 3, 5, 8, 100, "full"]


def make(kind: str, task: Task) -> SequenceModel:
    """A small model with random weights."""
    with seeded(7):
        if kind == "tcn":
            model: SequenceModel = TCN(task.inputs, task.outputs, context=6, hidden=5, kernel=2)
        elif kind == "transformer":
            model = Transformer(task.inputs, task.outputs, context=6, hidden=5, heads=2)
        elif kind == "wrapped":
            plain = LSTM(task.inputs, task.outputs, hidden=5)
            model = FullOutputs(nn.Sequential(plain))
        else:
            layers = {"rnn": RNN, "lstm": LSTM}[kind]
            model = layers(task.inputs, task.outputs, hidden=5, layers=2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.6)
    return model.eval()


def brute_force(model: SequenceModel, task: Task, split: Split, k: Context) -> list[float]:
    """Each target's loss, from its own window, on its own."""
    losses = []
    starts = split.starts.tolist()
    for position, target in zip(split.positions.tolist(), split.targets, strict=True):
        start = max(s for s in starts if s <= position)
        begin = start if k == "full" else max(start, position - k + 1)
        with torch.inference_mode():
            outputs = model(split.inputs[None, begin : position + 1])[0, -1:]
        losses.append(float(task.loss(outputs, target[None])))
    return losses


@st.composite
def splits(draw: st.DrawFn, features: bool) -> Split:
    """Sequences of any lengths, some with no target, targets anywhere."""
    lengths = draw(st.lists(st.integers(1, 14), min_size=1, max_size=6))
    total = sum(lengths)
    chosen = draw(st.sets(st.integers(0, total - 1), min_size=1))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    positions = torch.tensor(sorted(chosen))
    starts = torch.tensor([0, *np.cumsum(lengths).tolist()])
    blocks = torch.searchsorted(starts, positions, right=True) - 1
    if features:
        inputs = torch.from_numpy(rng.random((total, 2), np.float32))
        targets = torch.from_numpy(rng.random(len(positions), np.float32))
        return Split(inputs, starts, positions, targets, blocks)
    inputs = torch.from_numpy(rng.integers(0, 10, total, dtype=np.int32))
    targets = torch.from_numpy(rng.integers(0, 10, len(positions)))
    return Split(inputs, starts, positions, targets, blocks)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "tcn", "transformer", "wrapped"])
@pytest.mark.parametrize("task", [CopyMemory(5, 5), AddingProblem(9)], ids=["ids", "floats"])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_curve_is_brute_force(kind: str, task: Task, data: st.DataObject) -> None:
    split = data.draw(splits(isinstance(task.inputs, Features)))
    model = make(kind, task)
    curve = measure(model, task, split, CONTEXTS)
    assert list(curve.scores) == CONTEXTS[:-1]
    for k in CONTEXTS:
        expected = brute_force(model, task, split, k)
        assert curve.at(k).losses == pytest.approx(expected, abs=1e-5), f"k={k}"


@pytest.mark.parametrize("kind", ["rnn", "lstm", "tcn", "transformer", "wrapped"])
def test_small_batches_and_chunks_change_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = HiddenMarkov(2)
    split = task.split("valid").subset(torch.arange(0, 600, 7))
    model = make(kind, task)
    whole = measure(model, task, split, CONTEXTS)
    monkeypatch.setattr(curve_module, "STEPS", 16)
    monkeypatch.setattr(curve_module, "ROWS", (1, 3))
    monkeypatch.setattr(curve_module, "STREAMS", 2)
    monkeypatch.setattr(curve_module, "READOUT", 70)
    pieces = measure(model, task, split, CONTEXTS)
    for k in CONTEXTS:
        assert pieces.at(k).losses == pytest.approx(whole.at(k).losses, abs=1e-5)


def test_full_is_the_usual_stateful_perplexity() -> None:
    """One stream, read in pieces of 35 with the state carried, as language models are scored."""
    task = HiddenMarkov(2)
    length = 1000
    ids = torch.randint(0, 32, (length + 1,), generator=torch.Generator().manual_seed(0)).int()
    split = Split(
        ids[:-1],
        torch.tensor([0, length]),
        torch.arange(length),
        ids[1:].long(),
        torch.arange(length) // 100,
    )
    model = make("lstm", task)
    measured = measure(model, task, split, ["full"]).at("full").losses

    total, state = 0.0, None
    with torch.inference_mode():
        for begin in range(0, length, 35):
            piece = ids[begin : begin + 36].long()
            features, state = model.hidden(piece[None, :-1], state)
            logits = model.readout(features)[0]
            total += float(nn.functional.cross_entropy(logits, piece[1:], reduction="sum"))
    assert math.exp(measured.mean()) == pytest.approx(math.exp(total / length), rel=1e-6)


class Counting(SequenceModel):
    """Records how large the readouts and windows are that it is asked for."""

    stateful = True

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.largest_readout = 0
        self.rows = 0
        self.steps = 0

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        self.steps += inputs.shape[0] * inputs.shape[1]
        return torch.zeros(*inputs.shape[:2], 3), None

    def readout(self, hidden: Tensor) -> Tensor:
        self.largest_readout = max(self.largest_readout, hidden[..., 0].numel() * self.outputs)
        self.rows += hidden[..., 0].numel()
        return torch.zeros(*hidden.shape[:-1], self.outputs)


def test_only_scored_positions_are_read_out_in_bounded_chunks() -> None:
    task = CopyMemory(30, 30)
    task.outputs = 200_000
    split = task.split("valid").subset(torch.arange(400))
    model = Counting(task.outputs)
    curve = measure(model, task, split, [1, 8, "full"])
    assert model.rows == 3 * len(split)
    assert model.largest_readout <= curve_module.READOUT
    assert model.steps == curve.steps == expected_steps(split, [1, 8, "full"])


def test_windows_are_never_computed_twice() -> None:
    """Beyond what a sequence has given, larger k cost nothing."""
    task = AddingProblem(10)
    split = task.split("valid")
    for contexts in ([10], [10, 20, 40], [20], [5, 10, 11]):
        model = Counting(1)
        curve = measure(model, task, split, contexts)
        per_target = 10 + (5 if 5 in contexts else 0)
        assert model.steps == per_target * len(split)
        assert curve.steps == expected_steps(split, contexts)


class Wrong(nn.Module):
    """Breaks one rule of the contract."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = torch.zeros(*inputs.shape[:2], 10)
        if self.how == "nan":
            outputs[0, -1, 3] = math.nan
        elif self.how == "infinity":
            outputs[..., 0] = math.inf
        elif self.how == "width":
            outputs = outputs[..., :9]
        elif self.how == "length":
            outputs = outputs[:, 1:]
        elif self.how == "last":
            outputs = outputs[:, -1]
        return outputs


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nan", "not finite"),
        ("infinity", "not finite"),
        ("width", r"\(9,\) outputs .* asks for \(10,\)"),
        ("length", "must be the same"),
        ("last", "must be the same"),
    ],
)
@pytest.mark.parametrize("contexts", [[4], ["full"]], ids=["window", "full"])
def test_broken_outputs_are_an_error(how: str, says: str, contexts: list[Context]) -> None:
    task = CopyMemory(3, 3)
    with pytest.raises(CellError, match=says):
        measure(FullOutputs(Wrong(how)), task, task.split("valid"), contexts)


def test_a_long_stream_needs_state_or_a_receptive_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve_module, "LONGEST_PASS", 10)
    task = CopyMemory(3, 3)
    with pytest.raises(CellError, match="neither carries state"):
        measure(make("wrapped", task), task, task.split("valid"), ["full"])
    measure(make("wrapped", task), task, task.split("valid"), [4])


def test_accuracy_counts_the_largest_output() -> None:
    task = CopyMemory(3, 3)
    split = task.split("valid")
    model = FullOutputs(Wrong("not at all"))
    scores = measure(model, task, split, [2]).at(2)
    assert scores.correct is not None
    assert not scores.correct.any()  # all alike: the first, the blank, is never recalled
    assert scores.losses == pytest.approx(np.full(len(split), math.log(10)))


def test_samples_are_the_same_for_every_model() -> None:
    split = CopyMemory(3, 3).split("test")
    first, second = (sample_targets(split, 100, seed=0) for _ in range(2))
    assert torch.equal(first, second)
    assert len(first) == 100
    assert (first.diff() > 0).all()
    assert not torch.equal(sample_targets(split, 100, seed=1), first)
    for size in (None, 10**9):
        assert torch.equal(sample_targets(split, size), torch.arange(len(split)))


def test_a_sample_is_scored_from_windows_and_all_with_the_full_context() -> None:
    task = HiddenMarkov(2)
    split = task.split("valid").prefix(900)
    model = make("lstm", task)
    everything = measure(model, task, split, CONTEXTS)
    chosen = sample_targets(split, 70)
    sampled = measure(model, task, split, CONTEXTS, chosen=chosen)
    assert sampled.at("full").losses == pytest.approx(everything.at("full").losses)
    for k in sampled.scores:
        assert sampled.at(k).losses == pytest.approx(everything.at(k).losses[chosen], abs=1e-5)


def test_a_k_beyond_every_sequence_costs_nothing_and_is_full() -> None:
    task = AddingProblem(5)
    split = task.split("valid")
    model = make("rnn", task)
    curve = measure(model, task, split, [10**9, "full"])
    assert curve.at(10**9).losses == pytest.approx(curve.at("full").losses, abs=1e-5)


def test_a_prefix_keeps_the_first_targets_and_what_they_need() -> None:
    split = CopyMemory(2, 6).split("test")
    model = make("lstm", CopyMemory(2, 6))
    whole = measure(model, CopyMemory(2, 6), split, ["full"]).at("full").losses
    for size in (1, 10, 23, 10**9):
        part = split.prefix(size)
        assert len(part) == min(size, len(split))
        assert part.starts[-1] == len(part.inputs)
        losses = measure(model, CopyMemory(2, 6), part, ["full"]).at("full").losses
        assert losses == pytest.approx(whole[:size], abs=1e-6)
