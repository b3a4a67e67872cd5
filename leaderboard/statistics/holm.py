"""Holm's correction for many comparisons (Holm 1979, Scand. J. Statist. 6, 65-70).

It bounds the probability of any false claim among all comparisons of a board by `LEVEL`, whatever
the dependence between them. Tukey's correction assumes equal errors of all models, which they do
not have.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "holm"]

LEVEL = 0.05  # the probability of any false claim on a board


def holm(p_values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which hypotheses Holm's procedure rejects; any true one with probability `LEVEL`.

    Args:
        p_values: (m,); NaN is never rejected and not counted.

    Returns:
        (m,) whether each is rejected.
    """
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    bounds = LEVEL / np.arange(len(order), 0, -1)
    passed = np.logical_and.accumulate(p_values[order] <= bounds)
    rejected = np.zeros(len(p_values), dtype=bool)
    rejected[order[passed]] = True
    return rejected
