"""The envelope: the best loss that any row of a board reaches with at most k inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.context_need import ContextNeed, first_within
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.rows import loss

__all__ = ["Best", "envelope", "envelope_need"]


@dataclass(frozen=True)
class Best:
    """The best loss that any row reaches with at most k inputs.

    Attributes:
        k: the bound; "full" is none.
        row: the row that reaches it.
        at: the context length at which it does, k or less.
        loss: the median over its seeds, in the loss's unit.
    """

    k: Context
    row: Row
    at: Context
    loss: float


def envelope(board: Board, rows: Sequence[Row] | None = None) -> tuple[Best, ...]:
    """Return the best loss of any of the rows with at most k inputs, for every k.

    Rows of every k_train count: truncated at inference or trained at k, a model predicts from k
    inputs. The best of several is chosen on the test set that it is scored on.

    Args:
        board: has the k.
        rows: of the board; None for all.

    Returns:
        one for each k of the board from the first on that any row has.
    """
    some = board.rows if rows is None else rows
    found: list[Best] = []
    for k in board.contexts:
        here = [Best(k, row, k, loss(row, k)) for row in some if k in row.scores]
        if found:
            here.insert(0, replace(found[-1], k=k))  # fewer inputs may be better
        if here:
            found.append(min(here, key=lambda best: best.loss))
    return tuple(found)


def envelope_need(
    board: Board, bests: Sequence[Best], allowed: float, target: Best | None = None
) -> ContextNeed:
    """Return how many inputs suffice for a loss close to the envelope's last, or to another.

    Args:
        board: of the rows.
        bests: an envelope, the full context last.
        allowed: how far above that loss, in the loss's unit.
        target: whose loss; None for the envelope's last.
    """
    if not bests or bests[-1].k != "full":
        return ContextNeed("unknown")
    last = bests[-1] if target is None else target
    if last.row.need.state in ("chance", "small"):
        return ContextNeed(last.row.need.state, largest=last.row.need.largest)
    excesses = []
    for best in bests[:-1]:
        excess = best.loss - last.loss
        paired = difference(board.rows, best.row, last.row, best.at, last.at, alone=True)
        half = 0.0
        if paired is not None and paired.low is not None and paired.high is not None:
            half = (paired.high - paired.low) / 2
        assert best.k != "full"
        excesses.append((best.k, excess, excess - half, excess + half))
    return first_within(excesses, allowed) if excesses else ContextNeed("unknown")
