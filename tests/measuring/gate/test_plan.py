"""Which windows the gate reads: cost and cut points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.perturbed_inputs import cut_points
from seqmem.measuring.gate.plan import plan_lengths
from seqmem.measuring.sampling import PILOT
from seqmem.tasks import load_task
from seqmem.tasks.model import as_sequence_model
from seqmem.tasks.task import Context, Split
from seqmem.tests import zoo


def scoring_steps(split: Split, contexts: tuple[Context, ...]) -> float:
    """The least that scoring takes: a reference pass, and a pilot at each k."""
    available = split.available
    pilots = sum(min(PILOT, int((available > k).sum())) * k for k in contexts if k != "full")
    return len(split.inputs) + pilots


@pytest.mark.parametrize("task_id", ["hidden-markov/dwell=20", "copy-memory/T=30", "chords"])
def test_the_gate_costs_less_than_three_tenths_of_scoring(task_id: str) -> None:
    task = zoo.Chords() if task_id == "chords" else load_task(task_id)
    spent = 0

    def count(inputs: Tensor, outputs: Tensor) -> Tensor:
        nonlocal spent
        spent += inputs.shape[0] * inputs.shape[1]
        return outputs

    model = as_sequence_model(zoo.Changed(zoo.honest_for(task), count).eval())
    split = task.split("test")
    contexts: tuple[Context, ...] = (*task.contexts, "full")
    assert check_validity(model, task, split, contexts, declared=None, seed=0, device="cpu").passed
    assert 0 < spent <= 0.3 * scoring_steps(split, contexts)


def test_the_plan_cuts_where_shorter_windows_have_nothing() -> None:
    """Every position of a window of 64 is the last one before a cut in some window."""
    task = load_task("hidden-markov/dwell=20")
    lengths = plan_lengths(task.split("test"), (*task.contexts, "full"), None, stateful=False)
    assert [of.length for of in lengths] == [1, 2, 4, 8, 16, 32, 64, 128, 512]
    assert sum(of.later_cuts for of in lengths) >= 230
    cut: set[int] = set()
    before = 0
    for of in lengths:
        if of.is_context:
            rng = np.random.default_rng(0)
            cut |= {c for _, c in cut_points(rng, of.windows, of.length, before, of.later_cuts)}
        before = of.length
    assert cut == set(range(1, 64))


@settings(max_examples=60, deadline=None)
@given(
    windows=st.integers(1, 6),
    length=st.integers(1, 30),
    shorter=st.integers(0, 30),
    count=st.integers(0, 100),
)
def test_cut_points_are_all_different_and_spread(
    windows: int, length: int, shorter: int, count: int
) -> None:
    chosen = cut_points(np.random.default_rng(0), windows, length, shorter, count)
    assert len(chosen) == min(count, windows * (length - 1))
    assert len(set(chosen)) == len(chosen)
    assert all(0 <= window < windows and 1 <= cut < length for window, cut in chosen)
    times = [sum(cut == c for _, cut in chosen) for c in range(1, length)]
    assert not times or max(times) - min(times) <= 1
    fresh = [cut >= shorter for _, cut in chosen[: length - 1]]
    assert fresh == sorted(fresh, reverse=True)
