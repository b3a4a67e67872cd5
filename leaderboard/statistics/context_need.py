"""The context need k*(1 %): how many inputs suffice for a loss close to the full-context loss."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from seqmem.leaderboard.record import Context, Record

__all__ = ["ContextNeed", "context_need", "first_within", "optimum_need", "tolerance"]


@dataclass(frozen=True)
class ContextNeed:
    """The smallest measured k whose loss is within the tolerance of the full-context loss.

    Attributes:
        state: "reached"; "beyond" if no measured k suffices; "chance" if even the full context is
            not better than chance; "small" if its gain over chance is below the tolerance, so that
            any k would suffice; "unknown" if the full context was not measured.
        k: the context need, if reached.
        low: the smallest k that the interval of the difference allows; None if there is none.
        high: the smallest k from which on the interval of every measured k is within the
            tolerance; None if that of the largest is not. With 95 % confidence the context need
            lies between low and high.
        largest: the largest finite k measured.
    """

    state: str
    k: int | None = None
    low: int | None = None
    high: int | None = None
    largest: int | None = None


def tolerance(record: Record) -> float:
    """Return the loss difference that counts as none: 1 % of perplexity, or of chance − optimum."""
    if record.task.score == "perplexity":
        return math.log(1.01)
    return 0.01 * (record.task.chance - (record.task.optimum or 0.0))


def context_need(record: Record, allowed: float | None = None) -> ContextNeed:
    """Return the context need of a record's curve.

    Args:
        record: has the curve.
        allowed: how far above the full-context loss, in the loss's unit; None for the tolerance.
    """
    allowed = tolerance(record) if allowed is None else allowed
    full = record.point("full")
    points = [(point.k, point.excess) for point in record.curve if isinstance(point.k, int)]
    if full is None or not points:
        return ContextNeed("unknown")
    largest = points[-1][0]
    gain = record.gain
    if gain is not None and (gain.interval[0] if gain.interval else gain.mean) <= 0:
        return ContextNeed("chance", largest=largest)
    if record.task.chance - full.loss.mean < allowed:
        return ContextNeed("small", largest=largest)
    excesses = [
        (k, excess.mean, *(excess.interval or (excess.mean, excess.mean)))
        for k, excess in points
        if excess is not None
    ]
    return replace(first_within(excesses, allowed), largest=largest)


def first_within(
    excesses: Iterable[tuple[int, float, float, float]], allowed: float
) -> ContextNeed:
    """Return the smallest k whose excess loss is at most `allowed`.

    Args:
        excesses: k, the excess loss, and the ends of its interval; k ascending.
        allowed: in the loss's unit.
    """
    reached = low = high = largest = None
    for k, mean, least, most in excesses:
        reached = k if reached is None and mean <= allowed else reached
        low = k if low is None and least <= allowed else low
        # Of many larger k, some seem within the tolerance by chance: all of them must be.
        high = None if most > allowed else k if high is None else high
        largest = k
    return ContextNeed("beyond" if reached is None else "reached", reached, low, high, largest)


def optimum_need(record: Record, optimum: dict[Context, float], share: float) -> int | None:
    """Return the smallest measured k at which the optimum has this share of the possible gain.

    Args:
        record: of a task scored by its loss; its chance counts.
        optimum: the smallest possible loss at each measured k.
        share: of the difference between chance and the optimum with the full context.

    Returns:
        None if the optimum is unknown at full, or no measured k suffices.
    """
    if "full" not in optimum:
        return None
    bound = optimum["full"] + (1 - share) * (record.task.chance - optimum["full"])
    enough = [k for k, best in optimum.items() if k != "full" and best <= bound]
    return min(enough, default=None)
