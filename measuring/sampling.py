"""What a sample says of the mean over all targets: regression estimates and sample sizes.

The loss at context k is close to that of the same target in the reference pass, and the closer the
larger k is. A regression on such *controls*, whose means over all targets are known, takes out of
a sample's mean what they explain; what is left has a small spread, so that few targets suffice
(Cochran 1977, Sampling Techniques, section 7.8; Särndal, Swensson & Wretman 1992, section 6.4).

Sample sizes follow from the spread alone, never from a mean: looking at the means until they please
would spoil the intervals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seqmem.leaderboard.statistics.intervals import LEVEL

__all__ = ["PILOT", "Regression", "regress", "size_needed", "size_to_see"]

PILOT = 256  # targets scored at every k before the spread is known; the least behind an interval
LEVERAGE = 0.25  # the largest pull of one target on a slope
MARGIN = 1.05  # sizes aim at an interval this much narrower: the next sample's spread may be larger

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Regression:
    """Losses of a sample, regressed on controls that are known for all.

    Attributes:
        targets: (n,) the sample.
        coefficients: intercept first, then those of the first controls; the others have none.
        residuals: (n,) what the controls leave unexplained; their mean is zero.
        spread: standard deviation of the residuals, degrees of freedom taken off.
        freedom: degrees of freedom left.
    """

    targets: Indices
    coefficients: Values
    residuals: Values
    spread: float
    freedom: int

    def half_width(self, population: int) -> float:
        """Half the 95 % interval of the mean over a finite population that was sampled."""
        n = len(self.targets)
        if n >= population:
            return 0.0
        error = self.spread * math.sqrt((1 - n / population) / n)
        return float(stdtrit(self.freedom, (1 + LEVEL) / 2)) * error

    def fill(self, values: Values, population: Indices, controls: Sequence[Values]) -> None:
        """Put estimates in place of a population's losses, in the array `values` of all targets.

        Each target gets what the controls say, and those of the sample, besides, their residual as
        often as there are targets for each of the sample. So the mean, and that of any group, is
        the regression estimate, and the spread between groups holds the error of sampling too.
        """
        used = controls[: len(self.coefficients) - 1]
        values[population] = _design(used, population) @ self.coefficients
        values[self.targets] += self.residuals * (len(population) / len(self.targets))


def regress(losses: Values, targets: Indices, controls: Sequence[Values]) -> Regression:
    """Regress a sample's losses (n,) on controls, (N,) each, by least squares.

    Where a few targets alone would decide a slope (a control that is the same for nearly all), the
    first control is subtracted as it is instead: a slope read off them would explain them, and say
    nothing of the targets that were not sampled.
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
    residuals: Values = losses - design @ coefficients
    freedom = max(freedom, 1)
    spread = math.sqrt(float(residuals @ residuals) / freedom)
    return Regression(targets, np.asarray(coefficients, np.float64), residuals, spread, freedom)


def size_needed(spread: float, population: int, half_width: float) -> int:
    """Give the sample size for an interval of a mean over a finite population, at least PILOT.

    Args:
        spread: standard deviation of what is averaged.
        population: how many targets there are.
        half_width: the largest allowed half-width of the 95 % interval.
    """
    quantile = float(stdtrit(PILOT, (1 + LEVEL) / 2)) * MARGIN
    if spread == 0:
        return min(PILOT, population)
    size = 1 / ((half_width / (quantile * spread)) ** 2 + 1 / population)
    return min(max(math.ceil(size), PILOT), population)


def size_to_see(largest: float, population: int, half_width: float) -> int:
    """Give the sample size that does not overlook what is rare, at least PILOT.

    With n targets, none of a kind that is seen, at most 3 in n are of that kind (at 95 %; the rule
    of three, Hanley & Lippman-Hand 1983); n is such that these could not move the mean by more than
    the half-width.

    Args:
        largest: how much larger one loss may be than its control says.
        population: how many targets there are.
        half_width: what may be overlooked.
    """
    return min(max(math.ceil(3 * largest / half_width), PILOT), population)


def _design(controls: Sequence[Values], targets: Indices) -> Values:
    """Put an intercept and the controls side by side: (n, p + 1)."""
    return np.column_stack([np.ones(len(targets)), *(control[targets] for control in controls)])
