"""One cell of a check: a model trained for a few steps with each of several seeds, and measured.

Unlike a cell of `seqmem eval` nothing is kept on disk. Few targets are scored, all of them at
every k: what is compared is the loss on just these.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
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
from seqmem.submissions.drop_in import build_drop_in
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Split, Task

__all__ = [
    "CheckCell",
    "check_contexts",
    "check_split",
    "expected_of",
    "run_check_cell",
    "setting_of",
]

TARGETS = 4096  # scored, at most
READOUT = 1 << 24  # numbers that scoring all of them at one k may give: bounds a large vocabulary
SPREAD = 32  # inputs of a stream for each target that is scored
GROUPS = 16  # of neighbouring targets
LONGEST = 40  # context scored, besides full: past the cliff of copy-memory/T=5-25


@dataclass(frozen=True)
class CheckCell:
    """What is trained and measured.

    Attributes:
        model: the baseline and its options.
        task: the task.
        recipe: how it is trained.
        seeds: one training each.
        drop_in: Python code that stands in for the baseline or its layer; None for the baseline.
        jitter: how much each weight is changed before training, of its size.
        threads: for arithmetic. They change sums in the last digit, and one is as fast for models
            as small as these.
    """

    model: ModelSpec
    task: Task
    recipe: Recipe
    seeds: tuple[int, ...]
    drop_in: str | None = None
    jitter: float = 0.0
    threads: int = 1

    @property
    def label(self) -> str:
        """What is checked, as the user names it."""
        return self.drop_in or str(self.model)


def check_contexts(task: Task) -> tuple[Context, ...]:
    """Give the context lengths at which a task is checked."""
    return (*(k for k in task.contexts if k <= LONGEST), "full")


def check_split(task: Task) -> Split:
    """Give the targets of the test split on which a task is checked: the first ones.

    Of a stream, whose neighbouring targets tell much the same, one in SPREAD.
    """
    split = task.split("test")
    most = max(min(TARGETS, READOUT // task.outputs), GROUPS)
    if len(split.starts) > 2:
        return split.prefix(most)
    beginning = split.prefix(most * SPREAD)
    return beginning.subset(torch.arange(SPREAD - 1, len(beginning), SPREAD))


def setting_of(task: Task, recipe: Recipe) -> Setting:
    """Tell what a cell's curves must share with what they are compared with."""
    targets = len(check_split(task))
    return Setting(
        task=task.id,
        version=task.version,
        data_hash=task.data_hash,
        training_hash=_training_hash(task),
        contexts=check_contexts(task),
        group_counts=tuple(np.bincount(_groups(targets)).tolist()),
        recipe=asdict(recipe),
    )


def run_check_cell(cell: CheckCell) -> Curves:
    """Train and measure every seed of a cell.

    Args:
        cell: what is asked for.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, or the model cannot be measured.
    """
    with _threads(cell.threads):
        runs, same_starts = zip(*(_run(cell, seed) for seed in cell.seeds), strict=True)
    return Curves(
        cell.label,
        setting_of(cell.task, cell.recipe),
        cell.task.loss.unit,
        cell.task.chance(),
        runs,
        all(same_starts),
    )


def expected_of(cell: CheckCell) -> Expectation:
    """Train and measure a cell twice, to rounding, and make it what is expected.

    Args:
        cell: with at least two seeds.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, or the model cannot be measured.
    """
    curves = run_check_cell(cell)
    moved = np.zeros_like(curves.losses())
    if curves.runs[0].training is not None:  # what is not trained by steps starts from nothing
        moved = run_check_cell(replace(cell, jitter=JITTER)).losses() - curves.losses()
    return Expectation(
        curves,
        tuple(tuple(map(_digits, each)) for each in moved),
        datetime.now(UTC).isoformat(timespec="seconds"),
        suite_facts(),
        environment_facts("cpu"),
    )


def _run(cell: CheckCell, seed: int) -> tuple[Run, bool]:
    task, recipe = cell.task, cell.recipe
    with seeded(seed):
        if cell.drop_in is None:
            model, _ = build_model(cell.model, task, recipe.k_train, recipe.options)
            same_start = True
        else:
            model, same_start = build_drop_in(cell.drop_in, cell.model, task, recipe)
        _shake(model, cell.jitter)
    before = unit_seconds()
    step = _train(model, task, recipe, seed)
    split, contexts = check_split(task), check_contexts(task)
    began = time.process_time()
    curve = measure(model, task, split, contexts)
    spent = time.process_time() - began
    unit = min(before, unit_seconds())
    if curve.failures:
        raise CellError("; ".join(f"k={k}: {why}" for k, why in curve.failures.items()))
    groups = _groups(len(split))
    sums = [np.bincount(groups, curve.at(k).losses) for k in contexts]
    run = Run(
        seed=seed,
        group_sums=tuple(tuple(float(f"{total:.9g}") for total in each) for each in sums),
        model_steps=curve.steps,
        training=None if step is None else _digits(step / unit),
        measuring=_digits(1e6 * spent / max(curve.steps, 1) / unit),
    )
    return run, same_start


@torch.no_grad()
def _shake(model: SequenceModel, jitter: float) -> None:
    """Change each weight by a share of its size."""
    if jitter:
        for parameter in model.parameters():
            parameter.mul_(1 + jitter * torch.randn_like(parameter))


def _train(model: SequenceModel, task: Task, recipe: Recipe, seed: int) -> float | None:
    """Train a model; give the median processor time of a step, None without steps."""
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


def _groups(targets: int) -> np.ndarray:
    """Give each target's group: (n,) ascending from 0."""
    return np.arange(targets) * min(GROUPS, targets) // targets


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


@cache
def _training_hash(task: Task) -> str:
    return task.training_hash(0)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with so many threads."""
    usual = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
