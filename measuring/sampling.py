"""The sampling estimator of a mean loss: regression on control variates, and sample sizes.

The loss at context k is close to the same target's loss in the reference pass, and the closer the
larger k is. A regression on such *controls*, whose means over all targets are known, removes from a
sample's mean what they explain; the residuals have a small spread, so that few targets suffice
(Cochran 1977, Sampling Techniques, section 7.8; Särndal, Swensson & Wretman 1992, section 6.4).

Sample sizes follow from the spread alone, never from a mean: stopping when a mean looks right would
invalidate the intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from seqmem.leaderboard.statistics.intervals import LEVEL
from seqmem.measuring.arrays import Floats, Indices

__all__ = ["PILOT", "Regression", "regress", "size_needed", "size_to_see"]

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


def size_needed(spread: float, population: int, half_width: float) -> int:
    """Return the sample size for an interval of a mean over a finite population, at least PILOT.

    Args:
        spread: standard deviation of what is averaged.
        population: the number of targets.
        half_width: the largest allowed half-width of the 95 % interval.
    """
    quantile = float(stdtrit(PILOT, (1 + LEVEL) / 2)) * MARGIN
    if spread == 0:
        return min(PILOT, population)
    size = 1 / ((half_width / (quantile * spread)) ** 2 + 1 / population)
    return min(max(math.ceil(size), PILOT), population)


def size_to_see(largest: float, population: int, half_width: float) -> int:
    """Return the sample size that does not miss rare large differences, at least PILOT.

    If none of n sampled targets is of some kind, at most 3 in n of all targets are (at 95 %; the
    rule of three, Hanley & Lippman-Hand 1983); n is such that these cannot change the mean by more
    than the half-width.

    Args:
        largest: by how much one loss may differ from its control.
        population: the number of targets.
        half_width: the largest change of the mean that may be missed.
    """
    return min(max(math.ceil(3 * largest / half_width), PILOT), population)


def _design(controls: Sequence[Floats], targets: Indices) -> Floats:
    """Return the design matrix of an intercept and the controls: (n, p + 1)."""
    return np.column_stack([np.ones(len(targets)), *(control[targets] for control in controls)])
