"""Laws fitted to paired curves: recovery, invariance, independent least squares, calibration."""

from collections import Counter
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from seqmem.leaderboard.statistics.law_fit import PairedCurve, fit_law
from seqmem.leaderboard.statistics.law_sum import fit_sum
from seqmem.leaderboard.statistics.law_verdict import judge
from seqmem.leaderboard.statistics.laws import SHAPES, decay_means
from seqmem.leaderboard.statistics.paired_curve import paired_curve
from seqmem.tasks.law import InView, Shape

Floats = npt.NDArray[np.float64]

K = tuple(1 << i for i in range(9))
AT = np.array(K, np.float64)
SPREAD = np.geomspace(0.5, 0.005, len(K))  # of the groups' losses between neighbouring k


@cache
def views(scale: float = 1.0) -> tuple[InView, ...]:
    return tuple(InView.of(np.array([k * scale])) for k in K)


def exact(losses: Floats, scale: float = 1.0) -> PairedCurve:
    return PairedCurve(K, losses, views(scale))


def noisy(losses: Floats, seed: int, groups: int = 100, size: float = 1.0) -> PairedCurve:
    """Return a curve over equal groups, whose losses differ much less between large k."""
    steps = np.random.default_rng(seed).standard_normal((groups, len(K))) * SPREAD * size
    each = losses + steps[:, ::-1].cumsum(axis=1)[:, ::-1]
    return paired_curve(K, views(), each, np.ones(groups, np.int64))


def power(floor: float = 1.5, a: float = 2.0, gamma: float = 0.4) -> Floats:
    return floor + a * AT**-gamma


def exponential(floor: float = 1.5, a: float = 2.0, tau: float = 12.0) -> Floats:
    return floor + a * np.exp(-AT / tau)


PARAMETERS = st.tuples(st.floats(-3, 5), st.floats(0.1, 5), st.floats(0.1, 2))


@settings(deadline=None, max_examples=15)
@given(PARAMETERS)
def test_an_exact_curve_is_recovered(parameters: tuple[float, float, float]) -> None:
    floor, a, gamma = parameters
    found = fit_law(exact(power(floor, a, gamma)), "power law")
    assert found.value == pytest.approx(gamma, rel=1e-4)
    assert (found.floor, found.amplitude) == pytest.approx((floor, a), abs=1e-3)
    tau = 20 * gamma
    found = fit_law(exact(exponential(floor, a, tau)), "exponential")
    assert found.value == pytest.approx(tau, rel=1e-4)
    assert (found.floor, found.amplitude) == pytest.approx((floor, a), abs=1e-3)


def test_an_exact_sum_is_recovered() -> None:
    found = fit_sum(exact(0.5 + 1.2 * AT**-0.6 + 0.8 * np.exp(-AT / 30)))
    assert (found.exponent, found.time) == pytest.approx((0.6, 30), rel=1e-2)
    assert (found.floor, *found.amplitudes) == pytest.approx((0.5, 1.2, 0.8), abs=1e-2)
    assert found.largest < 1e-5


@pytest.mark.parametrize(("factor", "units"), [(0.01, 2.0), (7.0, 10.0)])
def test_units_of_loss_and_of_context_change_no_exponent(factor: float, units: float) -> None:
    curve = noisy(power(), 0)
    assert curve.covariance is not None
    scaled = PairedCurve(
        K, factor * curve.losses, curve.views, factor**2 * curve.covariance, curve.freedom
    )
    longer = PairedCurve(K, curve.losses, views(units), curve.covariance, curve.freedom)
    for shape in SHAPES:
        one, two, three = (fit_law(each, shape) for each in (curve, scaled, longer))
        assert two.value == pytest.approx(one.value, rel=1e-5)
        assert two.misfit == pytest.approx(one.misfit, rel=1e-6)
        assert (two.floor, two.amplitude) == pytest.approx(
            (factor * one.floor, factor * one.amplitude), rel=1e-4
        )
        by = units if shape == "exponential" else 1.0
        assert three.value == pytest.approx(by * one.value, rel=1e-5)
        assert one.interval is not None
        assert three.interval == pytest.approx([by * (end or 0) for end in one.interval], rel=1e-4)


def test_it_agrees_with_independent_least_squares() -> None:
    """`curve_fit` with the covariance; its linear interval is that of a small one."""
    curve = noisy(power(), 1, size=0.1)
    sigma = curve.covariance
    assert sigma is not None

    def law(k: Floats, floor: float, a: float, gamma: float) -> Floats:
        return floor + a * k**-gamma

    best, spread = curve_fit(
        law, AT, curve.losses, (1, 1, 0.5), sigma=sigma, absolute_sigma=True, xtol=1e-14
    )
    found = fit_law(curve, "power law")
    assert (found.floor, found.amplitude, found.value) == pytest.approx(tuple(best), rel=1e-5)
    left = np.asarray(curve.losses - law(AT, *best))
    assert found.misfit == pytest.approx(left @ np.linalg.solve(sigma, left), rel=1e-4)
    # With 99 degrees of freedom for 9 context lengths, intervals are a little wider.
    assert found.interval is not None
    low, high = found.interval
    assert low is not None
    assert high is not None
    ratio = (high - low) / (2 * 1.96 * np.sqrt(spread[2, 2]))
    assert 1.0 < ratio < 1.25


