"""Curves of one model on one task, trained with several seeds: what is checked, and against what.

The targets are few and fixed. Every one is scored at every k, and for each k only the total loss of
each group of neighbouring targets is stored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import with_config

from seqmem.leaderboard.validation import Context, Count, Number, Positive, Whole

__all__ = ["Curves", "Run", "Setting"]

Values = npt.NDArray[np.float64]


@with_config(extra="forbid")
@dataclass(frozen=True)
class Setting:
    """Everything that two curves must share to be compared.

    Attributes:
        task: the task's id.
        version: its version.
        data_hash: content hash of the test split.
        training_hash: content hash of the training data of seed 0.
        contexts: context lengths, ascending, full last.
        group_counts: scored targets in each group.
        recipe: how the model is trained.
    """

    task: str
    version: Whole
    data_hash: str
    training_hash: str
    contexts: tuple[Context, ...]
    group_counts: tuple[Positive, ...]
    recipe: Mapping[str, Any]


@with_config(extra="forbid")
@dataclass(frozen=True)
class Run:
    """One training with one seed, measured.

    Attributes:
        seed: of weights, training data, order and dropout.
        group_sums: for each k, the total loss of each group of targets, in the loss's unit.
        model_steps: number of model steps in measuring.
        training: median time of one optimiser step, in units of the calibration loop; None for a
            model in closed form.
        measuring: time of one model step in measuring, in millionths of the calibration loop.
    """

    seed: Whole
    group_sums: tuple[tuple[Number, ...], ...]
    model_steps: Count
    training: Number | None
    measuring: Number


@dataclass(frozen=True)
class Curves:
    """One model on one task, trained with several seeds.

    Attributes:
        model: the baseline, or the user's code that replaces it.
        setting: the task and how the model was trained and measured.
        unit: of the loss.
        chance: the loss of the best predictor without memory.
        runs: one for each seed.
        same_start: whether training starts from the same weights as the baseline with the same
            seed, and draws the same random numbers.
    """

    model: str
    setting: Setting
    unit: str
    chance: Number
    runs: tuple[Run, ...]
    same_start: bool = True

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the runs."""
        return tuple(run.seed for run in self.runs)

    def sums(self) -> Values:
        """Return the total losses of the groups: (seeds, k, groups)."""
        return np.array([run.group_sums for run in self.runs], dtype=np.float64)

    def losses(self) -> Values:
        """Return the mean losses: (seeds, k)."""
        losses: Values = self.sums().sum(2) / sum(self.setting.group_counts)
        return losses

    def only(self, seeds: tuple[int, ...]) -> "Curves":
        """Return the curves of some seeds, in the given order."""
        by_seed = {run.seed: run for run in self.runs}
        runs = tuple(by_seed[seed] for seed in seeds)
        return replace(self, runs=runs)
