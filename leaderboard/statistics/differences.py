"""Paired differences between rows of a board: of two rows, or of all pairs at once.

Both pair the seeds that two rows have in common. Rows with one seed in common (or none: then their
first ones) are compared over groups of dependent targets: G groups give G − 1 degrees of freedom,
and `tails` computes how much less certain groups of unequal sizes are.

With S seeds in common, `difference` takes Student's t over the differences of seeds, on this test
set. `differences` also counts the variance from group to group, with the S − 1 degrees of freedom
of the seeds, few as they are. Approximations with more degrees of freedom (Satterthwaite 1946)
report false differences wherever two or three seeds happen to agree.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from seqmem.leaderboard.record import Context, Point, Record
from seqmem.leaderboard.statistics.aggregate import Row
from seqmem.leaderboard.statistics.intervals import LEVEL, block_mean
from seqmem.leaderboard.statistics.tails import quantile, two_sided

__all__ = ["Difference", "PairwiseDifferences", "difference", "differences"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A mean loss minus another on the same targets, in the loss's unit.

    Attributes:
        mean: over seeds.
        low: the lower end of its 95 % interval; None if the interval is unknown.
        high: the upper end.
        seeds: how many seeds both rows have. From two on, the interval is Student's t over the
            differences of seeds, on this test set; with one it is over groups of dependent
            targets, of any sizes (`tails`), and does not include the variation of training.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def sign(self) -> int:
        """−1 or 1 if the interval excludes 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)

    def within(self, allowed: float) -> bool:
        """Return whether the whole interval is within ±`allowed`."""
        if self.low is None or self.high is None:
            return False
        return -allowed <= self.low and self.high <= allowed


def difference(
    first: Row, second: Row, k: Context, other: Context | None = None
) -> Difference | None:
    """Return the loss of one row minus that of another.

    Args:
        first: worse than the second if the difference is above zero.
        second: another row of the same board.
        k: the context length.
        other: the context length of the second; None for the same.

    Returns:
        None if either has no loss there. Seeds that both have are paired; of rows without a seed
        in common, the first ones are compared.
    """
    other = k if other is None else other
    ones, others = _by_seed(first, k), _by_seed(second, other)
    if not ones or not others:
        return None
    pairs = [(ones[a], others[b]) for a, b in _paired_seeds(ones, others)]
    if len(pairs) == 1:
        return _over_targets(*pairs[0], k, other)
    values = np.array([_loss(one, k) - _loss(two, other) for one, two in pairs])
    mean = block_mean(values, np.ones(len(values), dtype=np.int64))
    assert mean.interval is not None
    return Difference(mean.mean, *mean.interval, len(pairs))


def _over_targets(one: Record, two: Record, k: Context, other: Context) -> Difference:
    value = _loss(one, k) - _loss(two, other)
    if one.group_counts != two.group_counts:
        return Difference(value, None, None, 1)
    sums = _sums(one, k) - _sums(two, other)
    error = block_mean(sums, np.array(one.group_counts)).standard_error
    if error is None:
        return Difference(value, None, None, 1)
    half = quantile(one.group_counts, LEVEL) * error
    return Difference(value, value - half, value + half, 1)


@dataclass(frozen=True)
class PairwiseDifferences:
    """Mean losses of rows minus those of columns, in the loss's unit; (n, n) each.

    Attributes:
        mean: over the seeds that both have.
        error: its standard error; NaN if unknown.
        freedom: the degrees of freedom of that error.
        p: two-sided p-values of no difference; NaN if unknown.
    """

    mean: Floats
    error: Floats
    freedom: Floats
    p: Floats


def differences(rows: Sequence[Row], k: Context) -> PairwiseDifferences:
    """Return the differences between all pairs of rows.

    Args:
        rows: n of one board; all have a loss at k.
        k: the context length.
    """
    n = len(rows)
    mean, error, freedom, p = (np.full((n, n), np.nan) for _ in range(4))
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    seeds = [_by_seed(row, k) for row in rows]
    for i, records in enumerate(seeds):  # rows with the same seeds and groups are compared at once
        alike[tuple((s, r.group_counts) for s, r in records.items())].append(i)
    for ones in alike.values():
        for others in alike.values():
            pairs = _paired_seeds(seeds[ones[0]], seeds[others[0]])
            here = [[seeds[i][one] for one, _ in pairs] for i in ones]
            there = [[seeds[i][two] for _, two in pairs] for i in others]
            block = np.ix_(ones, others)
            mean[block], error[block], freedom[block], p[block] = _compared(here, there, k)
    return PairwiseDifferences(mean, error, freedom, p)


def _by_seed(row: Row, k: Context) -> dict[int, Record]:
    found = {r.training["seed"]: r for r in row.records if r.point(k) is not None}
    return dict(sorted(found.items()))


def _paired_seeds(ones: dict[int, Record], others: dict[int, Record]) -> list[tuple[int, int]]:
    return [(seed, seed) for seed in ones if seed in others] or [(min(ones), min(others))]


def _compared(
    here: list[list[Record]], there: list[list[Record]], k: Context
) -> tuple[Floats, Floats, float, Floats]:
    """Compare n with m rows of S paired records each.

    Returns:
        mean differences (n, m), their standard errors (n, m), degrees of freedom, p-values (n, m).
    """
    losses = _losses(here, k), _losses(there, k)  # (n, S), (m, S)
    by_seed = losses[0][:, None, :] - losses[1][None, :, :]  # (n, m, S)
    mean = by_seed.mean(axis=2)
    unknown = np.full_like(mean, np.nan)
    counts = {record.group_counts for records in (here[0], there[0]) for record in records}
    if len(counts) > 1:  # their targets are grouped differently
        return mean, unknown, np.nan, unknown
    (sizes,) = counts
    if len(sizes) < 2:
        return mean, unknown, np.nan, unknown
    groups = np.array(sizes, dtype=float)  # (G,)
    one, two = _deviations(here, k, groups), _deviations(there, k, groups)
    squares = np.array([np.square(deviation - two).sum(axis=1) for deviation in one])  # (n, m)
    variance = squares * len(groups) / (len(groups) - 1)
    seeds = by_seed.shape[2]
    if seeds > 1:
        variance += by_seed.var(axis=2, ddof=1) / seeds
    error = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean / error
    if seeds > 1:
        freedom, p = seeds - 1.0, 2 * stdtr(seeds - 1.0, -np.abs(ratio))
    else:
        freedom, p = len(groups) - 1.0, two_sided(ratio, sizes)
    return mean, error, freedom, np.where(error == 0, (mean == 0).astype(float), p)


def _losses(rows: list[list[Record]], k: Context) -> Floats:
    return np.array([[_loss(record, k) for record in records] for records in rows])


def _deviations(rows: list[list[Record]], k: Context, counts: Floats) -> Floats:
    """Return each group's share of the deviation from the mean (n, G), as `intervals` does."""
    sums = np.array([np.mean([_sums(record, k) for record in records], 0) for records in rows])
    means = sums.sum(axis=1, keepdims=True) / counts.sum()
    return np.asarray((sums - means * counts) / counts.sum())


def _point(record: Record, k: Context) -> Point:
    point = record.point(k)
    assert point is not None
    return point


def _loss(record: Record, k: Context) -> float:
    return _point(record, k).loss.mean


def _sums(record: Record, k: Context) -> Floats:
    return np.array(_point(record, k).group_sums)
