"""Few words in training, or few words afterwards: an LSTM on WikiText-2 both ways."""

from collections.abc import Sequence
from dataclasses import dataclass

from seqmem.docs.blog_table import epochs, tuned
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.tables.wording import ONE, difference_text, shown

__all__ = ["windows_sentence"]

MODEL = "lstm"
PUBLISHED = (
    "Published, with 13 words on Penn Treebank: +8 % trained so (Chelba et al. 2017, table 3: "
    "perplexity 91 for 84) and +25 % cut so (Khandelwal et al. 2018, section 7, of another LSTM)."
)


@dataclass(frozen=True)
class BothWays:
    """One model that reads all, and one that was trained on windows of k inputs.

    Attributes:
        row: the model that reads all.
        k: inputs of a window.
        trained: the loss of that trained on windows, minus that of the other with all.
        cut: the loss of the other with k inputs, minus its own with all.
    """

    row: Row
    k: int
    trained: Difference
    cut: Difference


def windows_sentence(boards: Sequence[Board]) -> str | None:
    """Return what few words cost, in training and afterwards; None if no model was trained so.

    Args:
        boards: of WikiText-2, one for each recipe; the longest training with both counts.
    """
    found = [pair for board in boards if (pair := _both_ways(board)) is not None]
    if not found:
        return None
    best = max(found, key=lambda pair: epochs(pair.row))
    facts = best.row.records[0].task
    trained, cut = (difference_text(each, facts) for each in (best.trained, best.cut))
    once = "" if best.trained.trainings else f",{ONE}"
    return (
        f"**With {best.k} words instead of all, an LSTM's perplexity changes by {trained} if it is "
        f"trained on windows of {best.k}, and by {cut} if it is only cut to them "
        f"afterwards**{once}: WikiText-2, {_epochs(best.row)}, perplexity "
        f"{shown(best.row.scores['full'], spread=True)} with all. {PUBLISHED}"
    )


def _both_ways(board: Board) -> BothWays | None:
    row = tuned(board, [MODEL]).get(MODEL)
    if row is None or row.state == "reset":
        return None
    for other in board.rows:
        k = other.k_train
        if other.label != MODEL or other.state != "reset" or k == "full":
            continue
        if not {k, "full"} <= row.scores.keys() or k not in other.scores:
            continue
        trained = difference(board.rows, other, row, k, "full", alone=True)
        cut = difference(board.rows, row, row, k, "full", alone=True)
        if trained is not None and cut is not None:
            return BothWays(row, int(k), trained, cut)
    return None


def _epochs(row: Row) -> str:
    text = f"{epochs(row):.2g}"
    return f"{text} epoch{'s' * (text != '1')}"
