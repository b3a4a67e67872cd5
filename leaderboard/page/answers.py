"""The answers of a page in words: what a task needs, and who is best at each k."""

from collections.abc import Mapping, Sequence
from typing import Any

from seqmem.leaderboard.aggregate import Board, Row
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.answers import Leaders, Memory, leaders
from seqmem.leaderboard.tables.formatting import need, number
from seqmem.leaderboard.tables.wording import count

__all__ = ["answers", "usual_k"]

USUAL = 8  # the k that a page starts with
NAMED = 3  # so many models of a tie are named, the others counted


def usual_k(contexts: Sequence[Context]) -> Context:
    """Choose the k that a page starts with: 8, or the largest measured below it."""
    finite = sorted(k for k in contexts if k != "full")
    below = [k for k in finite if k <= USUAL]
    return below[-1] if below else finite[0] if finite else "full"


def answers(board: Board, found: Memory, series: Sequence[str]) -> dict[str, Any]:
    """Put the answers of a task into words, each a few that stand out and what explains them.

    Args:
        board: of the task.
        found: how much memory the task needs.
        series: a name for each of its rows.
    """
    named = {id(row): name for row, name in zip(board.rows, series, strict=True)}
    return {
        "memory": _memory(found, named),
        "leaders": [_leaders(board, leaders(board, k), k, named) for k in board.contexts],
    }


def _memory(found: Memory, named: Mapping[int, str]) -> list[str]:
    best = "" if found.best is None else named[id(found.best)]
    uses = {
        "reached": f"The best model here, {best}, uses {need(found.shown)}.",
        "beyond": f"The best model here, {best}, uses more than {found.largest}.",
        "chance": "No model here has learned it.",
    }.get(found.shown.state, "")
    if found.known:
        more = f"more than {found.largest} inputs"
        headline = more if found.optimal is None else count(found.optimal, "input")
        return [headline, f"Known from how the task is made. {uses}".rstrip()]
    match found.shown.state:
        case "reached":
            assert found.shown.k is not None
            headline = f"about {count(found.shown.k, 'input')}"
            interval = need(found.shown).partition(" ")[2]
            said = f"More bring the best model here, {best}, less than 1\u00a0%."
            return [f"{headline} {interval}".rstrip(), f"{said} A better one may use more."]
        case "beyond":
            return [f"more than {found.largest} inputs", f"So the best model here, {best}, shows."]
        case "chance":
            return ["not known", "No model here is better than chance."]
    return ["not known", "No model was scored with all inputs."]


def _leaders(
    board: Board, found: Leaders | None, k: Context, named: Mapping[int, str]
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
            f"Chance is {chance}; the best score is {value} ({named[id(found.best)]}).",
        ]
    note = f"score {value}"
    if found.tied:
        note += f"; not told apart from {_some(found.tied, named)}"
    return [named[id(found.best)], note]


def _some(rows: Sequence[Row], named: Mapping[int, str]) -> str:
    """Name the first of some rows, and count the others."""
    few = [named[id(row)] for row in rows[:NAMED]]
    rest = len(rows) - len(few)
    if rest:
        return f"{', '.join(few)} and {count(rest, 'other')}"
    return " and ".join(filter(None, [", ".join(few[:-1]), few[-1]]))
