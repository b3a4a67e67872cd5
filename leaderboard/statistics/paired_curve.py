"""A paired curve with its covariance, from the totals of groups of dependent targets."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.statistics.law_fit import PairedCurve
from seqmem.tasks.law import InView

__all__ = ["paired_curve"]


def paired_curve(
    contexts: Sequence[int],
    views: Sequence[InView],
    sums: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
) -> PairedCurve:
    """Return the mean losses at some context lengths, with the covariance of their means.

    Each mean is a ratio of totals over groups; see `intervals`, of which this is the form for
    several means at once.

    Args:
        contexts: (p,) ascending.
        views: what the windows of each context length hold.
        sums: (G, p) total loss in each group.
        counts: (G,) targets in each group.
    """
    total, groups = counts.sum(), len(counts)
    losses = sums.sum(axis=0) / total
    shares = (sums - np.outer(counts, losses)) / total
    covariance = groups / (groups - 1) * shares.T @ shares
    freedom = float(total**2 / np.square(counts).sum()) - 1
    return PairedCurve(tuple(contexts), losses, tuple(views), covariance, freedom)
