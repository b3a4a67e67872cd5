"""The margin of a check: how far apart two healthy trainings of one cell may be.

Nothing but the seed differs between the trainings behind an expectation, so their spread s at a k
says how far chance alone moves the loss there. The mean of n new trainings and the mean of m
expected ones then differ by more than

    t(S − 1; LEVEL) · s · √(1/n + 1/m)

in one check of 1 / LEVEL at most, where S seeds gave s and t is Student's. That, and at least a
small share of chance, is the margin. Rounding, other processors and other libraries move a
training less than another seed does.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seqmem.leaderboard.check.curves import Curves

__all__ = ["CAP", "FLOOR", "LEVEL", "half_widths", "margins", "scaled", "spread"]

LEVEL = 1e-3  # chance of a healthy training outside the margin at one k, both sides together
FLOOR = 1e-3  # of chance: less is no change, however quiet the seeds
CAP = 0.05  # of chance: within a wider margin nothing is called as expected

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
    return float(stdtrit(seeds - 1, 0.975)) * spread(curves) / math.sqrt(seeds)


def margins(curves: Curves) -> tuple[float, ...]:
    """Give the margin at each k for two new trainings against two expected ones."""
    quantile = float(stdtrit(len(curves.runs) - 1, 1 - LEVEL / 2))
    least = FLOOR * curves.chance
    return tuple(max(float(bound), least) for bound in quantile * spread(curves))


def scaled(margin: float, chance: float, new: int, expected: int) -> float:
    """Give the margin of other numbers of trainings from that of two against two.

    Args:
        margin: of two against two.
        chance: the task's chance.
        new: trainings that are checked.
        expected: trainings that they are compared with.
    """
    return max(margin * math.sqrt(1 / new + 1 / expected), FLOOR * chance)
