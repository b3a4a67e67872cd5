"""What a context need of a truncated model measures: memory, or harm by unfamiliar input.

A model trained on long inputs and truncated to k at inference meets inputs unlike any that it was
trained on. Where it then scores worse than chance, which any model trained at k reaches without
memory, its context need says where that harm ends.
"""

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row, better_than_chance
from seqmem.leaderboard.statistics.context_need import ContextNeed, first_within, tolerance
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.rows import kind, usual_rows

__all__ = ["harmed", "learned", "trained_needs"]


def learned(board: Board) -> tuple[Row, ...]:
    """Return the usual trained rows that are better than chance with the full context."""
    rows = (row for row in usual_rows(board) if kind(row) != "not trained by steps")
    return tuple(row for row in rows if better_than_chance(row, "full"))


def harmed(board: Board) -> dict[Row, tuple[Context, ...]]:
    """Return the learned rows that truncation makes worse than chance, and the k where it does.

    There the intervals of all seeds exclude chance.
    """
    found = {row: tuple(k for k in board.contexts if _worse(row, k)) for row in learned(board)}
    return {row: ks for row, ks in found.items() if ks}


def _worse(row: Row, k: Context) -> bool:
    points = [(record, point) for record in row.records if (point := record.point(k)) is not None]
    lows = [(point.loss.interval or (point.loss.mean,))[0] - r.task.chance for r, point in points]
    return bool(lows) and min(lows) > 0


def trained_needs(board: Board) -> dict[Row, ContextNeed]:
    """Return how many inputs models need that are trained at k, by the usual row of the model.

    That is the smallest k with which a model trained at k comes within the tolerance of the usual
    row's full-context loss. Models without several such k_train are left out.
    """
    found = {}
    for usual in learned(board):
        best: dict[int, Row] = {}
        for row in board.rows:
            k = row.k_train
            if (row.label, row.budget) != (usual.label, usual.budget) or not isinstance(k, int):
                continue
            if k in row.scores and (k not in best or row.scores[k].value < best[k].scores[k].value):
                best[k] = row
        excesses = [
            (k, each.mean, each.low, each.high)
            for k, row in sorted(best.items())
            if (each := difference(board.rows, row, usual, k, "full", alone=True)) is not None
            and each.low is not None
            and each.high is not None
        ]
        if len(excesses) > 1:
            found[usual] = first_within(excesses, tolerance(board.records[0]))
    return found
