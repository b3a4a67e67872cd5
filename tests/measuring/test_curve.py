"""The curve of any model equals brute force, one window at a time."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqmem.measuring import reference, scoring, window_scores
from seqmem.measuring.curve import measure
from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import FullOutputs, SequenceModel, State
from seqmem.tasks.task import Context, Features, Split, Task
from seqmem.tests.measuring.small_models import CONTEXTS, Wrong, brute_force, make, stream


@st.composite
def splits(draw: st.DrawFn, features: bool, everywhere: bool = False) -> Split:
    """Draw sequences of any lengths, with targets at some or all positions."""
    lengths = draw(st.lists(st.integers(1, 14), min_size=1, max_size=6))
    total = sum(lengths)
    chosen = draw(st.sets(st.integers(0, total - 1), min_size=1))
    chosen = set(range(total)) if everywhere else chosen
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
def test_the_curve_equals_brute_force(kind: str, task: Task, data: st.DataObject) -> None:
    split = data.draw(splits(isinstance(task.inputs, Features)))
    model = make(kind, task)
    curve = measure(model, task, split, CONTEXTS)
    assert list(curve.finite) == CONTEXTS[:-1]
    for k in CONTEXTS:
        expected = brute_force(model, task, split, k)
        assert curve.at(k).losses == pytest.approx(expected, abs=1e-5), f"k={k}"


@pytest.mark.parametrize("kind", ["rnn", "lstm", "tcn", "transformer"])
@settings(max_examples=10, deadline=None)
@given(data=st.data(), every_k=st.booleans())
def test_growing_windows_equal_brute_force(kind: str, data: st.DataObject, every_k: bool) -> None:
    """With targets everywhere, windows continue shorter ones, or are read once for every k."""
    split = data.draw(splits(features=False, everywhere=True))
    model, task = make(kind, CopyMemory(5, 5)), CopyMemory(5, 5)
    contexts: list[Context] = [*range(1, 16), "full"] if every_k else CONTEXTS
    curve = measure(model, task, split, contexts, every_k=every_k)
    for k in contexts:
        expected = brute_force(model, task, split, k)
        assert curve.at(k).losses == pytest.approx(expected, abs=1e-5), f"k={k}"
        assert curve.at(k).half_width == 0


@pytest.mark.parametrize("kind", ["rnn", "lstm", "tcn", "transformer", "wrapped"])
@pytest.mark.parametrize("everywhere", [False, True], ids=["some", "everywhere"])
def test_small_batches_and_chunks_change_nothing(
    kind: str, everywhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = HiddenMarkov(2)
    split = task.split("valid").prefix(600)
    if not everywhere:
        split = split.subset(torch.arange(0, 600, 7))
    model = make(kind, task)
    whole = measure(model, task, split, CONTEXTS)
    shrink(monkeypatch, steps=16, readout=70)
    monkeypatch.setattr(window_scores, "ROWS", {"cpu": (1, 3)})
    monkeypatch.setattr(reference, "STREAMS", 2)
    pieces = measure(model, task, split, CONTEXTS)
    for k in CONTEXTS:
        assert pieces.at(k).losses == pytest.approx(whole.at(k).losses, abs=1e-5)


def shrink(monkeypatch: pytest.MonkeyPatch, steps: int, readout: int) -> None:
    monkeypatch.setattr(scoring, "STEPS", {"cpu": steps})
    monkeypatch.setattr(scoring, "READOUT", {"cpu": readout})


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
    """Records the sizes of readouts and windows."""

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
    curve = measure(model, task, split, [1, 41, "full"])
    # At k = 1 all windows are equal. At 41 no two are equal; but the first of each sequence's ten
    # targets has no more than 41 inputs, and the reference pass has its loss.
    assert model.rows == 400 + 1 + 360
    assert model.largest_readout <= scoring.READOUT["cpu"]
    assert model.steps == curve.steps == len(split.inputs) + 1 + 360 * 41


def test_a_window_of_the_whole_sequence_costs_nothing() -> None:
    task = AddingProblem(10)
    split = task.split("valid")
    for contexts, windows in (([10], 0), ([10, 20, 40], 0), ([5, 10, 11], 5), ([5, 9], 14)):
        model = Counting(1)
        curve = measure(model, task, split, contexts)
        assert model.steps == curve.steps == (10 + windows) * len(split)
        for k in contexts:
            assert (curve.at(k).method == "no longer sequence") == (k >= 10)


def test_growing_windows_cost_half() -> None:
    """Each of 1, 2, 4 … 64 inputs continues the previous window: 64 steps, not 127."""
    task = HiddenMarkov(2)
    ids = torch.arange(3000).int() * 7919 % 32
    split = stream(ids)
    model = Counting(task.outputs)
    curve = measure(model, task, split, [2**i for i in range(7)])
    assert model.steps == curve.steps
    # The pass; then 32 windows of one input, and less than 3,000 that grow from nothing to 64.
    assert curve.steps < 3000 + 32 + 3000 * 64


class Shift(SequenceModel):
    """Its state is the last `order` inputs, and nothing else."""

    stateful = True

    def __init__(self, order: int, outputs: int) -> None:
        super().__init__()
        self.order, self.outputs = order, outputs
        generator = torch.Generator().manual_seed(0)
        self.weights = torch.randn(order, outputs, outputs, generator=generator)
        self.steps = 0

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        self.steps += inputs.numel()
        given = nn.functional.one_hot(inputs.long(), self.outputs).float()
        if state is None:
            state = torch.zeros(len(inputs), self.order - 1, self.outputs)
        seen = torch.cat([state, given], 1)  # (B, order − 1 + L, V)
        features = sum(
            seen[:, i : i + inputs.shape[1]] @ self.weights[i] for i in range(self.order)
        )
        assert isinstance(features, Tensor)
        return features, seen[:, len(seen[0]) - self.order + 1 :]

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden


def test_windows_longer_than_the_memory_cost_nothing() -> None:
    """Once windows agree with the carried state, longer ones are not read."""
    task = HiddenMarkov(2)
    ids = torch.randint(0, 32, (5001,), generator=torch.Generator().manual_seed(1)).int()
    split, model = stream(ids), Shift(3, task.outputs)
    contexts: list[Context] = [*(2**i for i in range(11)), "full"]
    curve = measure(model, task, split, contexts, precision=0.05)
    methods = [curve.at(k).method for k in contexts]
    assert methods[3:] == ["agrees with full"] * 8 + ["all"]
    assert all(curve.at(k).steps == 0 for k in (8, 64, 1024))
    assert model.steps == curve.steps
    for k in contexts[3:]:
        assert curve.at(k).losses == pytest.approx(curve.at("full").losses)
    assert abs(curve.at(2).losses.mean() - curve.at("full").losses.mean()) > 0.1


def test_accuracy_counts_the_largest_output() -> None:
    task = CopyMemory(3, 3)
    split = task.split("valid")
    model = FullOutputs(Wrong("not at all"))
    scores = measure(model, task, split, [2]).at(2)
    assert scores.correct is not None
    assert not scores.correct.any()  # equal scores: the first class, blank, is never recalled
    assert scores.losses == pytest.approx(np.full(len(split), math.log(10)))


class Latch(SequenceModel):
    """Forgets everything before the latest id that is a multiple of five; has a state."""

    stateful = True

    def __init__(self, outputs: int, wide: bool) -> None:
        super().__init__()
        self.outputs, self.wide = outputs, wide

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        kept = torch.full((len(inputs),), -1.0) if state is None else state
        features = []
        for symbol in inputs.T:
            # Remembers the first symbol since then; later ones have no effect.
            kept = torch.where(symbol % 5 == 0, -1.0, torch.where(kept < 0, symbol.float(), kept))
            features.append(torch.stack([kept, torch.full_like(kept, 1e9 * self.wide)], -1))
        return torch.stack(features, 1), kept

    def readout(self, hidden: Tensor) -> Tensor:
        places = torch.arange(self.outputs)
        return -0.1 * (places - hidden[..., :1]).abs()


def latched(length: int, share: float) -> Split:
    """Return a stream in which a given share of positions resets the latch."""
    rng = np.random.default_rng(3)
    ids = np.where(rng.random(length) < share, 0, 1 + rng.integers(0, 4, length))
    return stream(torch.from_numpy(ids.astype(np.int32)))


def test_agreement_of_some_is_not_agreement_of_all() -> None:
    """At a k where most windows agree with the full context and some do not, none is skipped."""
    task = HiddenMarkov(2)
    split, model = latched(8000, 0.03), Latch(task.outputs, wide=False)
    contexts: list[Context] = [*range(1, 80), "full"]
    curve = measure(model, task, split, contexts, precision=0.005, every_k=True)
    exact = measure(model, task, split, [20, 40, 70])
    agree = [k for k in range(1, 80) if curve.at(k).method == "agrees with full"]
    assert not agree
    for k in (20, 40, 70):
        assert abs(curve.at(k).losses.mean() - exact.at(k).losses.mean()) < 0.01


def test_features_that_agree_because_one_is_huge_do_not_count() -> None:
    task = HiddenMarkov(2)
    split, model = latched(6000, 0.1), Latch(task.outputs, wide=True)
    curve = measure(model, task, split, [1, 2, 4, "full"], precision=0.01)
    assert all(found.method in ("sample", "all") for found in map(curve.at, curve.finite))


def test_a_k_longer_than_every_sequence_equals_full_context() -> None:
    task = AddingProblem(5)
    split = task.split("valid")
    model = make("rnn", task)
    curve = measure(model, task, split, [10**9, "full"])
    assert curve.at(10**9).losses == pytest.approx(curve.at("full").losses, abs=1e-5)


def test_a_prefix_has_the_first_targets_and_their_inputs() -> None:
    split = CopyMemory(2, 6).split("test")
    model = make("lstm", CopyMemory(2, 6))
    whole = measure(model, CopyMemory(2, 6), split, ["full"]).at("full").losses
    for size in (1, 10, 23, 10**9):
        part = split.prefix(size)
        assert len(part) == min(size, len(split))
        assert part.starts[-1] == len(part.inputs)
        losses = measure(model, CopyMemory(2, 6), part, ["full"]).at("full").losses
        assert losses == pytest.approx(whole[:size], abs=1e-6)
