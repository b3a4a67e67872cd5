"""What theory says of the optimum of each task, against the optimum itself."""

import math

import numpy as np
import pytest

from seqmem.tasks import load_task
from seqmem.tasks.known_laws import in_view, known_law


@pytest.mark.parametrize(
    "task_id",
    ["associative-recall/keys=8,values=16,zipf=0", "state-tracking/group=S3,reset=0.05"],
)
def test_exponentials_are_exact(task_id: str) -> None:
    task = load_task(task_id)
    law = known_law(task)
    assert law is not None
    for k in (3, 5, 9, 17, 33):
        view = in_view(task, k)
        assert view.shares.sum() == pytest.approx(1)
        mean = view.shares @ np.exp(-view.units / law.value)
        assert task.optimum(k) == pytest.approx(task.chance() * mean, rel=1e-9)


@pytest.mark.parametrize("zipf", [1.5, 2, 3])
def test_recall_of_frequent_keys_is_a_power_law_where_it_says_so(zipf: float) -> None:
    task = load_task(f"associative-recall/keys=1024,values=64,zipf={zipf}")
    law = known_law(task)
    assert law is not None
    p = task.frequencies  # type: ignore[attr-defined]
    missed = [float(p @ (1 - p) ** (64 << i)) for i in range(6)]
    falls = -np.diff(missed)
    # Twice as many pairs: a constant floor cancels in differences.
    exponents = -np.log2(falls[1:] / falls[:-1])
    assert exponents == pytest.approx(law.value, rel=0.03)
    assert (law.first - 1) // 2 == 64
    assert p[-1] * (law.last - 1) / 2 <= 0.1


def test_the_error_of_long_memory_falls_as_one_over_k() -> None:
    """The formula with gamma functions in the task's docstring, and its limit d²/k."""
    d = 0.3
    v = [
        math.exp(math.lgamma(k + 1) + math.lgamma(k + 1 - 2 * d) - 2 * math.lgamma(k + 1 - d))
        for k in (1, 10, 100, 1000)
    ]
    task = load_task(f"long-memory/d={d}")
    # With one input at most, each target has exactly one.
    assert task.optimum(1) == pytest.approx(v[0])
    assert 1000 * (v[3] - 1) == pytest.approx(d * d, rel=2e-3)
    assert known_law(task) is not None


@pytest.mark.parametrize(
    "task_id",
    [
        "associative-recall/keys=32,values=64,zipf=1.5",  # too few keys
        "associative-recall/keys=1024,values=64,zipf=1.2",  # rare keys end it earlier
        "state-tracking/group=S3,reset=0",
        "hidden-markov/dwell=20",
    ],
)
def test_other_tasks_have_no_law(task_id: str) -> None:
    assert known_law(load_task(task_id)) is None


def test_windows_hold_no_more_than_their_sequence() -> None:
    view = in_view(load_task("long-memory/d=0.3"), 2)
    assert view.units.tolist() == [1, 2]
    assert view.shares == pytest.approx([1 / 512, 511 / 512])
    view = in_view(load_task("text:none.txt"), 64)  # a stream: nothing is read
    assert (view.units.tolist(), view.shares.tolist()) == ([64], [1])
