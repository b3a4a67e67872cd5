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

from seqmem.tasks.intervals import LEVEL

__all__ = ["PILOT", "Regression", "regress", "size_needed"]

PILOT = 256  # targets scored at every k before the spread is known; the least behind an interval
MARGIN = 1.05  # sizes aim at an interval this much narrower: the next sample's spread may be larger

Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Regression:
    """Losses of a sample, regressed on controls that are known for all.

    Attributes:
        targets: (n,) the sample.
        coefficients: (p + 1,) intercept first.
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
        values[population] = _design(controls, population) @ self.coefficients
        values[self.targets] += self.residuals * (len(population) / len(self.targets))


def regress(losses: Values, targets: Indices, controls: Sequence[Values]) -> Regression:
    """Regress a sample's losses (n,) on controls, (N,) each, by least squares."""
    design = _design(controls, targets)
    solution, _, rank, _ = np.linalg.lstsq(design, losses, rcond=1e-10)
    coefficients: Values = np.asarray(solution, np.float64)
    residuals: Values = losses - design @ coefficients
    freedom = max(len(losses) - int(rank), 1)
    spread = math.sqrt(float(residuals @ residuals) / freedom)
    return Regression(targets, coefficients, residuals, spread, freedom)


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


def _design(controls: Sequence[Values], targets: Indices) -> Values:
    """Put an intercept and the controls side by side: (n, p + 1)."""
    return np.column_stack([np.ones(len(targets)), *(control[targets] for control in controls)])
