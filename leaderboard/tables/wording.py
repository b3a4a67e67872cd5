"""Parts of sentences about scores and differences."""

import math
from collections.abc import Iterable

from seqmem.leaderboard.record import Context, TaskFacts
from seqmem.leaderboard.statistics.aggregate import Board, Row, Score, better_than_chance
from seqmem.leaderboard.statistics.context_need import tolerance
from seqmem.leaderboard.statistics.differences import Difference
from seqmem.leaderboard.tables.formatting import rounded

__all__ = ["TIED", "VERDICTS", "count", "difference_text", "listed", "shown", "verdict"]

# What the interval of a loss minus another shows of the first; see `verdict`.
TIED = "tied"
NEITHER = "neither significantly better than chance"
VERDICTS = ("better", "worse", "the same within 1 %", TIED, NEITHER)


def listed(items: Iterable[str]) -> str:
    """Return a list with an "and" before its last item."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def count(number: int, word: str) -> str:
    """Return a number and what it counts."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def shown(score: Score, spread: bool = False) -> str:
    """Return a score as text, to the second digit of its interval's half-width.

    Args:
        score: of a row at one k.
        spread: whether the smallest and largest of any seed follow if there are several.
    """
    if not math.isfinite(score.value):
        return "∞"
    values = [score.value, score.smallest, score.largest]
    if score.half is None or score.half == 0 or not math.isfinite(score.half):
        text, low, high = rounded(values, None)
    else:
        value, low, high, half = rounded([*values, score.half], score.half)
        text = f"{value} ±{half}"
    return f"{text} [{low}, {high}]" if spread and score.seeds > 1 else text


def difference_text(difference: Difference, facts: TaskFacts) -> str:
    """Return a difference with its interval: of perplexity in per cent, else in the loss's unit."""
    relative = facts.score == "perplexity"
    numbers = [difference.mean, difference.low, difference.high]
    values = [
        100 * math.expm1(number) if relative else number for number in numbers if number is not None
    ]
    unit = " %" if relative else ""
    if len(values) < 3:
        return f"{rounded(values[:1], None, '+')[0]}{unit}"
    mean, low, high = rounded(values, (values[2] - values[1]) / 2, "+")
    return f"{mean}{unit} ({low} to {high})"


def verdict(board: Board, difference: Difference, *sides: tuple[Row, Context]) -> str:
    """Return what a difference shows: one of `VERDICTS`.

    Args:
        board: of the rows.
        difference: of their losses; below zero if the first is better.
        sides: the rows and the k at which they are compared; if they are given and neither is
            better than chance, the verdict is that.
    """
    if sides and not any(better_than_chance(row, k) for row, k in sides):
        return NEITHER
    if difference.within(tolerance(board.records[0])):
        return "the same within 1 %"
    return {-1: "better", 1: "worse", 0: TIED}[difference.sign]
