"""Possible ranks on a board, with ties: two models have different ranks only if they differ.

A board of n models has n (n − 1) / 2 pairs, and of the pairs without a difference one in twenty
would seem to have one; Holm's correction (holm.py) bounds the probability of any false claim on a
board. A rank is then bounded from below by the number of models significantly
better, and from above by that of models significantly worse: with 95 % confidence the ranks of all
models lie within their bounds simultaneously. Models that are not better than chance have no rank:
they come after all that are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Row, better_than_chance
from seqmem.leaderboard.statistics.differences import differences

__all__ = ["Rank", "possible_ranks", "ranks"]


@dataclass(frozen=True)
class Rank:
    """The possible ranks of a model.

    Attributes:
        best: 1 + the number of models significantly better.
        worst: the number of models minus the number significantly worse.
    """

    best: int
    worst: int

    def __str__(self) -> str:
        """Return it as in a table: "1" or "2–4"."""
        return str(self.best) if self.best == self.worst else f"{self.best}–{self.worst}"


def ranks(rows: Sequence[Row], k: Context = "full") -> tuple[Rank | None, ...]:
    """Return the possible ranks of rows by their losses at one context length.

    Args:
        rows: of one board.
        k: the context length.

    Returns:
        a rank for each row, in the order given; None for a row without a loss there, or whose loss
        is not better than chance.
    """
    there = [row for row in rows if k in row.scores]
    ranked = [i for i, row in enumerate(there) if better_than_chance(row, k)]
    places = possible_ranks(_better(rows, there, k)[np.ix_(ranked, ranked)])
    found = dict(zip([there[i] for i in ranked], places, strict=True))
    return tuple(found.get(row) for row in rows)


def _better(rows: Sequence[Row], there: Sequence[Row], k: Context) -> npt.NDArray[np.bool_]:
    """Return which rows with a loss are significantly better than which others (n, n)."""
    pairwise = differences(rows, k)
    # Ranks must not contradict the medians over all seeds that a table shows.
    shown = np.array([row.scores[k].value for row in there])
    apart = pairwise.p <= pairwise.level
    return apart & (pairwise.mean < 0) & (shown[:, None] < shown[None, :])


def possible_ranks(better: npt.NDArray[np.bool_]) -> list[Rank]:
    """Return possible ranks.

    Args:
        better: (n, n) whether each row is significantly better than each column.
    """
    least, most = 1 + better.sum(axis=0), len(better) - better.sum(axis=1)
    return [Rank(int(low), int(high)) for low, high in zip(least, most, strict=True)]
