"""Models that break a rule, fail at one k, or need too much memory."""

import math

import pytest
import torch
from torch import Tensor, nn

from seqmem.errors import CellError
from seqmem.measuring import reference
from seqmem.measuring.curve import measure
from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import FullOutputs, SequenceModel, State
from seqmem.tasks.task import Context, Split
from seqmem.tests.measuring.small_models import CONTEXTS, Wrong, brute_force, make, stream


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("nan", "not finite"),
        ("infinity", "not finite"),
        ("width", r"\(9,\) outputs .* the task needs \(10,\)"),
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
    monkeypatch.setattr(reference, "LONGEST_PASS", 10)
    task = CopyMemory(3, 3)
    with pytest.raises(CellError, match="neither carries state"):
        measure(make("wrapped", task), task, task.split("valid"), ["full"])
    measure(make("wrapped", task), task, task.split("valid"), [4])


def test_a_k_as_long_as_a_stream_that_cannot_be_read_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "LONGEST_PASS", 100)
    task = HiddenMarkov(2)
    split = stream(torch.arange(500).int() % 32)
    model = make("wrapped", task)
    curve = measure(model, task, split, [2, 400, 499, 10**6])
    assert list(curve.finite) == [2, 400]
    assert curve.full is None
    assert list(curve.failures) == [499, 10**6]
    assert curve.at(2).losses[1:] == pytest.approx(brute_force(model, task, split, 2)[1:], abs=1e-5)


def test_the_check_of_a_receptive_field_costs_little() -> None:
    """The check of a model that reads long sequences whole costs at most a quarter of a pass."""
    task = HiddenMarkov(2)
    split = stream(torch.arange(4001).int() * 7 % 32)
    model = make("wrapped", task)
    curve = measure(model, task, split, [1, "full"], precision=0.5)
    assert curve.steps < 4000 * 1.25 + 256 + 32 + 1


class NotANumberAt(SequenceModel):
    """Returns NaN on windows of one length."""

    def __init__(self, k: int, outputs: int) -> None:
        super().__init__()
        self.k, self.outputs = k, outputs

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        fill = math.nan if inputs.shape[1] == self.k else 0.0
        return torch.full((*inputs.shape[:2], 2), fill), None

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden[..., :1].expand(*hidden.shape[:-1], self.outputs)


@pytest.mark.parametrize("precision", [None, 0.01])
def test_a_k_that_fails_leaves_the_others(precision: float | None) -> None:
    task = AddingProblem(20)
    model = NotANumberAt(8, 1)
    curve = measure(model, task, task.split("valid"), [4, 8, 16, "full"], precision=precision)
    assert list(curve.finite) == [4, 16]
    assert list(curve.failures) == [8]
    assert "not finite" in curve.failures[8]
    assert curve.at(16).losses == pytest.approx(curve.at("full").losses)


class Greedy(SequenceModel):
    """Runs out of memory on more than some number of inputs, or features, at once."""

    def __init__(self, inner: SequenceModel, most: int) -> None:
        super().__init__()
        self.inner, self.most = inner, most
        self.stateful, self.receptive_field = inner.stateful, inner.receptive_field

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        if inputs.shape[0] * inputs.shape[1] > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.inner.hidden(inputs, state)

    def readout(self, hidden: Tensor) -> Tensor:
        if len(hidden) > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        outputs: Tensor = self.inner.readout(hidden)
        return outputs


def test_a_k_that_never_fits_in_memory_fails_alone() -> None:
    task = AddingProblem(20)
    split = task.split("valid").prefix(400)

    class TooLong(Declares):
        def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
            if inputs.shape[1] == 8:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().hidden(inputs, state)

    model = TooLong(3, 0)
    model.receptive_field = None
    curve = measure(model, task, split, [4, 8, 16, "full"])
    assert list(curve.finite) == [4, 16]
    assert curve.failures == {8: "out of memory"}


@pytest.mark.parametrize("kind", ["lstm", "tcn"])
@pytest.mark.parametrize("precision", [None, 0.02])
def test_batches_get_smaller_when_memory_runs_out(kind: str, precision: float | None) -> None:
    task = HiddenMarkov(2)
    split = task.split("valid").prefix(2000)
    model = make(kind, task)
    expected = measure(model, task, split, CONTEXTS, precision=precision)
    curve = measure(Greedy(model, 300), task, split, CONTEXTS, precision=precision)
    for k in CONTEXTS:
        assert curve.at(k).losses == pytest.approx(expected.at(k).losses, abs=1e-4)
    with pytest.raises(torch.OutOfMemoryError):  # not even one step of the reference pass
        measure(Greedy(model, 0), task, split, CONTEXTS)


class Declares(SequenceModel):
    """Sums inputs from `back` steps before to `ahead` after; declares a receptive field of 4."""

    def __init__(self, back: int, ahead: int) -> None:
        super().__init__()
        self.receptive_field = 4
        self.back, self.ahead = back, ahead

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        values = inputs[..., 0]  # (B, L)
        padded = nn.functional.pad(values, (self.back, self.ahead))
        return padded.unfold(1, self.back + 1 + self.ahead, 1).sum(-1, keepdim=True), None

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden


@pytest.mark.parametrize(("back", "ahead", "honest"), [(3, 0, True), (4, 0, False), (2, 1, False)])
def test_a_false_receptive_field_is_detected(back: int, ahead: int, honest: bool) -> None:
    task = AddingProblem(20)
    split = task.split("valid")
    # Targets in the middle, where there are later inputs.
    middle = Split(split.inputs, split.starts, split.positions - 8, split.targets, split.blocks)
    if honest:
        curve = measure(Declares(back, ahead), task, middle, [1, 4, 8, "full"])
        assert curve.at(8).method == "receptive field"
    else:
        with pytest.raises(CellError, match="looks ahead, or its receptive field"):
            measure(Declares(back, ahead), task, middle, [1, 4, 8, "full"])
