"""The distribution of a mean's ratio to its standard error, for groups of unequal sizes.

Student's t with G − 1 degrees of freedom is exact for G groups of equal size. If some groups weigh
more, the mean follows them and deviates less from them: the standard error is too small, and has
fewer degrees of freedom. Satterthwaite's approximation (1946) is too conservative in the tails that
a correction for many pairs needs. If group means are normal with equal variances, whatever the
sizes, the tail probability is that of a quadratic form being positive, which is Imhof's integral
(1961, Biometrika 48). Larger groups may vary less; then it is an upper bound or close to one.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

__all__ = ["quantile", "two_sided"]

Floats = npt.NDArray[np.float64]

_LEAST = 1e-9  # smaller probabilities are below the rounding error of the integral
_LOGS = np.arange(-30.0, 30.0, 0.08)  # logarithms of the integration variable


def two_sided(ratios: Floats, counts: tuple[int, ...]) -> Floats:
    """Return the two-sided p-values of ratios if the true mean is 0.

    Args:
        ratios: of a mean over targets to its standard error as in `intervals`; any shape.
        counts: targets in each group; at least two groups.
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
    """Return the ratio whose two-sided p-value is 1 − level.

    Args:
        counts: targets in each group; at least two groups.
        level: such as 0.95.
    """
    student = float(stdtrit(len(counts) - 1, (1 + level) / 2))
    if len(set(counts)) == 1:
        return student
    from scipy.optimize import brentq  # slow to import, rarely needed

    def above(ratio: float) -> float:
        return float(two_sided(np.array(ratio), counts)) - (1 - level)

    largest = student
    while above(largest) > 0:
        largest *= 2
    return student if largest == student else float(brentq(above, student, largest))


def _place(ratios: Floats, freedom: int) -> Floats:
    """Return a scale on which the logarithm of Student's tail is smooth, for interpolation."""
    return np.asarray(np.sqrt(freedom * np.log1p(np.square(ratios) / freedom)))


@lru_cache(maxsize=256)
def _table(counts: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return places (see `_place`), ascending, and log(probability / Student's) there.

    Beyond the last place both fall by the same power of the ratio, so that its value holds.
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
    """Return the probability that a weighted sum of squared standard normals is positive."""
    scaled = np.exp(_LOGS)[:, None] * (weights / np.abs(weights).max())  # (N, G)
    angle = np.arctan(scaled).sum(axis=1) / 2
    decay = np.exp(-np.log1p(np.square(scaled)).sum(axis=1) / 4)
    step = _LOGS[1] - _LOGS[0]
    return float(0.5 + (np.sin(angle) * decay).sum() * step / np.pi)
