"""One cell of a check: a model trained for a few steps with each of several seeds, and measured.

Unlike a cell of `seqmem eval`, nothing is stored on disk. Few targets are scored, all of them at
every k: the compared quantity is the loss on exactly these targets.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

import numpy as np
import torch

from seqmem.baselines.spec import ModelSpec, build_model
from seqmem.baselines.training.loop import ClosedForm, seeded, train
from seqmem.baselines.training.recipes import Recipe
from seqmem.check.calibration import unit_seconds
from seqmem.check.curves import Curves, Run, Setting
from seqmem.check.expectation import Expectation
from seqmem.check.margin import JITTER
from seqmem.errors import CellError
from seqmem.leaderboard.record import Context
from seqmem.measuring.curve import measure
from seqmem.provenance import environment_facts, suite_facts
from seqmem.runs.cell import training_hash
from seqmem.runs.processes import torch_threads
from seqmem.submissions.drop_in import build_drop_in
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Split, Task

__all__ = ["CheckCell", "expected_of", "run_check_cell"]

TARGETS = 4096  # scored, at most
READOUT = 1 << 24  # outputs of all targets at one k, at most: bounds memory of a large vocabulary
SPREAD = 32  # inputs of a stream for each scored target
GROUPS = 16  # of neighbouring targets
THREADS = 1  # more change sums in the last digit, and are no faster for models as small as these
LONGEST = 40  # context scored, besides full: longer than any delay of copy-memory/T=5-25


@dataclass(frozen=True)
class CheckCell:
    """A model on a task, to be trained and measured: plain data that processes can be sent.

    Attributes:
        model: the baseline and its options.
        task_id: the task; whoever runs the cell loads it.
        recipe: how the model is trained.
        seeds: one training each.
        drop_in: Python code that replaces the baseline or its layer; None for the baseline.
        jitter: the relative size of a random perturbation of each weight before training.
    """

    model: ModelSpec
    task_id: str
    recipe: Recipe
    seeds: tuple[int, ...]
    drop_in: str | None = None
    jitter: float = 0.0

    @property
    def key(self) -> tuple[str, str]:
        """The key of the expectation that the cell is compared with."""
        return self.task_id, str(self.model)

    @property
    def label(self) -> str:
        """The model, as the user names it."""
        return self.drop_in or str(self.model)

    def __str__(self) -> str:
        """Return the cell's name for messages."""
        return f"{self.label} on {self.task_id}"


def run_check_cell(cell: CheckCell, task: Task) -> Curves:
    """Train and measure every seed of a cell, and return the curves.

    Args:
        cell: the cell.
        task: its task.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, or the model cannot be measured.
    """
    split = _check_split(task)
    contexts: tuple[Context, ...] = (*(k for k in task.contexts if k <= LONGEST), "full")
    groups = np.arange(len(split)) * min(GROUPS, len(split)) // len(split)  # (targets,)
    with torch_threads(THREADS):
        runs, same_starts = zip(
            *(_run(cell, task, seed, split, contexts, groups) for seed in cell.seeds), strict=True
        )
    setting = Setting(
        task=task.id,
        version=task.version,
        data_hash=task.data_hash,
        training_hash=training_hash(task, 0),
        contexts=contexts,
        group_counts=tuple(np.bincount(groups).tolist()),
        recipe=cell.recipe.facts(),
    )
    return Curves(cell.label, setting, task.loss.unit, task.chance(), runs, all(same_starts))


def expected_of(cell: CheckCell, task: Task) -> Expectation:
    """Train and measure a cell, and once more with perturbed weights; return the expectation.

    Args:
        cell: with at least two seeds.
        task: its task.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, or the model cannot be measured.
    """
    curves = run_check_cell(cell, task)
    rounding = np.zeros_like(curves.losses())
    if curves.runs[0].training is not None:  # a model in closed form has no initial weights
        perturbed = run_check_cell(replace(cell, jitter=JITTER), task)
        rounding = perturbed.losses() - curves.losses()
    return Expectation(
        curves,
        tuple(tuple(map(_four_digits, each)) for each in rounding),
        datetime.now(UTC).isoformat(timespec="seconds"),
        suite_facts(),
        environment_facts("cpu"),
    )


def _check_split(task: Task) -> Split:
    """Return the targets of a check: the first ones of the test split.

    Of a stream, where neighbouring targets are similar, one in SPREAD.
    """
    split = task.split("test")
    most = max(min(TARGETS, READOUT // task.outputs), GROUPS)
    if len(split.starts) > 2:
        return split.prefix(most)
    beginning = split.prefix(most * SPREAD)
    return beginning.subset(torch.arange(SPREAD - 1, len(beginning), SPREAD))


def _run(
    cell: CheckCell,
    task: Task,
    seed: int,
    split: Split,
    contexts: tuple[Context, ...],
    groups: np.ndarray,
) -> tuple[Run, bool]:
    """Train with one seed and measure; also return whether it starts as the baseline does."""
    recipe, same_start = cell.recipe, True
    with seeded(seed):
        if cell.drop_in is None:
            model, _ = build_model(cell.model, task, recipe.k_train, recipe.options)
        else:
            model, same_start = build_drop_in(cell.drop_in, cell.model, task, recipe)
        _perturb(model, cell.jitter)
    before = unit_seconds()
    step = _train(model, task, recipe, seed)
    began = time.process_time()
    curve = measure(model, task, split, contexts)
    seconds = time.process_time() - began
    unit = min(before, unit_seconds())
    if curve.failures:
        raise CellError("; ".join(f"k={k}: {why}" for k, why in curve.failures.items()))
    sums = [np.bincount(groups, curve.at(k).losses) for k in contexts]
    run = Run(
        seed=seed,
        group_sums=tuple(tuple(float(f"{total:.9g}") for total in each) for each in sums),
        model_steps=curve.steps,
        training=None if step is None else _four_digits(step / unit),
        measuring=_four_digits(1e6 * seconds / max(curve.steps, 1) / unit),
    )
    return run, same_start


@torch.no_grad()
def _perturb(model: SequenceModel, jitter: float) -> None:
    """Change each weight at random, relative to its size."""
    if jitter:
        for parameter in model.parameters():
            parameter.mul_(1 + jitter * torch.randn_like(parameter))


def _train(model: SequenceModel, task: Task, recipe: Recipe, seed: int) -> float | None:
    """Train a model; return the median processor time of a step, None for a closed form."""
    if isinstance(model, ClosedForm):
        model.fit(task, seed)
        return None
    if (initial := task.initial_outputs()) is not None:
        model.start_from(initial)
    times = [time.process_time()]
    train(
        model,
        task,
        recipe,
        k_train=recipe.k_train,
        seed=seed,
        progress=lambda step, validation: times.append(time.process_time()),
    )
    return median(after - before for before, after in pairwise(times))


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")
