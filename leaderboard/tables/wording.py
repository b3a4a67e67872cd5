"""Parts of sentences about scores and differences."""

import math
from collections.abc import Iterable, Sequence

from seqmem.leaderboard.record import Context, TaskFacts
from seqmem.leaderboard.statistics.aggregate import Board, Row, Score, better_than_chance
from seqmem.leaderboard.statistics.context_need import tolerance
from seqmem.leaderboard.statistics.differences import Difference
from seqmem.leaderboard.statistics.rows import loss
from seqmem.leaderboard.tables.formatting import rounded

__all__ = [
    "ONE",
    "TIED",
    "VERDICTS",
    "bits_text",
    "contexts",
    "count",
    "difference_text",
    "listed",
    "seeds_text",
    "shown",
    "verdict",
]

# What the interval of a loss minus another shows of the first; see `verdict`.
SAME, TIED = "the same within 1 %", "tied"
SMALL = "neither at least 1 % better than chance"
NEITHER = "neither significantly better than chance"
ONE = " in one training each"  # whether other trainings differ is unknown
_INTERVALS = ("better", "worse", SAME, TIED)
VERDICTS = (*_INTERVALS, *(word + ONE for word in _INTERVALS), SMALL, NEITHER)


def listed(items: Iterable[str]) -> str:
    """Return a list with an "and" before its last item."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def count(number: int, word: str) -> str:
    """Return a number and what it counts."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def contexts(ks: Sequence[Context]) -> str:
    """Return context lengths as text: "k = 1, 2 and full"."""
    finite = [str(k) for k in ks if k != "full"]
    if not finite:
        return "the full context"
    return f"k = {listed([*finite, *(['full'] if 'full' in ks else [])])}"


def seeds_text(difference: Difference) -> str:
    """Return how many seeds a difference is over: "3", or "3 and 1"."""
    one, two = difference.seeds
    return str(one) if one == two else f"{one} and {two}"


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


def bits_text(held: Score | None) -> str | None:
    """Return bits held, or bits per float, with their interval and their range over seeds."""
    return None if held is None else shown(held, spread=True)


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
    half, excluded = (values[2] - values[1]) / 2, values[1] * values[2] > 0
    mean, low, high = rounded(values, half, "+", exclude_zero=excluded)
    return f"{mean}{unit} ({low} to {high})"


def verdict(board: Board, difference: Difference, *sides: tuple[Row, Context]) -> str:
    """Return what a difference shows: one of `VERDICTS`.

    Two models that learned nothing are not "the same": nothing was compared.

    Args:
        board: of the rows.
        difference: of their losses; below zero if the first is better.
        sides: both rows, and the k at which they are compared.
    """
    facts = board.records[0].task
    allowed = tolerance(board.records[0])
    better = [better_than_chance(row, k) for row, k in sides]
    enough = [facts.chance - loss(row, k) >= allowed for row, k in sides]
    if not any(better):
        return NEITHER
    if not any(enough):
        return SMALL
    if difference.low is None:
        return TIED
    same = all(better) and all(enough) and difference.within(allowed)
    word = SAME if same else {-1: "better", 1: "worse", 0: TIED}[difference.sign]
    return word if difference.trainings else word + ONE
