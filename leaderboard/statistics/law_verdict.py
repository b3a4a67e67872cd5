"""Which law a curve follows: a power law, an exponential, neither, or it cannot be told.

Of a measured curve, each law is rejected at the level of 1 % if

* it misfits (`law_fit`), or
* the other law fits better than it would if this one held: the ratio of likelihoods,
  ν ln((1 + Q/ν)/(1 + Q′/ν)), is compared with that of curves simulated under the fitted law, with
  normal noise and a covariance that is estimated anew for each (Cox 1961, 1962, tests of separate
  families of hypotheses; simulated as in Williams 1970, Biometrics 26).

If one law is rejected and the other is not, that one is the verdict; if both are, "neither"; if
none is, "cannot tell". An exact curve has no noise: there a law fits if it deviates nowhere by more
than 2 % of the curve's fall. A law whose γ or τ is at the end of what was searched is rejected, as
it is then a straight line in k, in ln k, or a step.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.statistics.law_fit import (
    Fit,
    PairedCurve,
    Problems,
    Scaled,
    fit_law,
    minimised,
)
from seqmem.leaderboard.statistics.law_sum import SumFit, fit_sum
from seqmem.leaderboard.statistics.laws import SHAPES, Decay, decay_means
from seqmem.tasks.law import Shape

__all__ = ["DRAWS", "FEWEST", "NEAR", "REJECTED", "Judgement", "Verdict", "judge"]

Floats = npt.NDArray[np.float64]

Verdict = Literal["power law", "exponential", "neither", "cannot tell"]

REJECTED = 0.01  # the level of each test
NEAR = 0.02  # how far an exact curve may be from a law, as a share of its fall
FEWEST = 5  # context lengths
DRAWS = 999


@dataclass(frozen=True, eq=False)
class Judgement:
    """The laws that were fitted to a curve, and the verdict.

    Attributes:
        verdict: which law it is.
        fits: of each shape.
        ratios: of each shape the probability that the other law fits so much better if this one
            holds; None for exact curves.
        curve: what they were fitted to.
    """

    verdict: Verdict
    fits: dict[Shape, Fit]
    ratios: dict[Shape, float | None]
    curve: PairedCurve

    @cached_property
    def total(self) -> SumFit:
        """The sum of both laws, fitted."""
        return fit_sum(self.curve)

    @property
    def sum_fits(self) -> bool:
        """Whether the sum of both laws fits, and has a part of each."""
        p = self.total.p
        if min(self.total.amplitudes) == 0 or (p is None and self.curve.covariance is not None):
            return False
        return self.total.largest <= NEAR if p is None else p >= REJECTED


def judge(curve: PairedCurve, *, draws: int = DRAWS, seed: int = 0) -> Judgement:
    """Return which law a falling curve follows.

    Args:
        curve: at least `FEWEST` context lengths.
        draws: how many curves are simulated under each law.
        seed: of the simulated curves.

    Raises:
        LinAlgError: two context lengths have the same losses, or there are too few groups.
    """
    scaled = Scaled.of(curve)
    fits = {shape: fit_law(curve, shape, scaled) for shape in SHAPES}
    if curve.covariance is None:
        near = [fit for fit in fits.values() if fit.largest <= NEAR and _telling(curve, fit)]
        return Judgement(_verdict([fit.shape for fit in near]), fits, dict.fromkeys(SHAPES), curve)
    rng = np.random.default_rng(seed)
    ratios: dict[Shape, float | None] = {}
    for shape, fit in fits.items():
        there = fit.p is not None and fit.p >= REJECTED and _telling(curve, fit)
        ratios[shape] = _simulated(curve, scaled, fits, shape, draws, rng) if there else None
    held = [shape for shape, ratio in ratios.items() if ratio is not None and ratio >= REJECTED]
    return Judgement(_verdict(held), fits, ratios, curve)


def _verdict(held: list[Shape]) -> Verdict:
    if len(held) == 1:
        return held[0]
    return "cannot tell" if held else "neither"


def _telling(curve: PairedCurve, fit: Fit) -> bool:
    """Return whether a parameter, or a part of its interval, is that of a curve of this shape."""
    first, last = Decay.of(fit.shape, curve.views).telling
    low, high = fit.interval or (fit.value, fit.value)
    return (low is None or low < last) and (high is None or high > first)


def _simulated(
    curve: PairedCurve,
    scaled: Scaled,
    fits: dict[Shape, Fit],
    shape: Shape,
    draws: int,
    rng: np.random.Generator,
) -> float:
    """Return how often the other law fits as much better as it does, if this one holds."""
    p, freedom = len(curve.losses), scaled.freedom
    fit = fits[shape]
    mean = fit.floor + fit.amplitude * decay_means(shape, np.array([fit.value]), curve.views)[0]
    losses = scaled.whiten @ mean + rng.standard_normal((draws, p))
    # Bartlett's decomposition of the covariance that is estimated for each curve.
    factor = np.tril(rng.standard_normal((draws, p, p)), -1)
    chi = np.sqrt(rng.chisquare(freedom - np.arange(p), (draws, p)))
    factor[:, np.arange(p), np.arange(p)] = chi
    roots = np.linalg.inv(factor / np.sqrt(freedom))
    problems = Problems.of(
        np.einsum("nij,nj->ni", roots, losses), np.einsum("nij,j->ni", roots, scaled.ones), roots
    )
    logs = {}
    for each in SHAPES:
        spline = Decay.of(each, curve.views).spline(scaled.whiten)
        misfits = problems.misfits(spline(minimised(spline, problems)))
        logs[each] = np.log1p(misfits / freedom)
    (other,) = (each for each in SHAPES if each != shape)
    found = np.log1p(fit.misfit / freedom) - np.log1p(fits[other].misfit / freedom)
    return float((1 + (logs[shape] - logs[other] >= found).sum()) / (1 + draws))
