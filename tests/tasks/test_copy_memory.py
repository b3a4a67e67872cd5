"""Copy memory: its sequences, the cliff and the ramp of its optimum."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.oracles import CopyOracle


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 120))
def test_copy_memory_optimum_is_the_share_of_delays_out_of_reach(
    shortest: int, extra: int, k: int
) -> None:
    delays = range(shortest, shortest + extra + 1)
    out_of_reach = np.mean([delay + 10 >= k for delay in delays])
    task = CopyMemory(delays[0], delays[-1])
    assert task.optimum(k) == pytest.approx(math.log(8) * out_of_reach)


def test_copy_memory_cliff_and_ramp() -> None:
    cliff = CopyMemory(30, 30)
    assert cliff.optimum(40) == pytest.approx(math.log(8))
    assert cliff.optimum(41) == 0
    assert cliff.contexts[-2:] == (40, 41)
    ramp = CopyMemory(10, 19)
    assert [ramp.optimum(k) for k in (20, 25, 30)] == pytest.approx(
        [math.log(8), math.log(8) / 2, 0], abs=1e-12
    )


def test_the_bound_of_the_test_set_is_as_its_docstring_says() -> None:
    task = CopyMemory(10, 50)
    delays = np.diff(task.split("test").starts.numpy()) - 20
    for k, realised, expected in ((32, 1.491, 1.471), (60, 0.062, 0.051)):
        assert math.log(8) * np.mean(delays + 10 >= k) == pytest.approx(realised, abs=5e-4)
        assert task.optimum(k) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("delays", [(1, 1), (6, 6), (5, 12)])
def test_copy_memory_oracle_reaches_the_optimum(delays: tuple[int, int]) -> None:
    task = CopyMemory(*delays)
    contexts: list[Context] = [1, 2, *range(delays[0] + 8, delays[1] + 13), 100, "full"]
    check_scores(FullOutputs(CopyOracle()), task, {k: task.optimum(k) for k in contexts})


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 12), st.integers(0, 99))
def test_copy_memory_sequences_are_as_specified(shortest: int, extra: int, seed: int) -> None:
    task = CopyMemory(shortest, shortest + extra)
    for split, everywhere in ((task.train(seed, 0), True), (task.split("valid"), False)):
        for s in range(0, 40, 7):
            begin, end = split.starts[s], split.starts[s + 1]
            inputs = split.inputs[begin:end].tolist()
            delay = len(inputs) - 20
            assert shortest <= delay <= shortest + extra
            symbols = inputs[:10]
            assert set(symbols) <= set(range(1, 9))
            assert inputs[10:] == [0] * (delay - 1) + [9] * 11
            mine = (split.positions >= begin) & (split.positions < end)
            positions = (split.positions[mine] - begin).tolist()
            targets = split.targets[mine].tolist()
            assert positions == list(range(0 if everywhere else delay + 10, len(inputs)))
            assert targets == [0] * (len(targets) - 10) + symbols
