"""Distinct windows, against comparing them one by one."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqmem.measuring.windows import DistinctWindowFinder, window_inputs
from seqmem.tasks.task import Split


@given(
    ids=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    contexts=st.lists(st.integers(1, 20), min_size=1, max_size=5, unique=True),
    every=st.integers(1, 3),
)
def test_distinct_windows_are_those_that_differ(
    ids: list[int], contexts: list[int], every: int
) -> None:
    positions = torch.arange(0, len(ids), every)
    split = Split(
        torch.tensor(ids).int() * 1000, torch.tensor([0, len(ids)]), positions, positions, positions
    )
    distinct = DistinctWindowFinder(split)
    for k in sorted(contexts):
        chosen = np.flatnonzero(split.available.numpy() >= k)
        if len(chosen) == 0:
            break
        shared = distinct.find(chosen, k)
        windows = window_inputs(split, torch.from_numpy(chosen), k)
        representatives = window_inputs(split, torch.from_numpy(shared.first), k)
        # Each target's window is that of its representative.
        assert torch.equal(representatives[torch.from_numpy(shared.window)], windows)
        # None is there twice, unless nearly all were distinct at a shorter length.
        count = len({tuple(row) for row in windows.tolist()})
        assert len(shared.first) == count or len(shared.first) == len(chosen)
        if count < 0.5 * len(chosen):
            assert len(shared.first) == count


def test_vectors_count_as_different() -> None:
    split = Split(
        torch.zeros(5, 2), torch.tensor([0, 5]), torch.arange(5), torch.zeros(5), torch.arange(5)
    )
    shared = DistinctWindowFinder(split).find(np.arange(1, 5), 2)
    assert shared.first.tolist() == [1, 2, 3, 4]
    assert shared.window.tolist() == [0, 1, 2, 3]
