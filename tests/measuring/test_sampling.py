"""Regression estimates and sample sizes, against arithmetic and against repetition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.measuring.sampling import PILOT, regress, size_needed, size_to_see


def test_without_controls_it_is_the_mean_and_the_textbook_interval() -> None:
    losses = np.array([1.0, 4.0, 2.0, 7.0, 6.0])
    targets = np.array([3, 0, 8, 9, 5])
    fit = regress(losses, targets, [])
    filled = np.full(10, np.nan)
    fit.fill(filled, np.arange(10), [])
    assert filled.mean() == pytest.approx(4.0)
    error = losses.std(ddof=1) * math.sqrt((1 - 5 / 10) / 5)  # half of the population is known
    assert fit.half_width(10) == pytest.approx(2.7764451 * error)  # t, 4 degrees of freedom


def test_a_control_that_explains_all_leaves_nothing_open() -> None:
    rng = np.random.default_rng(0)
    control = rng.normal(size=1000)
    truth = 3 + 2 * control
    targets = rng.choice(1000, 50, replace=False)
    controls = [control, control, np.ones(1000)]  # collinear ones too
    fit = regress(truth[targets], targets, controls)
    filled = np.zeros(1000)
    fit.fill(filled, np.arange(1000), controls)
    assert filled == pytest.approx(truth)
    assert fit.half_width(1000) < 1e-12


def test_all_targets_leave_nothing_open() -> None:
    losses = np.random.default_rng(0).normal(size=20)
    fit = regress(losses, np.arange(20), [losses[::-1].copy()])
    filled = np.zeros(20)
    fit.fill(filled, np.arange(20), [losses[::-1].copy()])
    assert filled == pytest.approx(losses)
    assert fit.half_width(20) == 0


def test_intervals_cover_and_means_of_groups_are_right() -> None:
    """Return skewed differences to a control, as between truncated and full context."""
    rng = np.random.default_rng(1)
    population, size, repeats = 5000, 300, 1000
    control = rng.gamma(2.0, 2.0, population)
    truth = 0.9 * control + 0.5 + rng.gamma(0.7, 0.4, population)
    group = np.arange(population) < 1500
    hits, means, parts = 0, [], []
    for _ in range(repeats):
        targets = rng.choice(population, size, replace=False)
        fit = regress(truth[targets], targets, [control])
        filled = np.zeros(population)
        fit.fill(filled, np.arange(population), [control])
        means.append(filled.mean())
        parts.append(filled[group].mean())
        hits += abs(filled.mean() - truth.mean()) <= fit.half_width(population)
    assert 0.93 <= hits / repeats <= 0.97
    for estimates, right in ((means, truth.mean()), (parts, truth[group].mean())):
        error = np.std(estimates) / math.sqrt(repeats)
        assert abs(np.mean(estimates) - right) < 4 * error + 1e-4


@pytest.mark.parametrize("usual", [0.0, 2.0])
def test_a_control_that_hardly_varies_is_subtracted_as_it_is(usual: float) -> None:
    """A task that is nearly solved: nearly all targets have one loss, and a few another.

    A slope read off the few that a sample has, or the control thrown away where it has none, would
    give a wrong mean with an interval of no width. The difference is known without either.
    """
    rng = np.random.default_rng(2)
    control = np.full(20_000, usual)
    control[rng.choice(20_000, 80, replace=False)] = 8.0
    truth = control + rng.normal(0, 0.05, 20_000)
    hits = 0
    for _ in range(300):
        targets = rng.choice(20_000, PILOT, replace=False)
        fit = regress(truth[targets], targets, [control])
        filled = np.zeros(20_000)
        fit.fill(filled, np.arange(20_000), [control])
        half_width = fit.half_width(20_000)
        assert 0.003 < half_width < 0.012
        hits += abs(filled.mean() - truth.mean()) <= half_width
    assert hits / 300 > 0.9


def test_what_is_rare_asks_for_more_targets() -> None:
    """With 3 in n not sampled, they cannot change the mean by more than the half-width."""
    assert size_to_see(largest=2.0, population=10**6, half_width=0.01) == 600
    assert size_to_see(largest=0.01, population=10**6, half_width=0.01) == PILOT
    assert size_to_see(largest=9.0, population=500, half_width=0.01) == 500


@given(
    spread=st.floats(1e-6, 10),
    population=st.integers(1, 10**6),
    half_width=st.floats(1e-5, 1),
)
def test_the_size_is_what_the_interval_needs(
    spread: float, population: int, half_width: float
) -> None:
    size = size_needed(spread, population, half_width)
    assert min(PILOT, population) <= size <= population
    if size < population:
        fpc = math.sqrt((1 - size / population) / size)
        assert 1.96 * spread * fpc <= half_width
    if PILOT < size < population:  # and not much more
        smaller = int(size * 0.8)
        assert 1.96 * spread * math.sqrt((1 - smaller / population) / smaller) > half_width * 0.9


def test_no_spread_needs_no_more_than_the_pilot() -> None:
    assert size_needed(0.0, 10_000, 1e-9) == PILOT
    assert size_needed(0.0, 10, 1e-9) == 10
