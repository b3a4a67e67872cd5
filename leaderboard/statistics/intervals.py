"""Intervals for means of dependent losses, and for rates.

Targets of one block (an article, a sequence) are dependent, blocks are independent. A mean over
targets is a ratio of block totals; its standard error is computed from the deviations of the blocks
from it (Cochran 1977, Sampling Techniques, section 6.3), its interval with the quantile for blocks
of these sizes (`tails`): Student's t where all are equal. Differences of two losses on the same
targets are averaged in the same way, so that the variation that both share cancels.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.record import MeanOf
from seqmem.leaderboard.statistics.tails import quantile

__all__ = ["LEVEL", "block_mean", "group_blocks", "wilson"]

LEVEL = 0.95  # of two-sided intervals
_Z = 1.959963984540054  # the normal quantile of LEVEL


def group_blocks(blocks: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return groups of blocks, numbered 0, 1, …: neighbours joined to at most `most` groups.

    Args:
        blocks: (n,) ascending block of each target.
        most: the largest number of groups.

    Returns:
        (n,) the group of each target, ascending from 0; groups hold whole blocks.
    """
    _, number = np.unique(blocks, return_inverse=True)
    count = int(number[-1]) + 1
    return np.asarray(number if count <= most else number * most // count)


def block_mean(sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> MeanOf:
    """Return the mean over targets, from each block's total loss and targets: (G,), (G,).

    Its standard error and interval are None if there is only one block.
    """
    total, blocks = int(counts.sum()), len(sums)
    mean = float(sums.sum() / total)
    if blocks < 2:
        return MeanOf(mean, None, None)
    residuals = (sums - mean * counts) / total  # each block's share of the deviation
    error = math.sqrt(blocks / (blocks - 1) * float(np.square(residuals).sum()))
    half = quantile(tuple(counts.tolist()), LEVEL) * error
    return MeanOf(mean, error, (mean - half, mean + half))


def wilson(rate: float, trials: float) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a rate; its width is never 0."""
    centre = rate + _Z**2 / (2 * trials)
    half = _Z * math.sqrt(rate * (1 - rate) / trials + _Z**2 / (4 * trials**2))
    scale = 1 + _Z**2 / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
