"""From a curve's losses to the numbers of a record: means, intervals, paired differences.

A curve has a loss for every target at every k, measured or estimated, such that means over groups
of targets are unbiased. So sampled and complete losses are averaged alike, and an interval
computed from the spread between groups includes the sampling error. It does not include what a
sample may have missed, which is added.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seqmem.leaderboard.record import MeanOf, Point
from seqmem.leaderboard.statistics.intervals import block_mean, group_blocks, wilson
from seqmem.leaderboard.stratified import Stratified
from seqmem.measuring.arrays import Floats
from seqmem.measuring.curve import Curve
from seqmem.measuring.strata import StrataCurves
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task

__all__ = ["Summary", "summarise"]

GROUPS = 100  # the largest number of groups of dependent targets in a record


@dataclass(frozen=True)
class Summary:
    """The numbers of a curve that a record stores; see Record."""

    points: tuple[Point, ...]
    group_counts: tuple[int, ...]
    gain: MeanOf | None
    strata: tuple[Stratified, ...]


def summarise(
    curve: Curve, task: Task, model: SequenceModel, contexts: Sequence[Context]
) -> Summary:
    """Summarise a curve of a task's test split, at those of the context lengths that it has."""
    of = group_blocks(task.split("test").blocks.numpy(), GROUPS)
    groups, strata = _Groups(of), StrataCurves(task.strata(), of)
    full = curve.full if "full" in contexts else None
    gain = None if full is None else groups.mean(_constant_losses(task) - full.losses)
    points = []
    for k in contexts:
        if k in curve.failures:
            continue
        at = curve.at(k)
        points.append(
            Point(
                k=k,
                n=at.n,
                method=at.method,
                loss=groups.mean(at.losses, at.unseen),
                half_width=at.half_width,
                excess=None if full is None else groups.mean(at.losses - full.losses, at.unseen),
                optimum=task.optimum(k),
                accuracy=None if at.correct is None else groups.rate(at.correct),
                state_floats=_state_floats(model, task, k),
                steps=at.steps,
                group_sums=groups.sums(at.losses),
            )
        )
        strata.add(k, at, None if full is None else full.losses)
    return Summary(tuple(points), tuple(groups.counts.tolist()), gain, strata.found())


def _state_floats(model: SequenceModel, task: Task, k: Context) -> int | None:
    """Return the size of the state after k inputs; None if unknown, and at full where unused."""
    if k != "full":
        return model.state_size(k)
    if task.held_symbols is None:  # a stream has no longest sequence
        return None
    return model.state_size(int(task.split("test").available.max()))


class _Groups:
    """Means over targets in groups of dependent ones."""

    def __init__(self, groups: npt.NDArray[np.int64]) -> None:
        self._groups = groups
        self.counts = np.bincount(groups)

    def totals(self, values: Floats) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return each group's total and its number of targets."""
        return np.bincount(self._groups, values, len(self.counts)), self.counts

    def sums(self, values: Floats) -> tuple[float, ...]:
        """Return each group's total, to nine digits."""
        return tuple(float(f"{total:.9g}") for total in self.totals(values)[0])

    def mean(self, values: Floats, unseen: float = 0.0) -> MeanOf:
        """Return the mean; its interval is widened by what a sample may have missed."""
        found = block_mean(*self.totals(values))
        if found.interval is None or unseen == 0:
            return found
        half = math.hypot((found.interval[1] - found.interval[0]) / 2, unseen)
        return replace(found, interval=(found.mean - half, found.mean + half))

    def rate(self, correct: Floats) -> tuple[float, float, float]:
        """Return a rate and its interval; dependent targets count for less than their number."""
        share = self.mean(correct)
        # A regression estimate may be slightly outside [0, 1].
        rate, error = min(max(share.mean, 0.0), 1.0), share.standard_error
        # The number of independent trials with this standard error.
        trials = rate * (1 - rate) / error**2 if error else float(len(self.counts))
        return rate, *wilson(rate, min(trials, len(correct)) or 1.0)


def _constant_losses(task: Task) -> Floats:
    """Return every test target's loss under the best constant output: (N,)."""
    targets = task.split("test").targets
    # One row of outputs for all: a row for each target of a large vocabulary takes many gigabytes.
    everywhere = torch.zeros(len(targets), dtype=torch.int64)
    losses = task.loss(task.constant().reshape(1, -1), targets, everywhere)
    return losses.double().numpy()
