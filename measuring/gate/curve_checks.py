"""Checks of a finished curve: against the optimum, and against the best on the board.

The mean loss of the best predictor there is falls below the optimum by chance about as often as
above it: the optimum is an expectation, or is computed on windows that a curve samples. So a loss
is refused only below what chance explains, MARGIN times the half-width of a 95 % interval.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqmem.leaderboard.record import Context, Point
from seqmem.measuring.gate.report import Check

__all__ = ["CurvePoint", "examine_curve", "examine_lead", "points_of"]

# Four standard errors: over all k of all records of a board, chance alone stays below that.
MARGIN = 2.0
# Means of float32 losses are not known better than this share of them.
ROUNDING = 1e-6
# How far below the best so far, as a share of the way from chance to it, is far.
FAR = 0.1


@dataclass(frozen=True)
class CurvePoint:
    """The loss at one context length.

    Attributes:
        k: the context length.
        loss: the mean loss.
        half_width: half its 95 % interval, over data of the same kind, or over the split as it is
            where the optimum is that on the very same targets.
        optimum: the smallest loss any predictor can reach; None where unknown.
    """

    k: Context
    loss: float
    half_width: float
    optimum: float | None


def points_of(curve: Sequence[Point]) -> tuple[CurvePoint, ...]:
    """Take what the checks need from a record's curve; of both intervals the wider one."""
    points = []
    for point in curve:
        low_high = point.loss.interval
        over_data = 0.0 if low_high is None else (low_high[1] - low_high[0]) / 2
        half_width = max(point.half_width, over_data)
        points.append(CurvePoint(point.k, point.loss.mean, half_width, point.optimum))
    return tuple(points)


def examine_curve(points: Iterable[CurvePoint], unit: str = "") -> Check | None:
    """Hold a curve to the optimum: L(k) ≥ L*(k) − MARGIN × half-width at every k.

    Args:
        points: the curve.
        unit: of the loss, for the example.

    Returns:
        the check "optimum"; None where no optimum is known.
    """
    worst: tuple[float, float, CurvePoint] | None = None  # below what chance explains, ...
    compared = 0
    for point in points:
        if point.optimum is None:
            continue
        compared += 1
        below = point.optimum - point.loss
        allowed = MARGIN * point.half_width + ROUNDING * max(abs(point.optimum), 1.0)
        if not math.isfinite(below):  # no number is below everything
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
            f"at k = {point.k} the loss is {point.loss:.4f}{_after(unit)}, {below:.4f} below the "
            f"optimum {point.optimum:.4f} (allowed {allowed:.4f})"
        )
    seen = below if math.isfinite(below) else None
    return Check("optimum", example is None, allowed, seen, compared, example)


def examine_lead(
    loss: float, half_width: float, best: float, chance: float, unit: str = ""
) -> Check:
    """Flag a loss that is far below the best on the board: for a person, never refused.

    Args:
        loss: the model's mean loss.
        half_width: half its 95 % interval.
        best: the smallest loss on the board so far, at the same task and k.
        chance: the loss of the best predictor that remembers nothing.
        unit: of the loss, for the example.

    Returns:
        the check "too-good"; it has an example where the loss is below the best by more than
        FAR times the way from chance to the best, and by more than chance explains. A best that
        is no better than chance tells nothing.
    """
    allowed = max(FAR * max(chance - best, 0.0), MARGIN * half_width)
    below = best - loss
    example = None
    if below > allowed and best < chance:
        example = (
            f"the loss {loss:.4f}{_after(unit)} is {below:.4f} below the best on the board, "
            f"{best:.4f}; chance is {chance:.4f}"
        )
    return Check("too-good", True, allowed, below, 1, example)


def _after(unit: str) -> str:
    return f" {unit}" if unit else ""
