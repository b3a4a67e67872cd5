"""Answers to the first questions about a task: how much memory it needs, and which model is best.

If the optimum is known, so is the need: it follows from the task alone, whatever models do.
Otherwise the best models here show what suffices for them; a better one may use more.
"""

from dataclasses import dataclass
from typing import Literal

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row, beats_chance
from seqmem.leaderboard.statistics.context_need import ContextNeed, optimum_need, tolerance
from seqmem.leaderboard.statistics.differences import trainings_known
from seqmem.leaderboard.statistics.envelope import Best, envelope, envelope_need
from seqmem.leaderboard.statistics.ranks import ranks
from seqmem.leaderboard.statistics.rows import latest

__all__ = ["CLOSE", "Leaders", "Memory", "leaders", "memory"]

CLOSE = 0.99  # of the difference between chance and the optimum, as in k*(1 %)


@dataclass(frozen=True)
class Memory:
    """How much memory a task needs.

    Attributes:
        optimal: the smallest measured k at which the optimal predictor comes within 1 %; None if
            the optimum is unknown, or no such k was measured.
        known: whether the optimum is known.
        shown: the same for the best scores of models with at most k inputs.
        best: the model with the best of these at full; None if full was not measured.
        largest: the largest finite k measured; None if there is none.
        bests: the best of these scores for each k.
    """

    optimal: int | None
    known: bool
    shown: ContextNeed
    best: Row | None
    largest: int | None
    bests: tuple[Best, ...]


@dataclass(frozen=True)
class Leaders:
    """The best models at one context length.

    Attributes:
        state: "better" if a row beats chance, significantly and as shown; else "impossible" if the
            optimum with so few inputs is chance, "chance" if not.
        best: of the rows that are better than chance, or of all, the one with the best score.
        tied: the other rows whose best possible rank is no worse than that of `best`, best score
            first.
        trainings: whether it is known how much trainings vary; if not, trained models are tied.
    """

    state: Literal["better", "chance", "impossible"]
    best: Row
    tied: tuple[Row, ...]
    trainings: bool


def memory(board: Board) -> Memory:
    """Return how much memory a board's task needs."""
    record = board.records[0]
    bests = envelope(board)
    finite = [k for k in board.contexts if k != "full"]
    return Memory(
        optimal=optimum_need(record, board.optimum, CLOSE),
        known="full" in board.optimum,
        shown=envelope_need(board, bests, tolerance(record)),
        best=bests[-1].row if bests and bests[-1].k == "full" else None,
        largest=max(finite, default=None),
        bests=bests,
    )


def leaders(board: Board, k: Context) -> Leaders | None:
    """Return the best models with k inputs; None if none was scored at that k.

    Rows of every k_train count, but not those that a later recipe replaced.
    """
    rows = sorted(
        (row for row in latest(board).rows if k in row.scores), key=lambda row: row.scores[k].value
    )
    if not rows:
        return None
    places = zip(board.rows, ranks(board.rows, k), strict=True)
    best = {row: rank.best for row, rank in places if rank is not None}
    ranked = [row for row in rows if row in best and beats_chance(row, k, board.chance)]
    if not ranked:
        return Leaders(_unlearned(board, k), rows[0], (), True)
    first, *others = ranked
    tied = tuple(row for row in others if best[row] <= best[first])
    return Leaders("better", first, tied, trainings_known(board.rows, k))


def _unlearned(board: Board, k: Context) -> Literal["chance", "impossible"]:
    optimum = board.optimum.get(k)
    # Equal up to the rounding of floating-point sums.
    impossible = optimum is not None and optimum >= board.chance * (1 - 1e-9)
    return "impossible" if impossible else "chance"
