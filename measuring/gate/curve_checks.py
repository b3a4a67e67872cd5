"""Checks of a finished curve: against the optimum, and against the best on the board.

The mean loss of an optimal predictor is below the optimum about as often as above it, by chance:
the optimum is an expectation, or is computed on windows of which a curve samples some. So a curve
is refused only if a loss is below the optimum by more than sampling error explains, MARGIN times
the half-width of a 95 % interval.
"""

import math
from collections.abc import Iterable

from seqmem.leaderboard.record import Point
from seqmem.measuring.gate.report import Check

__all__ = ["check_lead", "check_optimum"]

# Four standard errors: sampling error alone stays below that over all k and records of a board.
MARGIN = 2.0
# Relative rounding error of a mean of float32 losses.
ROUNDING = 1e-6
# A loss is far below the best so far if by more than this share of chance minus the best.
FAR = 0.1


def check_optimum(curve: Iterable[Point], unit: str) -> Check | None:
    """Check a curve against the optimum: L(k) ≥ L*(k) − MARGIN × half-width at every k.

    The half-width is that of the mean over data of the same kind, or over the sampled targets of
    this split, whichever is wider.

    Args:
        curve: the points of a record.
        unit: the loss's unit, for the example.

    Returns:
        the check "optimum"; None if no optimum is known.
    """
    known = []  # below, allowed, where
    for point in curve:
        if point.optimum is not None:
            half_width = max(point.half_width, _half_width(point))
            allowed = MARGIN * half_width + ROUNDING * max(abs(point.optimum), 1.0)
            below = point.optimum - point.loss.mean
            # NaN or −∞ fails.
            known.append((below if math.isfinite(below) else math.inf, allowed, point))
    if not known:
        return None
    broken = [found for found in known if found[0] == math.inf or math.isnan(found[1])]
    below, allowed, point = max(broken or known, key=lambda found: found[0] - found[1])
    example = None
    if broken:
        example = f"at k = {point.k} the loss is {point.loss.mean}"
    elif below > allowed:
        example = (
            f"at k = {point.k} the loss is {point.loss.mean:.4f} {unit}, {below:.4f} below the "
            f"optimum {point.optimum:.4f} (allowed {allowed:.4f})"
        )
    seen = below if below < math.inf else None
    return Check("optimum", example is None, allowed, seen, len(known), example)


def check_lead(point: Point, best: float | None, chance: float, unit: str) -> Check | None:
    """Flag a loss that is far below the best on the board, for review by a person; never refuse it.

    Args:
        point: the model's loss at one k.
        best: the smallest loss on the board so far, at the same task and k; None without one.
        chance: the loss of the best predictor that remembers nothing.
        unit: the loss's unit, for the example.

    Returns:
        the check "too-good"; it has an example if the loss is below the best by more than FAR
        times (chance − best) and by more than sampling error explains, and the best is better
        than chance. None if there is no best.
    """
    if best is None:
        return None
    allowed = max(FAR * max(chance - best, 0.0), MARGIN * _half_width(point))
    below = best - point.loss.mean
    example = None
    if below > allowed and best < chance:
        example = (
            f"the loss {point.loss.mean:.4f} {unit} is {below:.4f} below the best on the board, "
            f"{best:.4f}; chance is {chance:.4f}"
        )
    return Check("too-good", True, allowed, below, 1, example)


def _half_width(point: Point) -> float:
    """Return half the interval of a mean loss over data of the same kind; 0 without one."""
    low, high = point.loss.interval or (0.0, 0.0)
    return (high - low) / 2