@pytest.mark.parametrize("shape", ["power law", "exponential"])
def test_intervals_hold_and_misfits_are_as_rare_as_stated(shape: Shape) -> None:
    """With 14 groups for 9 context lengths: a covariance taken as known covers about 70 %."""
    true, losses = (0.4, power()) if shape == "power law" else (12.0, exponential())
    held, rare, draws = 0, 0, 150
    for seed in range(draws):
        found = fit_law(noisy(losses, seed, groups=14, size=0.2), shape)
        assert found.interval is not None
        low, high = found.interval
        held += (low or 0) <= true <= (high or np.inf)
        rare += found.p is not None and found.p < 0.1
    assert 0.89 <= held / draws <= 0.99
    assert 0.03 <= rare / draws <= 0.18


@pytest.mark.parametrize(
    ("losses", "size", "verdict"),
    [
        (power(), 0.3, "power law"),
        (exponential(), 0.3, "exponential"),
        (1 + AT**-0.4 + np.exp(-AT / 12), 0.3, "neither"),
        (power(a=0.05), 1.0, "cannot tell"),
        (3 - 0.01 * AT, 0.3, "neither"),  # a straight line
    ],
)
def test_verdicts(losses: Floats, size: float, verdict: str) -> None:
    found: list[str] = []
    for seed in range(8):
        found.append(judge(noisy(losses, seed, size=size), draws=199).verdict)
    assert Counter(found)[verdict] >= 7
    if verdict != "cannot tell":
        assert judge(exact(losses)).verdict == verdict


def test_a_judgement_is_repeatable() -> None:
    one, two = (judge(noisy(power(), 3), draws=99) for _ in range(2))
    assert one.ratios == two.ratios
    assert judge(noisy(power(), 3), draws=99, seed=1).ratios != one.ratios


def test_the_start_of_sequences_is_part_of_the_law() -> None:
    """Sequences of 200 inputs: at k = 256 no window is longer, and most are at k = 4."""
    held = tuple(InView.of(np.minimum(k, np.arange(1.0, 201))) for k in K)
    losses = 1.0 + 2.0 * np.array([(np.minimum(k, np.arange(1.0, 201)) ** -0.7).mean() for k in K])
    found = fit_law(PairedCurve(K, losses, held), "power law")
    assert (found.floor, found.value) == pytest.approx((1.0, 0.7), rel=1e-4)
    plain = fit_law(exact(losses), "power law")
    assert abs(plain.value - 0.7) > 0.02


def test_means_of_a_law_are_over_all_targets() -> None:
    view = InView(np.array([2.0, np.inf]), np.array([0.25, 0.75]))
    assert decay_means("power law", np.array([1.0]), [view])[0, 0] == pytest.approx(0.125)
    found = decay_means("exponential", np.array([2.0]), [view])[0, 0]
    assert found == pytest.approx(0.25 * np.exp(-1))
    nothing = InView.of(np.array([0.0]))
    assert decay_means("power law", np.array([1.0]), [nothing])[0, 0] == 1.0


def test_the_covariance_is_that_of_ratios_of_totals() -> None:
    """Against means of groups of equal size, and of unequal ones by their definition."""
    rng = np.random.default_rng(0)
    each, counts = rng.random((12, 2)), np.full(12, 5)
    curve = paired_curve((1, 2), views()[:2], 5 * each, counts)
    assert curve.covariance is not None
    np.testing.assert_allclose(curve.covariance, np.asarray(np.cov(each.T)) / 12)
    np.testing.assert_allclose(curve.losses, each.mean(axis=0))
    assert curve.freedom == pytest.approx(11)
    counts = np.array([10, *[1] * 11])
    curve = paired_curve((1, 2), views()[:2], each * counts[:, None], counts)
    mean = (each * counts[:, None]).sum(axis=0) / 21
    left = (each - mean) * counts[:, None] / 21
    assert curve.covariance is not None
    np.testing.assert_allclose(curve.covariance, 12 / 11 * left.T @ left)
    assert curve.freedom == pytest.approx(21**2 / 111 - 1)


def test_equal_losses_have_no_covariance_to_fit_with() -> None:
    each = np.random.default_rng(0).random((20, len(K)))
    each[:, 3] = each[:, 4]
    with pytest.raises(np.linalg.LinAlgError):
        judge(paired_curve(K, views(), each, np.ones(20, np.int64)))
