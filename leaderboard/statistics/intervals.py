"""Intervals for means of dependent losses, and for rates.

Targets of one block (an article, a sequence) are dependent, blocks are not. A mean over targets is
a ratio of block totals, and its standard error comes from the spread of the blocks around it
(Cochran 1977, Sampling Techniques, section 6.3); the interval takes Student's t for the number of
blocks. Differences between two losses on the same targets are averaged the same way, as
differences, so that what the losses share drops out.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

__all__ = ["LEVEL", "Interval", "Mean", "block_mean", "group_blocks", "sum_of_means", "wilson"]

LEVEL = 0.95
_Z = 1.959963984540054  # the normal quantile of LEVEL


@dataclass(frozen=True)
class Interval:
    """A two-sided 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Mean:
    """A mean with its standard error and interval; both None where one block says nothing."""

    value: float
    standard_error: float | None
    interval: Interval | None


def group_blocks(blocks: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Number the blocks 0, 1, …, joining neighbours until at most `most` groups are left.

    Args:
        blocks: (n,) ascending block of each target.
        most: the largest number of groups.

    Returns:
        (n,) the group of each target, ascending from 0; groups hold whole blocks.
    """
    _, number = np.unique(blocks, return_inverse=True)
    count = int(number[-1]) + 1
    return np.asarray(number if count <= most else number * most // count)


def block_mean(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Mean:
    """Average over targets, given each block's total loss and number of targets: (G,), (G,)."""
    return sum_of_means((sums, counts))


def sum_of_means(*parts: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> Mean:
    """Add up means over the same blocks, such as one over all targets and one over a sample.

    What the means of one block have in common counts as such: they are not taken for independent.

    Args:
        parts: for each mean, every block's total and number of targets: (G,), (G,).
    """
    value, groups = 0.0, len(parts[0][0])
    residuals = np.zeros(groups)  # each block's share of the deviation
    for sums, counts in parts:
        total = int(counts.sum())
        mean = float(sums.sum() / total)
        value += mean
        residuals += (sums - mean * counts) / total
    if groups < 2:
        return Mean(value, None, None)
    error = math.sqrt(groups / (groups - 1) * float(np.square(residuals).sum()))
    half = float(stdtrit(groups - 1, (1 + LEVEL) / 2)) * error
    return Mean(value, error, Interval(value - half, value + half))


def wilson(rate: float, trials: float) -> Interval:
    """Give Wilson's score interval (1927) of a rate; never of width 0, also for rates 0 and 1."""
    centre = rate + _Z**2 / (2 * trials)
    half = _Z * math.sqrt(rate * (1 - rate) / trials + _Z**2 / (4 * trials**2))
    scale = 1 + _Z**2 / trials
    return Interval(max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))
