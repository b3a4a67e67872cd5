"""The sampling estimator of a mean loss: regression on control variates, and sample sizes.

The loss at context k is close to the same target's loss in the reference pass, and the closer the
larger k is. A regression on such *controls*, whose means over all targets are known, removes from a
sample's mean what they explain; the residuals have a small spread, so that few targets suffice
(Cochran 1977, Sampling Techniques, section 7.8; Särndal, Swensson & Wretman 1992, section 6.4).

Differences that are large and rare may be missed by a sample, whose spread then does not show them.
So an interval has a second part, which bounds what was missed by the largest differences of a
sample at a shorter context (`Tail`). The two are added in quadrature: for differences of one size
this is close to the 95 % limit of a Poisson count, whether none of them was sampled or many.

Sample sizes follow from the spread and the largest differences, never from a mean: stopping when a
mean looks right would invalidate the intervals.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from seqmem.leaderboard.statistics.intervals import LEVEL
from seqmem.measuring.arrays import Floats, Indices

__all__ = ["PILOT", "Regression", "Tail", "regress", "size_needed"]

PILOT = 256  # targets scored at every k to measure the spread; the smallest sample of an interval
LEVERAGE = 0.25  # the largest leverage of one target in a regression
MARGIN = 1.05  # sample sizes are for an interval this much narrower: the spread may turn out larger


@dataclass(frozen=True)
class Regression:
    """Losses of a sample, regressed on controls that are known for all.

    Attributes:
        targets: (n,) the sample.
        coefficients: intercept first, then those of the first controls; the others are not used.
        residuals: (n,) what the controls leave unexplained; their mean is zero.
        spread: standard deviation of the residuals, corrected for the degrees of freedom.
        freedom: residual degrees of freedom.
    """

    targets: Indices
    coefficients: Floats
    residuals: Floats
    spread: float
    freedom: int

    def half_width(self, population: int) -> float:
        """Return half the 95 % interval of the mean over a finite population."""
        n = len(self.targets)
        if n >= population:
            return 0.0
        error = self.spread * math.sqrt((1 - n / population) / n)
        return float(stdtrit(self.freedom, (1 + LEVEL) / 2)) * error

    def fill(self, values: Floats, population: Indices, controls: Sequence[Floats]) -> None:
        """Write estimates of a population's losses into the array `values` of all targets.

        Each target gets its fitted value; a sampled one also its residual times the number of
        targets per sampled target. So the mean over all targets, or over any group, is the
        regression estimate, and the spread between groups includes the sampling error.
        """
        used = controls[: len(self.coefficients) - 1]
        values[population] = _design(used, population) @ self.coefficients
        values[self.targets] += self.residuals * (len(population) / len(self.targets))


def regress(losses: Floats, targets: Indices, controls: Sequence[Floats]) -> Regression:
    """Regress a sample's losses (n,) on controls, (N,) each, by least squares.

    If a few targets alone would determine a slope (a control that is constant for nearly all), the
    first control is subtracted with slope 1 instead: a slope fitted to them would explain them and
    nothing about the targets that were not sampled.
    """
    for count in (len(controls), 1) if len(controls) > 1 else (len(controls),):
        design = _design(controls[:count], targets)
        basis, singular, _ = np.linalg.svd(design, full_matrices=False)
        leverage = np.square(basis).sum(1).max()
        if singular[-1] > 1e-10 * singular[0] and (count == 0 or leverage <= LEVERAGE):
            coefficients = np.linalg.lstsq(design, losses, rcond=None)[0]
            freedom = len(losses) - design.shape[1]
            break
    else:
        coefficients = np.array([float((losses - design[:, 1]).mean()), 1.0])
        freedom = len(losses) - 1
    residuals: Floats = losses - design @ coefficients
    freedom = max(freedom, 1)
    spread = math.sqrt(float(residuals @ residuals) / freedom)
    return Regression(targets, np.asarray(coefficients, np.float64), residuals, spread, freedom)


class Tail:
    """The largest absolute differences of a sample, which bound what another sample missed.

    Attributes:
        size: the number of differences.
    """

    def __init__(self, differences: Floats) -> None:
        """Take differences (n,) of any sign."""
        self.size = len(differences)
        descending = np.sort(np.abs(differences))[::-1]
        self._sums = np.concatenate([[0.0], np.cumsum(descending)]) / max(self.size, 1)

    def unseen(self, size: int, population: int) -> float:
        """Return how much the targets that a sample missed may add to the mean of a population.

        A sample has, with a probability of 95 %, at least one target of any kind that makes up 3 in
        `size` of all (the rule of three, Hanley & Lippman-Hand 1983; fewer if the sample is a large
        part of the population). What it missed is assumed to add no more than the largest
        differences of that share of targets add here.

        Args:
            size: the number of targets in the sample, at least 1.
            population: the number of targets.
        """
        if size >= population:
            return 0.0
        share = math.log(1 - LEVEL) / (population * math.log1p(-size / population))
        return float(np.interp(share * self.size, np.arange(self.size + 1), self._sums))


def size_needed(spread: float, tail: Tail, population: int, half_width: float) -> int:
    """Return the sample size for an interval of a mean over a finite population, at least PILOT.

    Args:
        spread: standard deviation of what is averaged.
        tail: bounds what a sample misses.
        population: the number of targets.
        half_width: the largest allowed half-width of the 95 % interval.
    """
    quantile = float(stdtrit(PILOT, (1 + LEVEL) / 2)) * MARGIN

    def suffices(size: int) -> bool:
        error = spread * math.sqrt((1 - size / population) / size)
        return math.hypot(quantile * error, tail.unseen(size, population)) <= half_width

    return bisect_left(range(population), True, min(PILOT, population), key=suffices)


def _design(controls: Sequence[Floats], targets: Indices) -> Floats:
    """Return the design matrix of an intercept and the controls: (n, p + 1)."""
    return np.column_stack([np.ones(len(targets)), *(control[targets] for control in controls)])
