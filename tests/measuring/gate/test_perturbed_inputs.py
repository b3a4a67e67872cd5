"""Perturbed copies differ from their windows where they should."""

import pytest
import torch
from torch import Tensor

from seqmem.measuring.gate.perturbed_inputs import Perturber
from seqmem.tasks import load_task
from seqmem.tests import zoo

TASKS = {
    "markov": load_task("hidden-markov/dwell=5"),
    "copy": load_task("copy-memory/T=5"),
    "adding": load_task("adding-problem/T=20"),
    "chords": zoo.Chords(),
}


@pytest.mark.parametrize("kind", TASKS)
def test_copies_differ_exactly_where_inputs_are_replaced(kind: str) -> None:
    task = TASKS[kind]
    split = task.split("test")
    maker = Perturber(split, task.inputs, 3)
    windows = maker.windows(maker.targets(8, 40), 8)

    def same(one: Tensor, other: Tensor) -> Tensor:
        equal = one == other
        return equal.all(-1) if equal.ndim > 1 else equal

    for window in windows:
        later, earlier = maker.replaced_after(window, 5), maker.replaced_before(window, 3)
        assert same(later, window).tolist() == [True] * 5 + [False] * 3
        assert same(earlier, window).tolist() == [False] * 3 + [True] * 5
        assert later.dtype == window.dtype
        assert later.min() >= split.inputs.min()
        assert later.max() <= split.inputs.max()


@pytest.mark.parametrize("kind", TASKS)
def test_runs_continue_as_their_sequence_does(kind: str) -> None:
    task = TASKS[kind]
    split = task.split("test")
    maker = Perturber(split, task.inputs, 3)
    targets = maker.targets(6, 30)
    assert (split.available[targets] >= 6).all()
    runs = maker.continued(targets, 6, 11)
    assert torch.equal(runs[:, :6], maker.windows(targets, 6))
    for target, run in zip(targets.tolist(), runs, strict=True):
        position = int(split.positions[target])
        end = int(split.starts[split.starts > position][0])
        follows = split.inputs[position + 1 : min(position + 6, end)]
        assert torch.equal(run[6 : 6 + len(follows)], follows)
