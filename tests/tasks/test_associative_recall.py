"""Associative recall: its sequences, and its optimum by enumeration and by a table of pairs."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from seqmem.tasks.associative_recall import AssociativeRecall
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.memory_oracles import Case, TableOracle, smallest_loss


def every_sequence(task: AssociativeRecall) -> Iterator[Case]:
    for keys in itertools.product(range(task.keys), repeat=task.pairs):
        probability = math.prod(task.frequencies[key] for key in keys)
        for table in itertools.product(range(task.values), repeat=task.keys):
            flat = [part for key in keys for part in (key, task.keys + table[key])]
            yield probability, tuple(flat[:-1]), {2 * n: table[key] for n, key in enumerate(keys)}


def shortened(keys: int, values: int, zipf: float, pairs: int) -> AssociativeRecall:
    task = AssociativeRecall(keys, values, zipf)
    task.pairs, task.longest_context = pairs, 2 * pairs - 1
    return task


@pytest.mark.parametrize(
    ("keys", "values", "zipf", "pairs"),
    [(2, 2, 0.0, 8), (2, 3, 1.0, 5), (3, 2, 0.0, 4), (3, 2, 0.7, 5), (4, 2, 2.0, 4)],
)
def test_the_optimum_by_enumeration(keys: int, values: int, zipf: float, pairs: int) -> None:
    task = shortened(keys, values, zipf, pairs)
    cases = list(every_sequence(task))
    for k in (*task.contexts, 2 * pairs):
        assert task.optimum(k) == pytest.approx(smallest_loss(cases, k), abs=1e-12)
    assert task.optimum("full") == task.optimum(2 * pairs - 1)


def test_an_even_k_has_no_known_optimum_but_is_between_its_neighbours() -> None:
    task = shortened(3, 2, 0.5, 4)
    cases = list(every_sequence(task))
    for k in (2, 4, 6):
        assert task.optimum(k) is None
        after, before = task.optimum(k + 1), task.optimum(k - 1)
        assert after is not None
        assert before is not None
        # Strictly: the lone value says a little, which the formula of an odd k would miss.
        assert after < smallest_loss(cases, k) < before


@pytest.mark.parametrize(("keys", "values", "zipf"), [(8, 16, 0.0), (16, 4, 1.0)])
def test_a_table_of_all_pairs_reaches_the_optimum(keys: int, values: int, zipf: float) -> None:
    task = AssociativeRecall(keys, values, zipf)
    contexts: list[Context] = [*task.contexts, "full"]
    check_scores(TableOracle(task), task, {k: task.optimum(k) for k in contexts})


def test_sequences_are_as_specified() -> None:
    task = AssociativeRecall(6, 5, 1.0)
    for split in (task.train(3, 0), task.split("test")):
        inputs = split.inputs.reshape(-1, task.longest_context).numpy()
        targets = split.targets.reshape(len(inputs), task.pairs).numpy()
        keys, values = inputs[:, ::2], inputs[:, 1::2] - task.keys
        assert (targets[:, :-1] == values).all()
        for row in range(50):
            assert len(set(zip(keys[row], targets[row], strict=True))) == len(set(keys[row]))
        # Frequencies of keys and of values, within four standard errors.
        for found, expected in (
            (np.bincount(keys.ravel(), minlength=6), task.frequencies),
            (np.bincount(targets[:, 0], minlength=5), np.full(5, 0.2)),
        ):
            count = found.sum()
            allowed = 4 * np.sqrt(expected * (1 - expected) / count)
            assert (np.abs(found / count - expected) < allowed).all()
    assert torch.equal(split.positions[: task.pairs], torch.arange(task.pairs) * 2)
