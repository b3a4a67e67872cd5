"""Pieces of sentences about scores, differences and context lengths."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from seqmem.leaderboard.aggregate import Score
from seqmem.leaderboard.record import Context, TaskFacts
from seqmem.leaderboard.statistics.differences import Difference
from seqmem.leaderboard.tables.formatting import rounded

__all__ = [
    "NEITHER",
    "VERDICTS",
    "contexts",
    "count",
    "gap",
    "grouped",
    "listed",
    "shown",
    "verdict",
]

# What an interval of a difference says of the first of two losses; see `verdict`.
VERDICTS = ("better", "worse", "the same within 1 %", "not told apart")
NEITHER = "neither shown to be better than chance"  # which no difference between two of them tells


def listed(items: Iterable[str]) -> str:
    """Write a list with an "and" before its last."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def contexts(ks: Sequence[Context]) -> str:
    """Write context lengths: "k = 1, 2 and full"."""
    finite = [str(k) for k in ks if k != "full"]
    if not finite:
        return "the full context"
    return f"k = {listed([*finite, *(['full'] if 'full' in ks else [])])}"


def count(number: int, word: str) -> str:
    """Write a number and what it counts."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def grouped(pairs: Iterable[tuple[str, str]]) -> str:
    """Write pairs of a place and a name: "lstm and gru on music/jsb; rnn on a and b"."""
    names: dict[str, list[str]] = defaultdict(list)
    for place, name in pairs:
        names[place].append(name)
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for place, some in names.items():
        places[tuple(some)].append(place)
    return "; ".join(f"{listed(some)} on {listed(where)}" for some, where in places.items())


def shown(cell: Score, spread: bool = False) -> str:
    """Write a score, to the second digit of its interval's half-width.

    Args:
        cell: the score.
        spread: whether the smallest and largest of any seed follow, where there are several.
    """
    if not math.isfinite(cell.value):
        return "∞"
    values = [cell.value, cell.smallest, cell.largest]
    if cell.half is None or cell.half == 0 or not math.isfinite(cell.half):
        text, low, high = rounded(values, None)
    else:
        value, low, high, half = rounded([*values, cell.half], cell.half)
        text = f"{value} ±{half}"
    return f"{text} [{low}, {high}]" if spread and cell.seeds > 1 else text


def gap(difference: Difference, facts: TaskFacts) -> str:
    """Write a difference with its interval: of perplexity in per cent, else in the loss's unit."""
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


def verdict(difference: Difference, allowed: float) -> str:
    """Say what the interval of a loss minus another allows to say: one of VERDICTS.

    Args:
        difference: below zero where the first is better.
        allowed: what counts as no difference, in the loss's unit.
    """
    if difference.within(allowed):
        return "the same within 1 %"
    return {-1: "better", 1: "worse", 0: "not told apart"}[difference.sign]
