"""Scores computed again: equal for honest models; different for what uses more than it may."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqmem.measuring.checked import rescore_curve
from seqmem.measuring.curve import measure
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.rescoring import Rescored
from seqmem.measuring.settings import MeasurementSettings
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, State, as_sequence_model
from seqmem.tasks.task import Context, Split, Task
from seqmem.tests import zoo
from seqmem.tests.measuring.small_models import make, stream

MARKOV = load_task("hidden-markov/dwell=20")
SETTINGS = MeasurementSettings()
CONTEXTS: tuple[Context, ...] = (1, 2, 8, 32, "full")
KINDS = ("lstm", "rnn", "tcn", "transformer", "wrapped")


def rescored(
    model: nn.Module,
    task: Task = MARKOV,
    split: Split | None = None,
    *,
    contexts: tuple[Context, ...] = CONTEXTS,
    seed: int = 0,
    restart: Callable[[], object] = lambda: None,
    untrusted: bool = False,
) -> Rescored:
    """Measure a curve, and compute some of its scores again."""
    made = as_sequence_model(model, task.outputs).eval()
    split = task.split("test").prefix(12_000) if split is None else split
    before = check_validity(
        zoo_honest(task), task, split, contexts, declared=None, seed=seed, device="cpu"
    )
    with pytest.MonkeyPatch.context() as patch:  # what measuring finds itself is another matter
        patch.setattr("seqmem.measuring.curve._check_reach", lambda *given: None)
        curve = measure(made, task, split, contexts, precision=SETTINGS.half_width(task))
    return rescore_curve(curve, task, SETTINGS, before, seed, restart, untrusted=untrusted)


def zoo_honest(task: Task) -> SequenceModel:
    return as_sequence_model(zoo.honest_for(task))


def failed(found: Rescored) -> set[str]:
    return {check.name for check in found.checks if not check.passed}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["hidden-markov/dwell=5", "copy-memory/T=5", "adding-problem/T=9"])
def test_honest_models_have_the_same_scores_again(kind: str, task: str) -> None:
    loaded = load_task(task)
    split = loaded.split("test").prefix(4000)
    found = rescored(make(kind, loaded), loaded, split, contexts=(1, 2, 4, 8, "full"))
    assert failed(found) == set()
    assert all(check.compared > 0 for check in found.checks)
    assert {"1", "full"} <= set(found.found)  # those that were scored and not derived


class Watched(nn.Module):
    """Keeps what it was shown; every input of the stream is another number."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []
        self.starts: list[int] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.shown.append(inputs.clone())
        return torch.randn(10, generator=torch.Generator().manual_seed(0)).expand(
            *inputs.shape[:2], 10
        )


