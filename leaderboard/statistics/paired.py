"""All differences between the rows of a board at once, paired as `compare.difference` pairs two.

A pair of rows with one seed in common (or none, then their first ones) is compared over groups of
dependent targets: G groups give G − 1 degrees of freedom, and `tails` says what groups of unequal
sizes take from the confidence. With S seeds in common the differences of
seeds vary, and so does the mean over seeds from group to group; both variances count, with the
S − 1 degrees of freedom of the seeds, few as they are. Approximations that give more (Satterthwaite
1946) call differences sure that are not wherever two or three seeds happen to agree.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from seqmem.leaderboard.aggregate import Row
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.tails import two_sided

__all__ = ["Differences", "differences"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Differences:
    """Mean losses of rows minus those of columns, in the loss's unit; (n, n) each.

    Attributes:
        mean: over the seeds that both have.
        error: its standard error; NaN where nothing is known of it.
        freedom: the degrees of freedom of that error.
        p: two-sided p-values of no difference; NaN where nothing is known.
    """

    mean: Floats
    error: Floats
    freedom: Floats
    p: Floats


def differences(rows: Sequence[Row], k: Context) -> Differences:
    """Compare every row with every other.

    Args:
        rows: n of one board; all have a loss at k.
        k: the context length.
    """
    n = len(rows)
    mean, error, freedom, p = (np.full((n, n), np.nan) for _ in range(4))
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    seeds = [_by_seed(row, k) for row in rows]
    for i, records in enumerate(seeds):  # rows alike in seeds and groups are compared in one go
        alike[tuple((s, r.group_counts) for s, r in records.items())].append(i)
    for ones in alike.values():
        for others in alike.values():
            first, second = seeds[ones[0]], seeds[others[0]]
            pairs = [(seed, seed) for seed in first if seed in second]
            pairs = pairs or [(min(first), min(second))]
            here = [[seeds[i][one] for one, _ in pairs] for i in ones]
            there = [[seeds[i][two] for _, two in pairs] for i in others]
            block = np.ix_(ones, others)
            mean[block], error[block], freedom[block], p[block] = _compared(here, there, k)
    return Differences(mean, error, freedom, p)


def _by_seed(row: Row, k: Context) -> dict[int, Record]:
    found = {r.training["seed"]: r for r in row.records if r.point(k) is not None}
    return dict(sorted(found.items()))


def _compared(
    here: list[list[Record]], there: list[list[Record]], k: Context
) -> tuple[Floats, Floats, float, Floats]:
    """Compare n with m rows, S records each that pair off: means, errors, freedom, p-values."""
    losses = _losses(here, k), _losses(there, k)  # (n, S), (m, S)
    gone = losses[0][:, None, :] - losses[1][None, :, :]  # (n, m, S)
    mean = gone.mean(axis=2)
    unknown = np.full_like(mean, np.nan)
    counts = {record.group_counts for records in (here[0], there[0]) for record in records}
    if len(counts) > 1:  # their targets are grouped otherwise
        return mean, unknown, np.nan, unknown
    (sizes,) = counts
    if len(sizes) < 2:
        return mean, unknown, np.nan, unknown
    groups = np.array(sizes, dtype=float)  # (G,)
    one, two = _deviations(here, k, groups), _deviations(there, k, groups)
    squares = np.array([np.square(deviation - two).sum(axis=1) for deviation in one])  # (n, m)
    variance = squares * len(groups) / (len(groups) - 1)
    seeds = gone.shape[2]
    if seeds > 1:
        variance += gone.var(axis=2, ddof=1) / seeds
    error = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean / error
    if seeds > 1:
        freedom, p = seeds - 1.0, 2 * stdtr(seeds - 1.0, -np.abs(ratio))
    else:
        freedom, p = len(groups) - 1.0, two_sided(ratio, sizes)
    return mean, error, freedom, np.where(error == 0, (mean == 0).astype(float), p)


def _losses(rows: list[list[Record]], k: Context) -> Floats:
    points = [[record.point(k) for record in records] for records in rows]
    return np.array([[point.loss.mean for point in some if point is not None] for some in points])


def _deviations(rows: list[list[Record]], k: Context, counts: Floats) -> Floats:
    """Each group's share of the deviation from the mean (n, G), as in `tasks.intervals`."""
    points = [[record.point(k) for record in records] for records in rows]
    sums = np.array(
        [np.mean([point.group_sums for point in some if point is not None], 0) for some in points]
    )
    means = sums.sum(axis=1, keepdims=True) / counts.sum()
    return np.asarray((sums - means * counts) / counts.sum())
