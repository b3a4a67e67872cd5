"""Selective copying: its sequences, and its optimum by enumeration and by counting."""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.tasks.model import FullOutputs
from seqmem.tasks.selective_copy import SelectiveCopy
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.memory_oracles import Case, SelectiveOracle, smallest_loss, subsets


def every_sequence(task: SelectiveCopy) -> Iterator[Case]:
    for chosen in subsets(task.places, task.data):
        for symbols in itertools.product(range(8), repeat=task.data):
            inputs = [0] * task.places + [9] * task.data
            for place, symbol in zip(chosen, symbols, strict=True):
                inputs[place] = symbol + 1
            yield 1.0, tuple(inputs), {task.places + j: s for j, s in enumerate(symbols)}


@pytest.mark.parametrize(("places", "data"), [(1, 1), (2, 1), (4, 2), (5, 3), (3, 3), (7, 2)])
def test_the_optimum_by_enumeration(places: int, data: int) -> None:
    task = SelectiveCopy(places, data)
    cases = list(every_sequence(task))
    for k in range(1, places + data + 2):
        assert task.optimum(k) == pytest.approx(smallest_loss(cases, k), abs=1e-12)
    assert task.optimum("full") == 0


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 130))
def test_the_optimum_counts_places(places: int, data: int, k: int) -> None:
    """Against the number of subsets whose j-th place is not in view."""
    data = min(data, places)
    hidden = 0.0
    for j in range(1, data + 1):
        missed = min(max(places + j - k, 0), places)
        ways = sum(
            math.comb(missed, h) * math.comb(places - missed, data - h) for h in range(j, data + 1)
        )
        hidden += ways / math.comb(places, data) / data
    assert SelectiveCopy(places, data).optimum(k) == pytest.approx(math.log(8) * hidden, abs=1e-9)


@pytest.mark.parametrize(("places", "data"), [(20, 5), (12, 12)])
def test_counting_reaches_the_optimum(places: int, data: int) -> None:
    task = SelectiveCopy(places, data)
    contexts: list[Context] = [*task.contexts, places - 1, places, places + data, "full"]
    check_scores(FullOutputs(SelectiveOracle(task)), task, {k: task.optimum(k) for k in contexts})


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 99))
def test_sequences_are_as_specified(places: int, data: int, seed: int) -> None:
    data = min(data, places)
    task = SelectiveCopy(places, data)
    for split in (task.train(seed, 0), task.split("valid")):
        inputs = split.inputs.reshape(-1, places + data).numpy()
        targets = split.targets.reshape(-1, data).numpy()
        assert (inputs[:, places:] == 9).all()
        for row in range(20):
            symbols = [s for s in inputs[row, :places].tolist() if s]
            assert symbols == (targets[row] + 1).tolist()
        mean = (inputs[:, :places] > 0).mean(0)
        share = data / places
        assert np.abs(mean - share).max() <= 5 * math.sqrt(share * (1 - share) / len(inputs))
