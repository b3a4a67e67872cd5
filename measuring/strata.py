"""A curve split by the strata that its task offers: the same losses, averaged within each."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.statistics.intervals import block_mean
from seqmem.leaderboard.stratified import Stratified, StratumMeans
from seqmem.measuring.arrays import Floats
from seqmem.measuring.estimate import Estimate
from seqmem.tasks.strata import Strata
from seqmem.tasks.task import Context

__all__ = ["StrataCurves"]

DIGITS = 9


class StrataCurves:
    """The means of each stratum, one context length after another.

    Intervals are over groups of dependent targets, as those of the curve: the spread between them
    includes the sampling error. What a sample may have missed in the stratum is added.
    """

    def __init__(self, strata: Sequence[Strata], groups: npt.NDArray[np.int64]) -> None:
        """Take what a task offers, and the group of dependent targets of each: (N,)."""
        self._means = [_Means(each, groups) for each in strata]
        self._points: list[list[StratumMeans]] = [[] for _ in strata]

    def add(self, k: Context, at: Estimate, full: Floats | None) -> None:
        """Add the means at a context length, given the losses there and those at full."""
        for means, points in zip(self._means, self._points, strict=True):
            points.append(means.point(k, at, full))

    def found(self) -> tuple[Stratified, ...]:
        """Return all that were added; nothing if nothing was."""
        return tuple(
            means.curve(points)
            for means, points in zip(self._means, self._points, strict=True)
            if points
        )


class _Means:
    """Means over the targets of each stratum."""

    def __init__(self, strata: Strata, groups: npt.NDArray[np.int64]) -> None:
        self._strata, size = strata, len(strata.labels)
        self._cells = groups * size + strata.of
        self._shape = int(groups[-1]) + 1, size
        self._counts = self._sums(None)  # (G, S)
        self.sizes: list[int] = self._counts.sum(0).tolist()

    def point(self, k: Context, at: Estimate, full: Floats | None) -> StratumMeans:
        """Return the means at one context length, given the losses there and at full."""
        missed = self._missed(at)
        loss, half = self._intervals(at.losses, missed)
        if full is None:
            return StratumMeans(k, loss, half, None, None)
        excess, excess_half = self._intervals(at.losses - full, missed)
        return StratumMeans(k, loss, half, excess, excess_half)

    def curve(self, points: Sequence[StratumMeans]) -> Stratified:
        """Return the means at some context lengths, with what the strata are."""
        of = self._strata
        return Stratified(of.by, of.meaning, of.labels, tuple(self.sizes), tuple(points))

    def _missed(self, at: Estimate) -> list[float]:
        """Return what the sample may have missed in each stratum."""
        if at.parts is None:
            return [0.0] * len(self.sizes)
        return [at.parts.of(self._strata.of == i)[1] for i in range(len(self.sizes))]

    def _intervals(
        self, values: Floats, missed: Sequence[float]
    ) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
        """Return each stratum's mean and half of its interval."""
        sums = self._sums(values)
        found, halves = [], []
        for i, unseen in enumerate(missed):
            present = self._counts[:, i] > 0
            mean = block_mean(sums[present, i], self._counts[present, i])
            found.append(_rounded(mean.mean))
            half = None
            if mean.interval is not None:
                within = (mean.interval[1] - mean.interval[0]) / 2
                half = _rounded(math.hypot(within, unseen))
            halves.append(half)
        return tuple(found), tuple(halves)

    def _sums(self, values: Floats | None) -> npt.NDArray[np.float64 | np.int64]:
        """Return each group's total in each stratum, or its number of targets: (G, S)."""
        groups, size = self._shape
        return np.bincount(self._cells, values, groups * size).reshape(groups, size)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
