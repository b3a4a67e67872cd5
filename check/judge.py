"""The verdict on one cell: does the model still learn what it learned before?

At each k the difference in loss, new minus expected, is averaged over seeds and over targets; both
losses are of the same targets. With seeds of the expectation, the trainings are paired by seed, and
the 95 % interval is the effect of rounding. Fresh seeds are compared with all of the expectation's,
and the interval is over groups of targets, paired. margin.py has the margins. A k is green where
the whole interval lies within the margin, red where all of it lies outside, and otherwise
undecided ("cannot tell"). The worst k is the verdict on the cell.
"""

from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from seqmem.check.curves import Curves, Setting
from seqmem.check.expectation import Expectation
from seqmem.check.margin import CAP
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.intervals import block_mean

__all__ = ["PointVerdict", "Speed", "State", "Verdict", "judge"]

State = Literal["green", "cannot tell", "red", "not comparable", "missing", "skipped"]
COMPARED: tuple[State, ...] = ("green", "cannot tell", "red")  # ascending
SLOWER = 2.0  # times the expected time, relative to the calibration loop, is slow
MORE_STEPS = 1.1  # times the expected number of model steps is slow

_CHANGED = {
    "version": "the task's version",
    "data_hash": "the test data",
    "training_hash": "the training data",
    "contexts": "the context lengths",
    "group_counts": "the scored targets",
    "recipe": "the recipe",
}


@dataclass(frozen=True)
class PointVerdict:
    """The verdict at one k, in the loss's unit.

    Attributes:
        k: the context length.
        expected: mean loss of the expectation.
        found: mean loss now.
        difference: found minus expected.
        low: lower end of its 95 % interval.
        high: upper end.
        margin: the largest absolute difference that is green.
        other_seeds: the margin of fresh seeds: within it, the seed alone explains the difference.
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


@dataclass(frozen=True)
class Speed:
    """Time and work, relative to the expectation.

    Attributes:
        training: time of one optimiser step; None for a model in closed form.
        measuring: time of one model step in measuring.
        model_steps: number of model steps in measuring.
    """

    training: float | None
    measuring: float
    model_steps: float

    @property
    def slow(self) -> bool:
        """Whether anything takes longer than allowed."""
        longest = max(self.training or 0.0, self.measuring)
        return longest > SLOWER or self.model_steps > MORE_STEPS

    def __str__(self) -> str:
        """Return the factors, as in "training ×1.02, measuring ×0.98"."""
        training = "" if self.training is None else f"training ×{self.training:.2f}, "
        steps = "" if self.model_steps == 1 else f", model steps ×{self.model_steps:.2f}"
        return f"{training}measuring ×{self.measuring:.2f}{steps}"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one cell.

    Attributes:
        task: the task's id.
        model: the baseline, or the user's code that replaces it.
        state: the verdict.
        reason: the reason where nothing was compared; else empty.
        unit: of the loss.
        seeds: of the trainings.
        paired: whether each was compared with the expectation's training of the same seed.
        points: the verdict at each k.
        speed: time and work; None where nothing was compared.
    """

    task: str
    model: str
    state: State
    reason: str = ""
    unit: str = ""
    seeds: tuple[int, ...] = ()
    paired: bool = False
    points: tuple[PointVerdict, ...] = ()
    speed: Speed | None = None

    @property
    def worst(self) -> PointVerdict | None:
        """The k whose difference is largest relative to its margin, red first; None without any."""

        def badness(at: PointVerdict) -> tuple[int, float]:
            return COMPARED.index(at.state), abs(at.difference) / at.margin

        return max(self.points, key=badness, default=None)

    @property
    def same(self) -> bool:
        """Whether every loss is the same except for rounding."""
        return bool(self.points) and all(
            abs(at.difference) <= 1e-6 * abs(at.expected) for at in self.points
        )


def judge(expected: Expectation, found: Curves) -> Verdict:
    """Return the verdict on curves.

    Args:
        expected: the expectation of the same baseline on the same task.
        found: the curves, of at least one run.
    """
    task, model = found.setting.task, found.model
    if changed := _changed(expected.curves.setting, found.setting):
        reason = (
            f"{', '.join(changed)} changed and the expectation was not renewed: "
            "`seqmem check --update` renews it"
        )
        return Verdict(task, model, "not comparable", reason)
    same = found.same_start and set(found.seeds) <= set(expected.curves.seeds)
    paired = expected.curves.only(found.seeds) if same else expected.curves
    margins = expected.margins(len(found.runs), same=same).tolist()
    others = expected.margins(len(found.runs), same=False).tolist()
    halves = expected.rounding_half_widths(len(found.runs)).tolist()
    difference = found.sums().mean(0) - paired.sums().mean(0)  # (k, groups)
    counts = np.array(found.setting.group_counts)
    cap = CAP * expected.curves.chance
    points = []
    for i, k in enumerate(found.setting.contexts):
        mean, half = block_mean(difference[i], counts), halves[i]
        if not same and mean.interval is not None:
            half = (mean.interval[1] - mean.interval[0]) / 2
        low, high = mean.mean - half, mean.mean + half
        points.append(
            PointVerdict(
                k=k,
                expected=float(paired.losses().mean(0)[i]),
                found=float(found.losses().mean(0)[i]),
                difference=mean.mean,
                low=low,
                high=high,
                margin=margins[i],
                other_seeds=others[i],
                state=_state(low, high, margins[i], cap),
            )
        )
    return Verdict(
        task=task,
        model=model,
        state=max((at.state for at in points), key=COMPARED.index),
        unit=found.unit,
        seeds=found.seeds,
        paired=same,
        points=tuple(points),
        speed=_speed(paired, found),
    )


def _state(low: float, high: float, margin: float, cap: float) -> State:
    if low > margin or high < -margin:
        return "red"
    within = min(margin, cap)
    return "green" if -within <= low and high <= within else "cannot tell"


def _changed(expected: Setting, found: Setting) -> list[str]:
    """Return the names of what differs between two settings that should be equal."""
    return [
        text for name, text in _CHANGED.items() if getattr(expected, name) != getattr(found, name)
    ]


def _speed(expected: Curves, found: Curves) -> Speed:
    def ratio(name: str) -> float | None:
        now, before = (
            [value for run in curves.runs if (value := getattr(run, name))]
            for curves in (found, expected)
        )
        return median(now) / median(before) if now and before else None

    return Speed(ratio("training"), ratio("measuring") or 1.0, ratio("model_steps") or 1.0)
