"""Margins of a check: how far apart two healthy trainings of one cell may be.

**Fresh seeds.** Nothing but the seed differs between the S trainings behind an expectation, so
their spread s at a k says how far chance alone moves the loss there. The mean of n trainings with
other seeds and the mean of these differ by more than

    t(S − 1) · s · √(1/n + 1/S)

in one case of 1 / LEVEL, where t is Student's quantile.

**The same seeds** start from the same weights and read the same data: but for rounding, they are
the same training, scored on the same targets, and nothing is sampled. Training makes rounding grow.
How far is found by training each seed once more from weights changed by JITTER of their size, which
is more than other kernels, processors and thread counts do: with r the root mean square of the
differences that this makes, the mean over n seeds moves by more than t(S) · r · √(1/n) in one case
of 1 / LEVEL. Here a fault shows that the spread of the seeds would hide.

Either margin is at least FLOOR of the task's chance; that of the same seeds is at most that of
fresh ones.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seqmem.check.curves import Curves

__all__ = [
    "CAP",
    "FLOOR",
    "JITTER",
    "LEVEL",
    "fresh_margin",
    "half_widths",
    "same_half_width",
    "same_margin",
    "spread",
]

LEVEL = 1e-3  # chance of a healthy training outside the margin at one k, both sides together
FLOOR = 1e-5  # of chance: less is no change, however quiet the seeds
CAP = 0.05  # of chance: within a wider margin nothing is called green
JITTER = 1e-6  # of a weight's size

Values = npt.NDArray[np.float64]


def spread(curves: Curves) -> Values:
    """Give the standard deviation over seeds at each k: (k,), in the loss's unit.

    Raises:
        ValueError: there are fewer than two seeds.
    """
    if len(curves.runs) < 2:
        raise ValueError(f"{len(curves.runs)} seeds have no spread")
    deviations: Values = curves.losses().std(0, ddof=1)
    return deviations


def half_widths(curves: Curves) -> Values:
    """Give half the 95 % interval, over seeds, of the mean loss at each k: (k,)."""
    seeds = len(curves.runs)
    return _t(seeds - 1, 0.05) * spread(curves) / math.sqrt(seeds)


def fresh_margin(curves: Curves, new: int) -> Values:
    """Give the margin at each k, (k,), of trainings with other seeds.

    Args:
        curves: what is expected.
        new: how many seeds are checked.
    """
    seeds = len(curves.runs)
    bound = _t(seeds - 1, LEVEL) * spread(curves) * math.sqrt(1 / new + 1 / seeds)
    return np.maximum(bound, FLOOR * curves.chance)


def same_margin(curves: Curves, rounding: Values, new: int) -> Values:
    """Give the margin at each k, (k,), of trainings with seeds that the expectation has.

    Args:
        curves: what is expected.
        rounding: (seeds, k) how far the jitter moved each loss.
        new: how many seeds are checked.
    """
    bound = _t(len(rounding), LEVEL) * _moved(rounding) / math.sqrt(new)
    least = np.maximum(bound, FLOOR * curves.chance)
    margin: Values = np.minimum(least, fresh_margin(curves, new))
    return margin


def same_half_width(rounding: Values, new: int) -> Values:
    """Give half the 95 % interval at each k, (k,), that rounding leaves to a mean over seeds.

    Args:
        rounding: (seeds, k) how far the jitter moved each loss.
        new: how many of the same seeds are checked.
    """
    return _t(len(rounding), 0.05) * _moved(rounding) / math.sqrt(new)


def _moved(rounding: Values) -> Values:
    """Give the root mean square over seeds: (k,)."""
    moved: Values = np.sqrt(np.square(rounding).mean(0))
    return moved


def _t(freedom: int, outside: float) -> float:
    """Give Student's quantile with so much outside, on both sides together."""
    return float(stdtrit(freedom, 1 - outside / 2))
