"""The variance between trainings, pooled over models, of values with known variances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.leaderboard.statistics.seed_variance import seed_variances

Seeds = list[float]


def of(values: list[Seeds], trained: list[bool] | None = None) -> tuple[Seeds, Seeds]:
    rows = [np.array(some) for some in values]
    names = [f"m{i}" for i in range(len(rows))]
    variance, freedom = seed_variances(rows, names, trained or [True] * len(rows))
    return variance.tolist(), freedom.tolist()


def test_models_share_a_variance_unless_their_own_is_larger() -> None:
    """Variances 1, 4 and 1 with 1, 2 and 3 degrees of freedom; their mean is 2."""
    last = [math.sqrt(3) / 2 * (-1) ** i for i in range(4)]
    values = [[0, math.sqrt(2)], [-2.0, 0, 2], last]
    variance, freedom = of(values)
    assert variance == pytest.approx([2, 4, 2])
    # Satterthwaite: (1 + 8 + 3)² / (1 + 2 · 16 + 3)
    assert freedom == pytest.approx([4, 4, 4])


def test_a_plainly_larger_variance_stays_its_own() -> None:
    """Cochran's test: 100 of 103 is beyond the 1 % bound 0.95 of four variances of three seeds."""
    alike = [[-1.0, 0.0, 1.0]] * 3
    variance, freedom = of([[-10, 0, 10], *alike])
    assert variance == pytest.approx([100, 1, 1, 1])
    assert freedom == pytest.approx([2, 6, 6, 6])
    variance, _ = of([[-3, 0, 3], *alike])  # 9 of 12 is not
    assert variance == pytest.approx([9, 3, 3, 3])


def test_two_seeds_are_not_set_apart() -> None:
    """Both may be those that solve a task; in the pool they make others less certain."""
    some = math.sqrt(2)
    variance, freedom = of([[0, 1000 * some], [0, some], [0, some], [0, some]])
    assert variance == pytest.approx([1e6, 250000.75, 250000.75, 250000.75])
    assert freedom == pytest.approx([1] * 4, abs=1e-5)


def test_one_seed_has_the_largest_variance_or_that_of_the_same_model() -> None:
    rows = [np.array(some) for some in ([-1.0, 0, 1], [-2.0, 0, 2], [0.0], [0.0])]
    variance, freedom = seed_variances(rows, ["a", "b", "a", "c"], [True] * 4)
    assert variance.tolist() == pytest.approx([2.5, 4, 2.5, 4])
    assert (freedom == freedom[0]).all()


def test_unknown_is_not_zero() -> None:
    variance, freedom = of([[0.5], [0.7], [0.2, 0.4]], [True, True, False])
    assert np.isnan(variance[:2]).all()
    assert np.isnan(freedom[:2]).all()
    assert variance[2] == 0  # of weights that are one model, whatever their seeds
    assert of([]) == ([], [])


def test_seeds_that_agree_have_no_variance() -> None:
    variance, freedom = of([[1.0, 1.0, 1.0], [2.0, 2.0]])
    assert variance == [0, 0]
    assert freedom == [math.inf, math.inf]


@given(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=5), min_size=1, max_size=6))
def test_variances_are_at_least_the_own_and_in_any_order(values: list[Seeds]) -> None:
    variance, freedom = of(values)
    back = of(values[::-1])
    np.testing.assert_allclose(variance, back[0][::-1])
    np.testing.assert_allclose(freedom, back[1][::-1])
    for some, found, certain in zip(values, variance, freedom, strict=True):
        if len(some) > 1:
            assert found >= np.var(some, ddof=1) * (1 - 1e-9)
            assert certain > 0
