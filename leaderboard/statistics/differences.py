"""Differences between rows of a board: of all pairs at one context length, or of two.

A row's loss is the mean over its seeds. The variance of a difference has two parts. That of the
data is paired: over groups of dependent targets, the same for both rows; G groups give G − 1
degrees of freedom, and `tails` computes how much less certain groups of unequal sizes are. That of
training is each row's variance from seed to seed (`seed_variance`), divided by its seeds. Their sum
has the fewer of both degrees of freedom: mixtures of them report false differences wherever the
seeds of two or three models happen to agree.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from seqmem.leaderboard.record import Context, Point, Record
from seqmem.leaderboard.statistics.aggregate import Row, better_than_chance
from seqmem.leaderboard.statistics.holm import LEVEL, holm
from seqmem.leaderboard.statistics.rows import kind, loss
from seqmem.leaderboard.statistics.seed_variance import seed_variances
from seqmem.leaderboard.statistics.tails import quantile, two_sided

__all__ = [
    "Difference",
    "PairwiseDifferences",
    "difference",
    "differences",
    "trainings_known",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A mean loss minus another on the same targets, in the loss's unit.

    Attributes:
        mean: of the means over seeds.
        low: the lower end of its interval; None if that is unknown.
        high: the upper end.
        medians: the difference of the medians over seeds, which tables show.
        seeds: of both rows.
        trainings: whether the interval includes the variation between trainings. It does not where
            no trained model of the board has several seeds: the difference is one of these weights.
    """

    mean: float
    low: float | None
    high: float | None
    medians: float
    seeds: tuple[int, int]
    trainings: bool

    @property
    def sign(self) -> int:
        """−1 or 1 if the interval excludes 0 and the medians do not contradict it, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0 and self.medians > 0) - (self.high < 0 and self.medians < 0)

    def within(self, allowed: float) -> bool:
        """Return whether the whole interval is within ±`allowed`."""
        if self.low is None or self.high is None:
            return False
        return -allowed <= self.low and self.high <= allowed


def difference(
    rows: Sequence[Row],
    first: Row,
    second: Row,
    k: Context,
    other: Context | None = None,
    *,
    alone: bool = False,
) -> Difference | None:
    """Return the loss of one row minus that of another.

    Its interval excludes 0 where the ranks at `k` distinguish the two: it is at the level at which
    the correction for all pairs decides.

    Args:
        rows: all of the board.
        first: worse than the second if the difference is above zero.
        second: another row of the same board, or the same.
        k: the context length.
        other: the context length of the second; None for the same.
        alone: whether it is a 95 % interval, with the variation between trainings of the rows' own
            seeds: that of other rows is another at each context length.

    Returns:
        None if either has no loss there.
    """
    other = k if other is None else other
    if k not in first.scores or other not in second.scores:
        return None
    mean = _mean(first, k) - _mean(second, other)
    medians = loss(first, k) - loss(second, other)
    seeds = len(_records(first, k)), len(_records(second, other))
    sizes = _group_sizes(first, k)
    if len(sizes) < 2 or sizes != _group_sizes(second, other):
        return Difference(mean, None, None, medians, seeds, False)
    level = LEVEL if alone else min(differences(rows, at).level for at in (k, other))
    groups = np.array(sizes, dtype=float)  # (G,)
    share = _deviations(first, k, groups) - _deviations(second, other, groups)
    variance = np.square(share).sum() * len(groups) / (len(groups) - 1)
    ratio = quantile(sizes, 1 - level)
    training, freedom = _training(None if alone else tuple(rows), first, second, k, other)
    if trainings := not np.isnan(training):
        variance += training
        ratio = max(ratio, float(stdtrit(freedom, 1 - level / 2)))
    half = float(ratio * np.sqrt(variance))
    return Difference(mean, mean - half, mean + half, medians, seeds, trainings)


@dataclass(frozen=True)
class PairwiseDifferences:
    """Mean losses of rows minus those of columns, in the loss's unit; (n, n) each.

    Attributes:
        mean: of the means over seeds.
        error: its standard error; NaN if unknown.
        freedom: the degrees of freedom of that error.
        p: two-sided p-values of no difference; NaN if unknown.
        level: at which Holm's correction decides, for all pairs of rows that are better than
            chance: others have no rank.
    """

    mean: Floats
    error: Floats
    freedom: Floats
    p: Floats
    level: float


def differences(rows: Sequence[Row], k: Context) -> PairwiseDifferences:
    """Return the differences between all pairs of the rows that have a loss at k, in their order.

    Args:
        rows: of one board.
        k: the context length.
    """
    return _differences(tuple(rows), k)


@lru_cache(maxsize=64)
def _differences(rows: tuple[Row, ...], k: Context) -> PairwiseDifferences:
    there = [row for row in rows if k in row.scores]
    n = len(there)
    means = np.array([_mean(row, k) for row in there])
    mean = means[:, None] - means[None, :]
    error, freedom, p = (np.full((n, n), np.nan) for _ in range(3))
    spread = _spread(rows, k)
    variance, certain = np.array([spread[row] for row in there]).reshape(n, 2).T
    alike: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(there):  # others have their targets grouped differently
        alike[_group_sizes(row, k)].append(i)
    for sizes, some in alike.items():
        if len(sizes) < 2:
            continue
        block, groups = np.ix_(some, some), np.array(sizes, dtype=float)
        shares = np.array([_deviations(there[i], k, groups) for i in some])  # (n, G)
        squares = np.array([np.square(share - shares).sum(axis=1) for share in shares])
        here = variance[some], certain[some]
        total = squares * len(groups) / (len(groups) - 1) + here[0][:, None] + here[0][None, :]
        error[block] = np.sqrt(total)
        few = _joint_freedom(*(part[:, None] for part in here), *(part[None, :] for part in here))
        freedom[block] = np.fmin(few, len(groups) - 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = mean[block] / error[block]
        found = np.fmax(2 * stdtr(few, -np.abs(ratio)), two_sided(ratio, sizes))
        p[block] = np.where(error[block] == 0, (mean[block] == 0).astype(float), found)
    p[np.isnan(error)] = np.nan
    ranked = np.array([better_than_chance(row, k) for row in there], dtype=bool)
    compared = np.triu(ranked[:, None] & ranked[None, :], 1)
    return PairwiseDifferences(mean, error, freedom, p, holm(p[compared]))


def trainings_known(rows: Sequence[Row], k: Context) -> bool:
    """Return whether the variance between trainings is known: of one of the models, or of none."""
    return not any(np.isnan(variance) for variance, _ in _spread(tuple(rows), k).values())


@lru_cache(maxsize=64)
def _spread(rows: tuple[Row, ...], k: Context) -> dict[Row, tuple[float, float]]:
    """Return for each row the variance of its mean between trainings, and the degrees of freedom.

    NaN is unknown.
    """
    there = [row for row in rows if k in row.scores]
    values = [_losses(row, k) for row in there]
    models = [row.label for row in there]
    variance, freedom = seed_variances(values, models, [_trained(row) for row in there])
    return {
        row: (float(v / len(some)), float(f))
        for row, some, v, f in zip(there, values, variance, freedom, strict=True)
    }


def _training(
    rows: tuple[Row, ...] | None, first: Row, second: Row, k: Context, other: Context
) -> tuple[float, float]:
    """Return the variance of a difference between trainings, and its degrees of freedom.

    Without other rows, of the seeds of the two alone.
    """
    if rows is not None:
        parts = [_spread(rows, at)[row] for row, at in ((first, k), (second, other))]
    elif first is second:  # the same weights
        both = [r for r in _records(first, k) if r.point(other) is not None]
        parts = [_own(first, np.array([_loss(r, k) - _loss(r, other) for r in both])), (0, np.inf)]
    else:
        parts = [_own(row, _losses(row, at)) for row, at in ((first, k), (second, other))]
    (v, f), (w, g) = parts
    return v + w, float(_joint_freedom(*map(np.array, (v, f, w, g))))


def _own(row: Row, values: Floats) -> tuple[float, float]:
    """Return the variance of the mean of a row's values, of its own seeds alone."""
    if not _trained(row):
        return 0.0, np.inf
    seeds = len(values)
    return (float(values.var(ddof=1)) / seeds, seeds - 1.0) if seeds > 1 else (np.nan, np.nan)


