"""The verdict on one cell: does it still learn what it learned?

At each k the difference in loss, new minus expected, is averaged over seeds and over targets, the
same targets for both. Where the expectation has the same seeds, they are paired, and the 95 %
interval is what rounding leaves open. Fresh seeds are compared with all of the expectation's, and
the interval is that over groups of targets, paired. The margins are those of margin.py. The k is
green where the whole interval lies within the margin, red where all of it lies outside, and
otherwise nobody can tell. A cell is as bad as its worst k.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Literal

import numpy as np

from seqmem.check.curves import Curves, Run, Setting
from seqmem.check.expectation import Expectation
from seqmem.check.margin import CAP
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.intervals import block_mean

__all__ = ["AtContext", "Speed", "State", "Verdict", "failed", "judge", "missing", "skipped"]

State = Literal["green", "cannot tell", "red", "not comparable", "missing", "skipped"]
SLOWER = 2.0  # times as long, relative to the calibration loop, is slow
MORE_STEPS = 1.1  # times as many model steps are more work


@dataclass(frozen=True)
class AtContext:
    """The comparison at one k, in the loss's unit.

    Attributes:
        k: the context length.
        expected: mean loss.
        found: mean loss.
        difference: found minus expected.
        low: lower end of its 95 % interval.
        high: upper end.
        margin: what it may be, either way.
        other_seeds: the margin that other seeds would have: within it, seeds alone move as much.
        state: "green", "red" or "cannot tell".
    """

    k: Context
    expected: float
    found: float
    difference: float
    low: float
    high: float
    margin: float
    other_seeds: float
    state: State

    @property
    def size(self) -> float:
        """The difference in margins."""
        return abs(self.difference) / self.margin


@dataclass(frozen=True)
class Speed:
    """Time and work, now over expected.

    Attributes:
        training: of one optimiser step; None for a model that is not trained by steps.
        measuring: of one model step in measuring.
        model_steps: that measuring took.
    """

    training: float | None
    measuring: float
    model_steps: float

    @property
    def slow(self) -> bool:
        """Whether something takes longer than the margin allows."""
        longest = max(self.training or 0.0, self.measuring)
        return longest > SLOWER or self.model_steps > MORE_STEPS


@dataclass(frozen=True)
class Verdict:
    """What became of one cell.

    Attributes:
        task: the task's id.
        model: the baseline, or what stands in for one.
        state: the verdict.
        reason: why, where no comparison says so; else empty.
        unit: of the loss.
        seeds: that were trained.
        paired: whether each was compared with the same training of the expectation.
        points: the comparison at each k.
        speed: time and work; None where nothing was compared.
    """

    task: str
    model: str
    state: State
    reason: str = ""
    unit: str = ""
    seeds: tuple[int, ...] = ()
    paired: bool = False
    points: tuple[AtContext, ...] = ()
    speed: Speed | None = None

    @property
    def bad(self) -> bool:
        """Whether a check with this cell fails."""
        return self.state in ("red", "not comparable", "missing")

    @property
    def worst(self) -> AtContext | None:
        """The k whose difference is the most margins, red ones first; None without any."""
        order = {"red": 2, "cannot tell": 1}
        return max(self.points, key=lambda at: (order.get(at.state, 0), at.size), default=None)

    @property
    def same(self) -> bool:
        """Whether every loss is the same to rounding, so that not even numerics changed."""
        return bool(self.points) and all(
            abs(at.difference) <= 1e-6 * abs(at.expected) for at in self.points
        )


def judge(expected: Expectation, found: Curves) -> Verdict:
    """Compare what was found with what is expected.

    Args:
        expected: of the same baseline on the same task.
        found: at least one run.
    """
    task, model = found.setting.task, found.model
    if changed := _changed(expected.curves.setting, found.setting):
        return Verdict(
            task,
            model,
            "not comparable",
            f"{', '.join(changed)} changed and the expectation was not renewed: "
            "`seqmem check --update` renews it",
        )
    same = found.same_start and set(found.seeds) <= set(expected.curves.seeds)
    paired = expected.curves.only(found.seeds) if same else expected.curves
    margins = expected.margins(len(found.runs), same=same).tolist()
    others = expected.margins(len(found.runs), same=False).tolist()
    halves = expected.rounding_half_widths(len(found.runs))
    change = found.sums().mean(0) - paired.sums().mean(0)  # (k, groups)
    counts = np.array(found.setting.group_counts)
    points = []
    for i, k in enumerate(found.setting.contexts):
        mean = block_mean(change[i], counts)
        half = float(halves[i])
        if not same and mean.interval is not None:
            half = (mean.interval.high - mean.interval.low) / 2
        chance = expected.curves.chance
        low, high = mean.value - half, mean.value + half
        points.append(
            AtContext(
                k=k,
                expected=float(paired.losses().mean(0)[i]),
                found=float(found.losses().mean(0)[i]),
                difference=mean.value,
                low=low,
                high=high,
                margin=margins[i],
                other_seeds=others[i],
                state=_state(low, high, margins[i], CAP * chance),
            )
        )
    states = [at.state for at in points]
    state: State = "red" if "red" in states else "green"
    if state == "green" and "cannot tell" in states:
        state = "cannot tell"
    return Verdict(
        task=task,
        model=model,
        state=state,
        unit=found.unit,
        seeds=found.seeds,
        paired=same,
        points=tuple(points),
        speed=_speed(paired, found),
    )


def failed(task: str, model: str, reason: str) -> Verdict:
    """Give the verdict on a cell that could not be trained or measured: red."""
    return Verdict(task, model, "red", reason)


def missing(task: str, model: str, reason: str) -> Verdict:
    """Give the verdict on a cell without an expectation, or without a baseline."""
    return Verdict(task, model, "missing", reason)


def skipped(task: str, model: str, reason: str) -> Verdict:
    """Give the verdict on a cell whose data are not on this machine."""
    return Verdict(task, model, "skipped", reason)


def _state(low: float, high: float, margin: float, cap: float) -> State:
    if low > margin or high < -margin:
        return "red"
    within = min(margin, cap)
    return "green" if -within <= low and high <= within else "cannot tell"


def _changed(expected: Setting, found: Setting) -> list[str]:
    """Name what differs between two settings that should be one."""
    names = {
        "version": "the task's version",
        "data_hash": "the test data",
        "training_hash": "the training data",
        "contexts": "the context lengths",
        "group_counts": "the scored targets",
        "recipe": "the recipe",
    }
    return [
        names[field.name]
        for field in fields(Setting)
        if field.name != "task" and getattr(expected, field.name) != getattr(found, field.name)
    ]


def _speed(expected: Curves, found: Curves) -> Speed:
    def ratio(now: Sequence[float | None], then: Sequence[float | None]) -> float | None:
        ones, others = [v for v in now if v], [v for v in then if v]
        return median(ones) / median(others) if ones and others else None

    def each(name: str, runs: Sequence[Run]) -> list[float | None]:
        return [getattr(run, name) for run in runs]

    ratios = {
        name: ratio(each(name, found.runs), each(name, expected.runs))
        for name in ("training", "measuring", "model_steps")
    }
    return Speed(ratios["training"], ratios["measuring"] or 1.0, ratios["model_steps"] or 1.0)
