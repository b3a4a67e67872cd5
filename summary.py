"""From a curve's raw scores to the numbers of a record: means, intervals, paired differences.

Where windows were scored on a sample only, the mean at k is the full-context mean over all targets
plus the mean difference on the sample: the first has no sampling error, and the second is small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seqmem.leaderboard.record import MeanOf, Point
from seqmem.tasks.curve import Context, Curve
from seqmem.tasks.intervals import Mean, block_mean, group_blocks, sum_of_means, wilson
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["Summary", "summarise"]

GROUPS = 100  # of dependent targets, at most, kept in a record

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """What a record holds of a curve; see Record."""

    points: tuple[Point, ...]
    group_counts: Mapping[str, tuple[int, ...]]
    gain: MeanOf | None


def summarise(
    curve: Curve, task: Task, model: SequenceModel, contexts: Sequence[Context]
) -> Summary:
    """Summarise a curve measured on a task's test split."""
    groups = group_blocks(curve.blocks, GROUPS)
    count = int(groups[-1]) + 1
    of_all, of_chosen = _Groups(groups, count), _Groups(groups[curve.chosen], count)
    gain = None
    if curve.full is not None:
        gain = of_all.mean(_constant_losses(task) - curve.full.losses)
    points = []
    for k in contexts:
        of_k = of_all if k == "full" else of_chosen
        scores = curve.at(k)
        excess = excess_sums = None
        loss = of_k.mean(scores.losses)
        if curve.full is not None:
            reference = curve.full.losses if k == "full" else curve.full.losses[curve.chosen]
            difference = scores.losses - reference
            excess, excess_sums = of_k.mean(difference), of_k.sums(difference)
            if len(scores.losses) < len(curve.full.losses):
                parts = of_all.totals(curve.full.losses), of_chosen.totals(difference)
                loss = _mean_of(sum_of_means(*parts))
        points.append(
            Point(
                k=k,
                n=len(scores.losses),
                loss=loss,
                excess=excess,
                optimum=task.optimum(k),
                accuracy=None if scores.correct is None else of_k.rate(scores.correct),
                state_floats=None if k == "full" else model.state_size(k),
                group_sums=of_k.sums(scores.losses),
                excess_sums=excess_sums,
            )
        )
    counts = {
        name: tuple(g.counts.tolist()) for name, g in (("full", of_all), ("windows", of_chosen))
    }
    return Summary(tuple(points), counts, gain)


class _Groups:
    """Averages over targets in groups of dependent ones."""

    def __init__(self, groups: npt.NDArray[np.int64], count: int) -> None:
        self._groups, self._count = groups, count
        self.counts = np.bincount(groups, minlength=count)

    def totals(self, values: Values) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Give each group's total and its number of targets."""
        return np.bincount(self._groups, values, self._count), self.counts

    def sums(self, values: Values) -> tuple[float, ...]:
        """Total each group, to nine digits."""
        return tuple(float(f"{total:.9g}") for total in self.totals(values)[0])

    def mean(self, values: Values) -> MeanOf:
        return _mean_of(block_mean(*self.totals(values)))

    def rate(self, correct: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
        """Give a share and its interval; dependent targets count for less than their number."""
        share = self.mean(correct.astype(float))
        rate, error = share.mean, share.standard_error
        # As many independent trials as would have given this standard error.
        trials = rate * (1 - rate) / error**2 if error else float(len(self.counts))
        bounds = wilson(rate, min(trials, len(correct)))
        return rate, bounds.low, bounds.high


def _mean_of(mean: Mean) -> MeanOf:
    ends = None if mean.interval is None else (mean.interval.low, mean.interval.high)
    return MeanOf(mean.value, mean.standard_error, ends)


def _constant_losses(task: Task) -> Values:
    """Give every test target's loss under the best constant output: (N,)."""
    targets = task.split("test").targets
    constant = task.constant()
    # In pieces: a large vocabulary times all targets would not fit in memory.
    rows = max((1 << 22) // task.outputs, 1)
    losses = [task.loss(constant.expand(len(part), -1), part) for part in targets.split(rows)]
    return np.concatenate([part.double().numpy() for part in losses])
