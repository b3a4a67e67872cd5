"""Places on a board, with ties: models are ranked apart only where a paired difference says so.

A board of n models has n (n − 1) / 2 pairs, and one in twenty of those that do not differ would
seem to. Holm's correction (1979) holds the chance of any wrong claim on a board to 5 %, whatever
the pairs have in common; Tukey's would need errors alike for all models, and theirs are not. A
place is then bounded from below by the models proved better, and from above by those proved worse:
with 95 % confidence every model's own place lies within its bounds, all at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.aggregate import Row
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.differences import differences

__all__ = ["LEVEL", "Rank", "holm", "places", "ranks"]

LEVEL = 0.05  # the chance of any wrong claim on a board


@dataclass(frozen=True)
class Rank:
    """The places that a model may have.

    Attributes:
        best: 1 + how many models are proved better.
        worst: how many models there are, less those proved worse.
    """

    best: int
    worst: int

    def __str__(self) -> str:
        """Write it as a table shows it: "1" or "2–4"."""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def ranks(rows: Sequence[Row], k: Context = "full") -> tuple[Rank | None, ...]:
    """Rank rows by their losses at one context length.

    Args:
        rows: of one board.
        k: the context length.

    Returns:
        a rank for each row, in the order given; None for a row without a loss there.
    """
    there = [i for i, row in enumerate(rows) if k in row.scores]
    found: list[Rank | None] = [None] * len(rows)
    if there:
        for i, rank in zip(there, places(_better([rows[i] for i in there], k)), strict=True):
            found[i] = rank
    return tuple(found)


def _better(rows: Sequence[Row], k: Context) -> npt.NDArray[np.bool_]:
    """Tell which rows are proved better than which columns (n, n)."""
    gone = differences(rows, k)
    upper = np.triu_indices(len(rows), 1)
    apart = np.zeros((len(rows), len(rows)), dtype=bool)
    apart[upper] = holm(gone.p[upper])
    # A table shows medians over all seeds; what pairs say must not contradict it.
    shown = np.array([row.scores[k].value for row in rows])
    return (apart | apart.T) & (gone.mean < 0) & (shown[:, None] < shown[None, :])


def holm(p_values: npt.NDArray[np.float64], level: float = LEVEL) -> npt.NDArray[np.bool_]:
    """Reject hypotheses so that any of the true ones is rejected with at most this chance.

    Args:
        p_values: (m,); NaN is never rejected and not counted.
        level: that chance.

    Returns:
        (m,) whether each is rejected.
    """
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    bounds = level / np.arange(len(order), 0, -1)
    passed = np.logical_and.accumulate(p_values[order] <= bounds)
    rejected = np.zeros(len(p_values), dtype=bool)
    rejected[order[passed]] = True
    return rejected


def places(better: npt.NDArray[np.bool_]) -> list[Rank]:
    """Turn what is proved into ranks.

    Args:
        better: (n, n) whether each row is proved better than each column.
    """
    least, most = 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
    return [Rank(int(low), int(high)) for low, high in zip(least, most, strict=True)]
