"""Induction: its sequences, and its optimum by enumeration and by the best bet."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from seqmem.tasks.induction import Induction
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.memory_oracles import Case, InductionOracle, smallest_loss


def every_sequence(task: Induction) -> Iterator[Case]:
    for place in range(task.length - 1):
        for symbols in itertools.product(range(task.symbols), repeat=task.length - 1):
            inputs = [*symbols[:place], task.symbols, *symbols[place:], task.symbols]
            yield 1.0, tuple(inputs), {task.length: inputs[place + 1]}


@pytest.mark.parametrize(("symbols", "length"), [(2, 2), (2, 3), (2, 8), (3, 5), (5, 4)])
def test_the_optimum_by_enumeration(symbols: int, length: int) -> None:
    task = Induction(symbols, length)
    cases = list(every_sequence(task))
    for k in range(1, length + 3):
        assert task.optimum(k) == pytest.approx(smallest_loss(cases, k), abs=1e-12)
    assert task.optimum("full") == 0


@pytest.mark.parametrize(("symbols", "length"), [(2, 10), (16, 30)])
def test_the_best_bet_reaches_the_optimum(symbols: int, length: int) -> None:
    task = Induction(symbols, length)
    contexts: list[Context] = [*task.contexts, length - 1, length + 1, "full"]
    check_scores(FullOutputs(InductionOracle(task)), task, {k: task.optimum(k) for k in contexts})


def test_sequences_are_as_specified() -> None:
    task = Induction(5, 9)
    for split in (task.train(1, 0), task.split("test")):
        inputs = split.inputs.reshape(-1, 10).numpy()
        assert (inputs[:, -1] == 5).all()
        assert ((inputs == 5).sum(1) == 2).all()
        first = (inputs == 5).argmax(1)
        assert (inputs[np.arange(len(inputs)), first + 1] == split.targets.numpy()).all()
        assert set(first.tolist()) == set(range(8))
        counts = np.bincount(first) / len(first)
        assert np.abs(counts - 1 / 8).max() < 4 * math.sqrt(7 / 64 / len(first))
        shares = torch.bincount(split.targets).numpy() / len(first)
        assert np.abs(shares - 0.2).max() < 4 * math.sqrt(0.16 / len(first))
