"""Regression estimates and sample sizes, against arithmetic and against repetition."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.measuring.sampling import PILOT, Tail, regress, size_needed


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


def test_a_missed_kind_is_as_common_as_the_hypergeometric_distribution_allows() -> None:
    """A sample misses a kind of that many targets with a probability of 5 %."""
    every = Tail(np.ones(400))  # differences of 1: what is unseen is the share of targets itself
    for population, size in ((100_000, 256), (5000, 256), (5000, 2500)):
        kind = every.unseen(size, population) * population
        rarer, commoner = (
            stats.hypergeom.pmf(0, population, count, size)
            for count in (math.floor(kind), math.ceil(kind))
        )
        assert commoner <= 0.05
        assert rarer >= 0.048  # the formula is that of sampling with replacement
    assert every.unseen(5000, 5000) == 0


def test_what_is_missed_are_the_largest_differences() -> None:
    tail = Tail(np.array([-8.0, 0.0, 2.0, *[0.0] * 97]))
    assert tail.unseen(300, 10**9) == pytest.approx(0.08, rel=1e-2)  # the largest one in a hundred
    assert tail.unseen(150, 10**9) == pytest.approx(0.10, rel=1e-2)  # the largest two
    assert tail.unseen(600, 10**9) == pytest.approx(0.04, rel=1e-2)  # half of the largest one
    assert Tail(np.zeros(3)).unseen(1, 100) == 0


@pytest.mark.parametrize("rate", [0.001, 0.004, 0.01, 0.03, 0.1, 0.4])
def test_differences_of_one_size_are_covered_however_rare(rate: float) -> None:
    """Student's t alone covers 23 % where one target in a thousand has a difference."""
    size, population = 256, 10**6
    counts = np.random.default_rng(4).binomial(size, rate, 20_000)
    share = counts / size
    error = np.sqrt(share * (1 - share) / (size - 1))
    half = np.hypot(1.97 * error, Tail(np.ones(100)).unseen(size, population))
    assert (np.abs(share - rate) <= half).mean() >= 0.93
    if rate == 0.001:
        assert (np.abs(share - rate) <= 1.97 * error).mean() < 0.25


@given(
    spread=st.floats(0, 10),
    largest=st.floats(0, 10),
    population=st.integers(1, 10**6),
    half_width=st.floats(1e-5, 1),
)
def test_the_size_is_what_the_interval_needs(
    spread: float, largest: float, population: int, half_width: float
) -> None:
    tail = Tail(largest * np.array([1.0, 0.1, 0.01, 0.0]))

    def narrowest(size: int, quantile: float) -> float:
        error = spread * math.sqrt((1 - size / population) / size)
        return math.hypot(quantile * error, tail.unseen(size, population))

    size = size_needed(spread, tail, population, half_width)
    assert min(PILOT, population) <= size <= population
    assert narrowest(size, 1.96) <= half_width
    if size > PILOT:  # and not much more
        assert narrowest(int(size * 0.8), 2.1) > half_width * 0.9


def test_no_spread_needs_no_more_than_the_pilot() -> None:
    assert size_needed(0.0, Tail(np.zeros(256)), 10_000, 1e-9) == PILOT
    assert size_needed(0.0, Tail(np.zeros(10)), 10, 1e-9) == 10
