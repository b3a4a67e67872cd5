"""The shipped checks find what they are for; our tasks and models pass them elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqmem.tasks import load_task
from seqmem.tasks.model import FullOutputs, SequenceModel, State
from seqmem.tasks.strata import Strata
from seqmem.tasks.task import Split, Task, Tokens
from seqmem.testing import check_chance, check_model, check_saved, check_task, example_inputs
from seqmem.tests.zoo import Chords

OUTPUTS = 4
# Of the targets of hidden-markov/dwell=2, with a stratum that has none.
TARGETS = len(load_task("hidden-markov/dwell=2").split("test"))
EMPTY = Strata("by", "meaning", ("all", "none"), np.zeros(TARGETS, np.int64))


class Recurrent(SequenceModel):
    """A sound model: a decayed sum of embeddings, with the sum as state."""

    stateful = True

    def __init__(self, decay: float = 0.5) -> None:
        super().__init__()
        self.decay = decay
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.table = nn.Parameter(torch.randn(10, OUTPUTS))

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        total = torch.zeros(len(inputs), OUTPUTS) if state is None else state
        features = []
        for step in self.table[inputs.long()].unbind(1):
            total = self.decay * total + step
            features.append(total)
        return torch.stack(features, 1), total

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden


class Forgetful(Recurrent):
    """Returns no state."""

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        return super().hidden(inputs)[0], None


class Dropping(Recurrent):
    """Never the same twice."""

    def readout(self, hidden: Tensor) -> Tensor:
        self.decay *= 0.9
        return hidden * self.decay


class Short(Recurrent):
    """Declares less than it sees."""

    receptive_field = 3


def changed(change: Callable[[Tensor], Tensor]) -> SequenceModel:
    class Module(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return change(Recurrent()(inputs))

    return FullOutputs(Module())


def test_a_sound_model_passes() -> None:
    check_model(Recurrent().eval(), example_inputs(Tokens(10)), OUTPUTS)


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (changed(lambda y: y.flip(1)), "depends on later inputs"),
        (changed(lambda y: y - y.mean(0)), "depends on other rows"),
        (changed(lambda y: y * torch.arange(1, len(y) + 1)[:, None, None]), "of the batch"),
        (changed(lambda y: y[..., 1:]), r"outputs are \(B, L, 4\)"),
        (changed(lambda y: y / 0), "finite"),
        (Forgetful(), "pieces with the state carried"),
        (Dropping(), "no output depends on|the same inputs"),
        (Short(), "no output depends on more than 3 inputs"),
    ],
)
def test_a_broken_model_fails(model: SequenceModel, rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_model(model.eval(), example_inputs(Tokens(10)), OUTPUTS)


def test_weights_that_are_not_stored_are_found(tmp_path: Path) -> None:
    fresh = Recurrent()
    with torch.no_grad():
        fresh.table.zero_()
    check_saved(Recurrent(), fresh, example_inputs(Tokens(10)), tmp_path)
    with torch.no_grad():
        fresh.table.zero_()
    with pytest.raises(AssertionError, match="loaded weights give the same outputs"):
        check_saved(Recurrent(0.9), fresh, example_inputs(Tokens(10)), tmp_path)


def test_a_task_of_frames_passes() -> None:
    check_task(Chords())


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda s: replace(s, positions=s.positions.flip(0)), "test: positions ascend"),
        (lambda s: replace(s, inputs=s.inputs + 100), r"ids are in \[0, 10\)"),
        (lambda s: replace(s, targets=s.targets - 100), r"targets are in \[0, 10\)"),
        (lambda s: replace(s, starts=s.starts[:-1]), "len\\(inputs\\)"),
        (lambda s: replace(s, blocks=s.blocks[1:]), "the same length"),
    ],
)
def test_a_broken_split_is_found(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Split], Split], rule: str
) -> None:
    task = load_task("copy-memory/T=5")
    broken = change(task.split("test"))
    usual = task.split("valid")
    monkeypatch.setattr(
        task, "split", lambda name: broken if name == "test" else usual, raising=False
    )
    with pytest.raises(AssertionError, match=rule):
        check_task(task)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("constant", lambda: torch.zeros(3), "one number per output"),
        ("optimum", lambda k: 1.0 if k == "full" else 0.0, "does not increase"),
        ("optimum", lambda k: 99.0, "at most chance"),
        ("longest_context", 99, "longest_context"),
        (
            "strata",
            lambda: (Strata("a", "b", ("c", "d"), np.zeros(3, np.int64)),),
            "for each target",
        ),
        ("strata", lambda: (EMPTY,), "no stratum is empty"),
        ("strata", lambda: (EMPTY, EMPTY), "differ in name"),
    ],
)
def test_a_broken_task_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, rule: str
) -> None:
    task: Task = load_task("hidden-markov/dwell=2")
    contexts = task.contexts
    monkeypatch.setattr(type(task), "contexts", contexts)
    monkeypatch.setattr(task, name, value, raising=False)
    with pytest.raises(AssertionError, match=rule):
        check_task(task)


def test_a_wrong_chance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    task = load_task("copy-memory/T=5")
    check_chance(task)
    monkeypatch.setattr(task, "chance", lambda: 2.0, raising=False)
    with pytest.raises(AssertionError, match="k = full: the mean loss"):
        check_chance(task)
