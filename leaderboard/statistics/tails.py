"""How large a mean's ratio to its standard error gets by chance, of groups of unequal sizes.

Student's t for G groups is right where groups have one size. Where some weigh more, the mean
follows them and deviates less from them: the error comes out too small, and of fewer degrees of
freedom than G − 1. Satterthwaite's approximation (1946) is too careful in the tails that a
correction for many pairs asks for. With groups whose means are normal and vary alike, whatever
their sizes, the chance is that of a quadratic form being positive, which Imhof's integral gives
(1961, Biometrika 48). Larger groups may vary less; then it is an upper bound or close to one.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

__all__ = ["quantile", "two_sided"]

Floats = npt.NDArray[np.float64]

_LEAST = 1e-9  # a smaller chance is lost in the rounding of the integral
_LOGS = np.arange(-30.0, 30.0, 0.08)  # of the integral's variable


def two_sided(ratios: Floats, counts: tuple[int, ...]) -> Floats:
    """Give the chance of a ratio of this size or more, of either sign, where the true mean is 0.

    Args:
        ratios: a mean over targets to its standard error as in `tasks.intervals`; any shape.
        counts: targets in each group; two groups at least.
    """
    size = np.abs(ratios)
    freedom = len(counts) - 1
    student = 2 * stdtr(freedom, -size)
    if len(set(counts)) == 1:
        return np.asarray(student)
    places, above = _table(counts)
    more = np.exp(np.interp(_place(size, freedom), places, above))
    return np.asarray(np.minimum(student * more, 1.0))


@lru_cache(maxsize=256)
def quantile(counts: tuple[int, ...], level: float) -> float:
    """Give the ratio whose chance of being reached, of either sign, is 1 − level.

    Args:
        counts: targets in each group; two groups at least.
        level: such as 0.95.
    """
    student = float(stdtrit(len(counts) - 1, (1 + level) / 2))
    if len(set(counts)) == 1:
        return student
    from scipy.optimize import brentq  # slow to import, seldom needed

    def above(ratio: float) -> float:
        return float(two_sided(np.array(ratio), counts)) - (1 - level)

    largest = student
    while above(largest) > 0:
        largest *= 2
    return student if largest == student else float(brentq(above, student, largest))


def _place(ratios: Floats, freedom: int) -> Floats:
    """Where Student's tail falls by about as much from one whole number to the next."""
    return np.asarray(np.sqrt(freedom * np.log1p(np.square(ratios) / freedom)))


@lru_cache(maxsize=256)
def _table(counts: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Give places, ascending, and how far the logarithm of the chance is above Student's there.

    Further out both fall by the same power of the ratio, so that the last holds.
    """
    p = np.array(counts, dtype=float) / sum(counts)  # (G,)
    squares = np.square(p)
    across = np.outer(squares, p)
    spread = np.diag(squares) - across - across.T + squares.sum() * np.outer(p, p)  # (G, G)
    freedom = len(p) - 1
    spread *= len(p) / freedom
    places, above = [0.0], [0.0]
    for place in np.arange(0.25, 12.1, 0.25):
        ratio = np.sqrt(freedom * np.expm1(place**2 / freedom))
        chance = _positive(np.linalg.eigvalsh(np.outer(p, p) - ratio**2 * spread))
        if chance < _LEAST:
            break
        places.append(place)
        above.append(float(np.log(chance / (2 * stdtr(freedom, -ratio)))))
    return np.array(places), np.array(above)


def _positive(weights: Floats) -> float:
    """Give the chance that a sum of squares of standard normals, so weighted, is positive."""
    scaled = np.exp(_LOGS)[:, None] * (weights / np.abs(weights).max())  # (N, G)
    angle = np.arctan(scaled).sum(axis=1) / 2
    decay = np.exp(-np.log1p(np.square(scaled)).sum(axis=1) / 4)
    step = _LOGS[1] - _LOGS[0]
    return float(0.5 + (np.sin(angle) * decay).sum() * step / np.pi)
