"""What a reader of context needs is told where truncation harms models."""

from seqmem.leaderboard.statistics.aggregate import Board, context_order
from seqmem.leaderboard.statistics.answers import CLOSE
from seqmem.leaderboard.statistics.context_need import optimum_need
from seqmem.leaderboard.statistics.rows import name_of
from seqmem.leaderboard.statistics.truncation import harmed, learned, trained_needs
from seqmem.leaderboard.tables.formatting import need
from seqmem.leaderboard.tables.wording import contexts, count

__all__ = ["HARM", "truncation_note"]

HARM = (
    "k*(1 %) is of models truncated at inference: where that makes a model worse than chance, on "
    "copying and adding above all, it shows where the harm by unfamiliar input ends rather than "
    "how much memory the model uses; the table of the task says so."
)


def truncation_note(board: Board) -> str:
    """Return what context needs on a board measure beside memory, and what to compare them with.

    Empty if no model is worse than chance when truncated.
    """
    worse = harmed(board)
    if not worse:
        return ""
    ks = sorted({k for some in worse.values() for k in some}, key=context_order)
    verb = "scores" if len(worse) == 1 else "score"
    which = f"{len(worse)} of {count(len(learned(board)), 'model')} that learned the task"
    parts = [
        f"Truncated to inputs unlike those of training, {which} {verb} "
        f"worse than chance (at {contexts(ks)}): there k*(1 %) shows where that harm ends rather "
        "than how much memory is used."
    ]
    if (best := optimum_need(board.records[0], board.optimum, CLOSE)) is not None:
        parts.append(f"An optimal predictor from k inputs needs {best}.")
    needs = trained_needs(board)
    parts += [f"Trained at k, {name_of(board, row)} needs {need(n)}." for row, n in needs.items()]
    return " ".join([*parts, *([] if needs else ["No model here was trained at k."])])