def _joint_freedom(v: Floats, f: Floats, w: Floats, g: Floats) -> Floats:
    """Return the degrees of freedom of v + w, which have f and g; of one pool, they are its own."""
    with np.errstate(divide="ignore", invalid="ignore"):
        joint = (v + w) ** 2 / (v**2 / f + w**2 / g)
    return np.where((f == g) & (v > 0) & (w > 0), f, np.where(v + w == 0, np.inf, joint))


def _trained(row: Row) -> bool:
    return kind(row) != "not trained by steps"


def _records(row: Row, k: Context) -> list[Record]:
    return [record for record in row.records if record.point(k) is not None]


def _losses(row: Row, k: Context) -> Floats:
    return np.array([_loss(record, k) for record in _records(row, k)])


def _mean(row: Row, k: Context) -> float:
    return float(_losses(row, k).mean())


def _group_sizes(row: Row, k: Context) -> tuple[int, ...]:
    """Return the targets in each group; empty if they are grouped differently between seeds."""
    sizes = {record.group_counts for record in _records(row, k)}
    return sizes.pop() if len(sizes) == 1 else ()


def _deviations(row: Row, k: Context, counts: Floats) -> Floats:
    """Return each group's share of the deviation from the mean (G,), as `intervals` does."""
    sums = np.mean([_point(record, k).group_sums for record in _records(row, k)], axis=0)
    return np.asarray((sums - sums.sum() / counts.sum() * counts) / counts.sum())


def _loss(record: Record, k: Context) -> float:
    return _point(record, k).loss.mean


def _point(record: Record, k: Context) -> Point:
    point = record.point(k)
    assert point is not None
    return point
