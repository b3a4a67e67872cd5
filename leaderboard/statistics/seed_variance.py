"""How much a loss varies from training to training, pooled over the trained models of a board.

Two or three seeds alone say little about their variance, and a board of few seeds and many models
would tell no two models apart. So each model has at least the pooled variance (a larger one of its
own counts), with Satterthwaite's degrees of freedom of the pool (1946, Biometrics Bulletin 2): few
where a few models make up most of it. Where variances plainly differ, as on a task that some seeds
solve and others do not, Cochran's test (1941, Annals of Eugenics 11) sets a model's variance apart
from the pool: that model has its own, with its own degrees of freedom.

A model with one seed has the largest variance of the board, or of the same model in other settings
where it has several. Without any model of several seeds the variance is unknown, which is not zero.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import fdtri

__all__ = ["seed_variances"]

Floats = npt.NDArray[np.float64]

# The probability that Cochran's test sets any of equal variances apart.
APART = 0.01
# Two seeds know their variance too little to be set apart: both may be those rare ones that solve.
FEWEST = 3


def seed_variances(
    values: Sequence[Floats], models: Sequence[str], trained: Sequence[bool]
) -> tuple[Floats, Floats]:
    """Return the variance of one training's value for each row, and its degrees of freedom.

    Args:
        values: of each row, for each seed.
        models: the model of each row.
        trained: whether training gives a row another value with each seed.

    Returns:
        (n,) and (n,). Rows that are not trained have variance 0; NaN is unknown.
    """
    seeds = np.array([len(some) for some in values])
    varies = np.array(trained, dtype=bool)
    variance, freedom = np.zeros(len(values)), np.full(len(values), np.inf)
    several = np.flatnonzero(varies & (seeds > 1))
    if not len(several):
        variance[varies] = freedom[varies] = np.nan
        return variance, freedom
    own = np.array([some.var(ddof=1) if len(some) > 1 else 0.0 for some in values])
    pool = _pool(several, own, seeds)
    variance[several] = np.maximum(own[several], np.average(own[pool], weights=seeds[pool] - 1))
    freedom[several] = seeds[several] - 1.0
    freedom[pool] = _satterthwaite(own[pool], seeds[pool] - 1)
    for alone in np.flatnonzero(varies & (seeds < 2)).tolist():
        alike = [i for i in several.tolist() if models[i] == models[alone]] or several.tolist()
        largest = max(alike, key=variance.__getitem__)
        variance[alone], freedom[alone] = variance[largest], freedom[largest]
    return variance, freedom


def _pool(rows: npt.NDArray[np.intp], own: Floats, seeds: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Return the rows whose variances do not plainly differ."""
    while len(rows) > 2:
        largest = rows[np.argmax(own[rows])]
        others = rows[rows != largest]
        rest = float(np.average(own[others], weights=seeds[others] - 1))
        bound = fdtri(seeds[largest] - 1, (seeds[others] - 1).sum(), 1 - APART / len(rows))
        if seeds[largest] < FEWEST or own[largest] <= bound * rest:
            break
        rows = others
    return rows


def _satterthwaite(own: Floats, freedom: npt.NDArray[Any]) -> float:
    largest = float(own.max())
    if largest == 0:
        return math.inf
    shares = own / largest  # whose squares neither overflow nor vanish
    return float((freedom * shares).sum()) ** 2 / float((freedom * shares**2).sum())
