"""Holm's correction for many comparisons (Holm 1979, Scand. J. Statist. 6, 65-70).

It bounds the probability of any false claim among all comparisons of a board by `LEVEL`, whatever
the dependence between them. Tukey's correction assumes equal errors of all models, which they do
not have.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "holm"]

LEVEL = 0.05  # the probability of any false claim on a board


def holm(p_values: npt.NDArray[np.float64]) -> float:
    """Return the level at which Holm's procedure decides: it rejects what is at most that.

    With r of m rejected it is LEVEL / (m − r): the p-values rejected are within the smaller bounds
    of earlier steps, and the first that is not rejected exceeds it.

    Args:
        p_values: (m,); NaN is never rejected and not counted.
    """
    known = np.sort(p_values[~np.isnan(p_values)])
    bounds = LEVEL / np.arange(len(known), 0, -1)
    rejected = np.logical_and.accumulate(known <= bounds).sum()
    return float(LEVEL / max(len(known) - rejected, 1))
