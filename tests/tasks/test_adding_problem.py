"""The adding problem: its sequences and its optimum."""

import itertools

import pytest
import torch

from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.oracles import AddingOracle


@pytest.mark.parametrize("length", [2, 20, 50])
def test_adding_oracle_reaches_the_optimum(length: int) -> None:
    task = AddingProblem(length)
    contexts: list[Context] = sorted({1, length // 4 + 1, length // 2, length - 1, length})
    contexts = [k for k in contexts if k != 0] + [2 * length, "full"]
    line = {k: max(0, length - (length if k == "full" else k)) / (6 * length) for k in contexts}
    assert {k: task.optimum(k) for k in contexts} == pytest.approx(line)
    check_scores(FullOutputs(AddingOracle()), task, line)


def test_adding_sequences_are_as_specified() -> None:
    task = AddingProblem(7)
    split = task.split("test")
    value, marker = split.inputs.reshape(-1, 7, 2).unbind(-1)
    assert ((value >= 0) & (value < 1)).all()
    assert (marker.sum(1) == 2).all()
    assert set(marker.unique().tolist()) == {0.0, 1.0}
    assert torch.equal((value * marker).sum(1), split.targets)
    # Every pair of positions is as likely as any other: chi-squared over the 21 pairs.
    pairs = [tuple(row) for row in marker.nonzero()[:, 1].reshape(-1, 2).tolist()]
    counts = [pairs.count(pair) for pair in itertools.combinations(range(7), 2)]
    expected = len(pairs) / 21
    assert sum((count - expected) ** 2 / expected for count in counts) < 45.3  # p = 0.001, 20 d.f.
