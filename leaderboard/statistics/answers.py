"""What readers ask first of a task: how much memory it needs, and who is best with k inputs.

Where the optimum is known, so is the need: it lies in how the task is made, whatever models do.
Elsewhere the best models here show what suffices for them; a better one may use more.
"""

from dataclasses import dataclass
from typing import Literal

from seqmem.leaderboard.aggregate import Board, Row, better_than_chance
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.rows import latest
from seqmem.leaderboard.statistics.context_need import ContextNeed, optimum_need, tolerance
from seqmem.leaderboard.statistics.envelope import Best, envelope, envelope_need
from seqmem.leaderboard.statistics.ranks import ranks

__all__ = ["Leaders", "Memory", "leaders", "memory"]

CLOSE = 0.99  # of the way from chance to the optimum, as in k*(1 %)


@dataclass(frozen=True)
class Memory:
    """How much memory a task needs.

    Attributes:
        optimal: the smallest measured k with which the best possible predictor comes within 1 %;
            None where the optimum is not known, or no such k was measured.
        known: whether the optimum is known.
        shown: the same of the best scores that models reach with at most k inputs.
        best: the model with the best of these at full; None where full was not measured.
        largest: the largest finite k measured; None where there is none.
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
    """Which model is best at one context length.

    Attributes:
        state: "impossible" where so few inputs help nobody, as the optimum is chance; "chance"
            where it is not proved better than chance; else "better".
        best: the row with the best score.
        tied: rows that paired differences do not prove worse than another, best score first.
    """

    state: Literal["better", "chance", "impossible"]
    best: Row
    tied: tuple[Row, ...]


def memory(board: Board) -> Memory:
    """Say how much memory a board's task needs."""
    record = board.records[0]
    bests = envelope(board)
    finite = [k for k in board.contexts if k != "full"]
    return Memory(
        optimal=optimum_need(record, board.optimum, CLOSE),
        known="full" in board.optimum,
        shown=envelope_need(bests, tolerance(record)),
        best=bests[-1].row if bests and bests[-1].k == "full" else None,
        largest=max(finite, default=None),
        bests=bests,
    )


def leaders(board: Board, k: Context) -> Leaders | None:
    """Say which model is best with k inputs; None where none was scored with so many.

    Rows count whatever they were trained with, but not those that a later recipe replaced.
    """
    rows = sorted(
        (row for row in latest(board).rows if k in row.scores), key=lambda row: row.scores[k].value
    )
    if not rows:
        return None
    first = rows[0]
    placed = {id(row): rank for row, rank in zip(board.rows, ranks(board.rows, k), strict=True)}
    bound = placed[id(first)]
    tied = [
        row
        for row in rows[1:]
        if (rank := placed[id(row)]) is not None and bound is not None and rank.best <= bound.best
    ]
    return Leaders(_state(board, first, k), first, tuple(tied))


def _state(board: Board, row: Row, k: Context) -> Literal["better", "chance", "impossible"]:
    if better_than_chance(row, k):
        return "better"
    optimum = board.optimum.get(k)
    # As close as sums of floating-point numbers come.
    hopeless = optimum is not None and optimum >= board.chance * (1 - 1e-9)
    return "impossible" if hopeless else "chance"
