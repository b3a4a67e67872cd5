"""Checks of a finished curve: against the optimum, and against the best on the board.

The mean loss of an optimal predictor is below the optimum about as often as above it, by chance:
the optimum is an expectation, or is computed on windows of which a curve samples some. So a curve
is refused only if a loss is below the optimum by more than sampling error explains, MARGIN times
the half-width of a 95 % interval.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqmem.leaderboard.record import Context, Point
from seqmem.measuring.gate.report import Check

__all__ = ["CurvePoint", "check_lead", "check_optimum", "points_of"]

# Four standard errors: sampling error alone stays below that over all k and records of a board.
MARGIN = 2.0
# Relative rounding error of a mean of float32 losses.
ROUNDING = 1e-6
# A loss is far below the best so far if by more than this share of chance minus the best.
FAR = 0.1


@dataclass(frozen=True)
class CurvePoint:
    """The loss at one context length.

    Attributes:
        k: the context length.
        loss: the mean loss.
        half_width: half the 95 % interval of the mean, over data of the same kind, or over the
            sampled targets of this split, whichever is wider.
        optimum: the smallest loss that any predictor can reach; None if unknown.
    """

    k: Context
    loss: float
    half_width: float
    optimum: float | None


def points_of(curve: Sequence[Point]) -> tuple[CurvePoint, ...]:
    """Return what the checks need of a record's curve, with the wider of both intervals."""
    points = []
    for point in curve:
        low_high = point.loss.interval
        over_data = 0.0 if low_high is None else (low_high[1] - low_high[0]) / 2
        half_width = max(point.half_width, over_data)
        points.append(CurvePoint(point.k, point.loss.mean, half_width, point.optimum))
    return tuple(points)


def check_optimum(points: Iterable[CurvePoint], unit: str = "") -> Check | None:
    """Check a curve against the optimum: L(k) ≥ L*(k) − MARGIN × half-width at every k.

    Args:
        points: the curve.
        unit: the loss's unit, for the example.

    Returns:
        the check "optimum"; None if no optimum is known.
    """
    worst: tuple[float, float, CurvePoint] | None = None  # below, allowed, where
    compared = 0
    for point in points:
        if point.optimum is None:
            continue
        compared += 1
        below = point.optimum - point.loss
        allowed = MARGIN * point.half_width + ROUNDING * max(abs(point.optimum), 1.0)
        if not math.isfinite(below):  # NaN or −∞ fails
            worst = math.inf, allowed, point
        elif worst is None or below - allowed > worst[0] - worst[1]:
            worst = below, allowed, point
    if worst is None:
        return None
    below, allowed, point = worst
    example = None
    if not math.isfinite(below):
        example = f"at k = {point.k} the loss is {point.loss}"
    elif below > allowed:
        example = (
            f"at k = {point.k} the loss is {point.loss:.4f}{_suffix(unit)}, {below:.4f} below the "
            f"optimum {point.optimum:.4f} (allowed {allowed:.4f})"
        )
    seen = below if math.isfinite(below) else None
    return Check("optimum", example is None, allowed, seen, compared, example)


def check_lead(loss: float, half_width: float, best: float, chance: float, unit: str = "") -> Check:
    """Flag a loss that is far below the best on the board, for review by a person; never refuse it.

    Args:
        loss: the model's mean loss.
        half_width: half its 95 % interval.
        best: the smallest loss on the board so far, at the same task and k.
        chance: the loss of the best predictor that remembers nothing.
        unit: the loss's unit, for the example.

    Returns:
        the check "too-good"; it has an example if the loss is below the best by more than FAR
        times (chance − best) and by more than sampling error explains, and the best is better
        than chance.
    """
    allowed = max(FAR * max(chance - best, 0.0), MARGIN * half_width)
    below = best - loss
    example = None
    if below > allowed and best < chance:
        example = (
            f"the loss {loss:.4f}{_suffix(unit)} is {below:.4f} below the best on the board, "
            f"{best:.4f}; chance is {chance:.4f}"
        )
    return Check("too-good", True, allowed, below, 1, example)


def _suffix(unit: str) -> str:
    return f" {unit}" if unit else ""
