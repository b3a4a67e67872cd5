"""A page's answers as text: how much memory a task needs, and the best model at each k."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.answers import Leaders, Memory, leaders
from seqmem.leaderboard.tables.formatting import need, number
from seqmem.leaderboard.tables.wording import count

__all__ = ["answers", "usual_k"]

USUAL = 8  # the k that a page starts with
NAMED = 3  # at most so many tied models are named; the others are counted


def usual_k(contexts: Sequence[Context]) -> Context:
    """Return the k that a page starts with: 8, or the largest measured below it."""
    finite = sorted(k for k in contexts if k != "full")
    below = [k for k in finite if k <= USUAL]
    return below[-1] if below else finite[0] if finite else "full"


def answers(board: Board, found: Memory, series: Mapping[Row, str]) -> dict[str, Any]:
    """Return the answers for a task, each as a headline and an explanation.

    Args:
        board: of the task.
        found: how much memory the task needs.
        series: a name for each of its rows.
    """
    return {
        "memory": _memory(found, series),
        "leaders": [_leaders(board, leaders(board, k), k, series) for k in board.contexts],
    }


def _memory(found: Memory, named: Mapping[Row, str]) -> list[str]:
    best = "" if found.best is None else named[found.best]
    uses = {
        "reached": f"The best model here, {best}, uses {need(found.shown)}.",
        "beyond": f"The best model here, {best}, uses more than {found.largest}.",
        "small": "No model here gains more than 1\u00a0% over chance.",
        "chance": "No model here has learned it.",
    }.get(found.shown.state, "")
    if found.known:
        more = f"more than {found.largest} inputs"
        headline = more if found.optimal is None else count(found.optimal, "input")
        return [headline, f"Known from the task's definition. {uses}".rstrip()]
    match found.shown.state:
        case "reached":
            assert found.shown.k is not None
            headline = f"about {count(found.shown.k, 'input')}"
            interval = need(found.shown).partition(" ")[2]
            gain = f"More inputs improve the best model here, {best}, by less than 1\u00a0%."
            return [f"{headline} {interval}".rstrip(), f"{gain} A better model may use more."]
        case "beyond":
            return [f"more than {found.largest} inputs", f"Shown by the best model here, {best}."]
        case "small":
            return ["not known", "No model here gains more than 1\u00a0% over chance."]
        case "chance":
            return ["not known", "No model here is better than chance."]
    return ["not known", "No model was measured with all inputs."]


def _leaders(
    board: Board, found: Leaders | None, k: Context, named: Mapping[Row, str]
) -> list[str]:
    if found is None:
        return ["not measured", ""]
    chance = number(board.chance)
    if found.state == "impossible":
        return ["none: too few inputs", f"The best possible score is chance, {chance}."]
    value = number(found.best.scores[k].value)
    if found.state == "chance":
        return [
            "none better than chance",
            f"Chance is {chance}; the smallest score is {value}.",
        ]
    note = f"score {value}"
    if not found.trainings:
        return [named[found.best], f"{note}; trained once, like the others: not ranked"]
    if found.tied:
        note += f"; tied with {_some(found.tied, named)}"
    return [named[found.best], note]


def _some(rows: Sequence[Row], named: Mapping[Row, str]) -> str:
    """Return the names of the first rows and the number of the others."""
    few = [named[row] for row in rows[:NAMED]]
    rest = len(rows) - len(few)
    if rest:
        return f"{', '.join(few)} and {count(rest, 'other')}"
    return " and ".join(filter(None, [", ".join(few[:-1]), few[-1]]))
