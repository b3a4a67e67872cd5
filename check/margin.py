"""Margins of a check: the largest difference between two trainings of one cell without a fault.

**Fresh seeds.** The S trainings of an expectation differ in nothing but the seed, so the standard
deviation s of their losses at a k is the effect of the seed alone. The mean loss of n trainings
with other seeds differs from their mean by more than

    t(S − 1) · s · √(1/n + 1/S)

with probability LEVEL, where t is the two-sided quantile of Student's distribution.

**The same seeds** start from the same weights and read the same data. Except for rounding they are
the same training, scored on the same targets, and nothing is sampled. Training amplifies rounding.
To measure how much, each seed is trained once more from weights perturbed by JITTER of their size,
which is more than other kernels, processors and numbers of threads change. With r the root mean
square of the resulting differences, the mean loss over n seeds changes by more than
t(S) · r · √(1/n) with probability LEVEL. This margin reveals faults that are smaller than the
differences between seeds.

Both margins are at least FLOOR of the task's chance loss. The margin of the same seeds is at most
that of fresh seeds.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seqmem.check.curves import Curves

__all__ = [
    "CAP",
    "FLOOR",
    "JITTER",
    "LEVEL",
    "fresh_margin",
    "half_widths",
    "same_half_width",
    "same_margin",
    "spread",
]

LEVEL = 1e-3  # two-sided probability that a training without a fault exceeds the margin at one k
FLOOR = 1e-5  # of chance: a smaller difference is no change, however alike the seeds are
CAP = 0.05  # of chance: a larger difference is never green, however wide the margin
JITTER = 1e-6  # relative to each weight

Values = npt.NDArray[np.float64]


def spread(curves: Curves) -> Values:
    """Return the standard deviation over two or more seeds at each k: (k,), in the unit."""
    deviations: Values = curves.losses().std(0, ddof=1)
    return deviations


def half_widths(curves: Curves) -> Values:
    """Return half the 95 % confidence interval, over seeds, of the mean loss at each k: (k,)."""
    seeds = len(curves.runs)
    return _t(seeds - 1, 0.05) * spread(curves) / math.sqrt(seeds)


def fresh_margin(curves: Curves, new: int) -> Values:
    """Return the margin at each k, (k,), of trainings with other seeds.

    Args:
        curves: of the expectation.
        new: how many seeds are checked.
    """
    seeds = len(curves.runs)
    bound = _t(seeds - 1, LEVEL) * spread(curves) * math.sqrt(1 / new + 1 / seeds)
    return np.maximum(bound, FLOOR * curves.chance)


def same_margin(curves: Curves, rounding: Values, new: int) -> Values:
    """Return the margin at each k, (k,), of trainings with seeds of the expectation.

    Args:
        curves: of the expectation.
        rounding: (seeds, k) how much the perturbation changed each loss.
        new: how many seeds are checked.
    """
    least = np.maximum(same_half_width(rounding, new, LEVEL), FLOOR * curves.chance)
    margin: Values = np.minimum(least, fresh_margin(curves, new))
    return margin


def same_half_width(rounding: Values, new: int, outside: float = 0.05) -> Values:
    """Return half the interval at each k, (k,), of a mean over seeds, due to rounding.

    Args:
        rounding: (seeds, k) how much the perturbation changed each loss.
        new: how many of the same seeds are checked.
        outside: the probability outside the interval.
    """
    root_mean_square: Values = np.sqrt(np.square(rounding).mean(0))  # over seeds
    return _t(len(rounding), outside) * root_mean_square / math.sqrt(new)


def _t(freedom: int, outside: float) -> float:
    """Return the two-sided quantile of Student's distribution."""
    return float(stdtrit(freedom, 1 - outside / 2))