class Numbers(zoo.Chords):
    """Inputs that count from 0 on, as features, so that each can be told from all others."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = 10

    def split(self, name: Any) -> Split:
        lengths = torch.tensor([40, 25, 60, 33])
        ids = torch.arange(int(lengths.sum()))
        return Split(
            ids[:, None].float().repeat(1, 12),
            torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]),
            ids,
            torch.zeros(len(ids), 10, dtype=torch.uint8),
            torch.arange(len(ids)) // 20,
        )

    def constant(self) -> Tensor:
        return torch.zeros(10)


def test_what_is_read_again_holds_no_target_and_no_older_input() -> None:
    task, model = Numbers(), Watched()
    split = task.split("test")
    contexts: tuple[Context, ...] = (1, 2, 4, 8, "full")
    curve = measure(as_sequence_model(model), task, split, contexts, precision=0.01)
    before = check_validity(
        as_sequence_model(model), task, split, contexts, declared=None, seed=0, device="cpu"
    )
    for seed in range(5):
        model.shown.clear()
        restarts: list[int] = []

        def restart(restarts: list[int] = restarts) -> None:
            restarts.append(len(model.shown))

        rescore_curve(curve, task, SETTINGS, before, seed, restart)
        assert len(restarts) == 2
        assert restarts[0] == 0
        windows, prefixes = model.shown[: restarts[1]], model.shown[restarts[1] :]
        lengths = [batch.shape[1] for batch in windows]
        assert lengths == sorted(lengths)
        assert set(lengths) == {1, 2, 4, 8}
        for length in (1, 2, 4, 8):
            ids = torch.cat([b[..., 0].flatten() for b in windows if b.shape[1] == length])
            assert len(ids.unique()) == len(ids)  # no two windows share an input
        latest: dict[int, int] = {}  # of each sequence
        starts = split.starts.tolist()
        for batch in prefixes:
            firsts = [int(row[0, 0]) for row in batch]
            assert len(set(firsts)) == len(firsts)
            for row in batch:
                first, last = int(row[0, 0]), int(row[-1, 0])
                assert first in starts  # all inputs of its sequence
                assert row[:, 0].tolist() == list(range(first, last + 1))
                assert last > latest.get(first, -1)
                latest[first] = last


class InLarge(nn.Module):
    """Honest in small batches and short windows."""

    def __init__(self, change: zoo.Change, rows: int = 1, length: int = 1) -> None:
        super().__init__()
        self.honest, self.change = zoo.honest_for(MARKOV), change
        self.rows, self.length = rows, length

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.honest(inputs)
        large = len(inputs) >= self.rows and inputs.shape[1] >= self.length
        return self.change(inputs, outputs) if large else outputs


class Remembers:
    """Answers with what came after the same inputs, wherever that was shown before."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], int] = {}

    def __call__(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs.clone()
        for row, ids in enumerate(inputs.tolist()):
            for i in range(6, len(ids)):
                if (found := self.known.get(tuple(ids[i - 6 : i]))) is not None:
                    outputs[row, i - 1, found] += 6
                self.known[tuple(ids[i - 6 : i])] = ids[i]
            if len(ids) >= 6 and (found := self.known.get(tuple(ids[-6:]))) is not None:
                outputs[row, -1, found] += 6
        return outputs


def neighbours(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Raise the score of what follows a row's last four inputs in another row."""
    if inputs.shape[1] < 6:
        return outputs
    outputs, ends = outputs.clone(), {tuple(row[-4:]): i for i, row in enumerate(inputs.tolist())}
    for row in inputs.tolist():
        for i in range(len(row) - 4):
            if (found := ends.get(tuple(row[i : i + 4]))) is not None:
                outputs[found, -1, row[i + 4]] += 6
    return outputs


CHEATS: dict[str, Callable[[], InLarge]] = {
    "reads ahead in large batches": lambda: InLarge(zoo.peek(), rows=16),
    "reads ahead in long windows": lambda: InLarge(zoo.peek(), length=100),
    "reads ahead": lambda: InLarge(zoo.peek()),
    "one position in fifty": lambda: InLarge(zoo.peek(zoo.by_content, by=8.0), rows=16),
    "looks at other rows": lambda: InLarge(neighbours, rows=30),
    "batch statistics of large batches": lambda: InLarge(zoo.batch_statistics, rows=30),
}


@pytest.mark.parametrize("name", CHEATS)
def test_what_a_score_must_not_depend_on_is_found(name: str) -> None:
    model = CHEATS[name]()
    found = rescored(model)
    assert "rescored" in failed(found)
    example = next(check.example for check in found.checks if check.name == "rescored")
    assert example is not None
    assert "alone (allowed difference" in example


def test_memory_is_found_in_a_new_process() -> None:
    """And not in the same one: what runs trusted code cannot tell memory from skill."""
    remembers = Remembers()
    model = InLarge(remembers)

    def restart() -> None:
        remembers.known.clear()

    split = MARKOV.split("test").prefix(2048)
    found = rescored(model, MARKOV, split, contexts=(8, 32, "full"), restart=restart)
    assert "rescored" in failed(found)


def test_small_gains_everywhere_are_found_by_their_mean() -> None:
    """Half of the tolerance at every target, which no single target shows."""

    def little(inputs: Tensor, outputs: Tensor) -> Tensor:
        return zoo.peek(by=4e-4)(inputs, outputs)

    found = rescored(InLarge(little, rows=8, length=100))
    assert failed(found) == {"gain"}
    example = next(check.example for check in found.checks if check.name == "gain")
    assert example is not None
    assert "higher on average if computed again" in example


class Carries(SequenceModel):
    """Has a state, and reads ahead within what it is given at once."""

    stateful = True

    def __init__(self) -> None:
        super().__init__()
        self.honest = zoo.honest_for(MARKOV)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        features, state = self.honest.layers(self.honest.enter(inputs), state)
        return zoo.peek()(inputs, self.honest.leave(features)), state

    def readout(self, hidden: Tensor) -> Tensor:
        return hidden


def test_a_model_with_state_that_reads_ahead_is_found() -> None:
    assert "rescored" in failed(rescored(Carries()))


class Counts(Carries):
    """Reads ahead once its state has counted many inputs, as a graph of a file may."""

    def __init__(self, beyond: int) -> None:
        super().__init__()
        self.beyond = beyond

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        own, count = (None, 0) if state is None else state
        ahead, own = super().hidden(inputs, own)
        honest = ahead - zoo.peek()(inputs, torch.zeros_like(ahead))
        place = torch.arange(inputs.shape[1])[:, None] + count
        outputs = torch.where(place >= self.beyond, ahead, honest)
        return outputs, (own, count + inputs.shape[1])


def test_a_state_that_counts_is_found_if_it_is_not_trusted() -> None:
    """Our own models with state are read again near the start only."""
    ids = MARKOV.split("test").inputs[:6001]
    for untrusted in (False, True):
        found = rescored(
            Counts(4000), split=stream(ids), contexts=(1, 4, "full"), untrusted=untrusted
        )
        assert ("rescored" in failed(found)) == untrusted


def test_a_stream_is_read_again_as_far_as_steps_allow() -> None:
    source = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 10, (3001,), generator=source, dtype=torch.int32)
    task = load_task("copy-memory/T=5")  # ten symbols
    model = make("lstm", task)
    spent = 0
    usual = type(model).hidden

    def counted(self: Any, inputs: Tensor, state: State = None) -> Any:
        nonlocal spent
        spent += inputs.numel()
        return usual(self, inputs, state)

    curve = measure(model, task, stream(ids), (1, 4, 16, "full"), precision=0.01)
    before = check_validity(
        model, task, stream(ids), (1, 4, 16, "full"), declared=None, seed=0, device="cpu"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "hidden", counted)
        found = rescore_curve(curve, task, SETTINGS, before, 0, lambda: None)
    assert failed(found) == set()
    assert 0 < spent < 0.3 * curve.steps


def test_the_same_seed_draws_the_same() -> None:
    model = InLarge(zoo.peek(), rows=30)
    split = MARKOV.split("test").prefix(4000)
    found = [
        rescored(model, split=split, contexts=(4, "full"), seed=seed).checks[0]
        for seed in (1, 1, 2)
    ]
    assert found[0] == found[1] != found[2]
    assert np.isfinite(found[0].deviation or 0)
