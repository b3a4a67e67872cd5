"""Exact losses of trained models at every context length, computed once and stored.

For each task a small model of each kind is trained with the smoke recipe, and every target's loss
is computed at every context length of the task. Both are stored in RESULTS.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from common import RESULTS, say, timed

from seqmem.baselines.spec import parse_model
from seqmem.measuring.arrays import Floats
from seqmem.measuring.curve import measure
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import trained_model
from seqmem.tasks import load_task
from seqmem.tasks.task import Split, Task

__all__ = ["ExactLosses", "exact_losses"]


@dataclass(frozen=True)
class ExactLosses:
    """The losses of one model on one task.

    Attributes:
        task: the task.
        split: the targets.
        stateful: whether the model carries a state.
        full: (N,) losses at full context.
        by_context: k -> (N,) losses, for the k at which they differ from those at full context.
    """

    task: Task
    split: Split
    stateful: bool
    full: Floats
    by_context: Mapping[int, Floats]

    def whole(self) -> "ExactLosses":
        """Return the same losses again and again, through the whole test split."""
        split = self.task.split("test")
        losses = {k: np.resize(values, len(split)) for k, values in self.by_context.items()}
        full = np.resize(self.full, len(split))
        return replace(self, split=split, full=full, by_context=losses)


def exact_losses(name: str, task_id: str, targets: int, budget: str = "smoke") -> ExactLosses:
    """Return the losses of a baseline on the first targets of a task's test split."""
    task = load_task(task_id)
    split = task.split("test").prefix(targets)
    cell = plan_cell(parse_model(name), task, RESULTS, budget=budget)
    folder = RESULTS / "exact-losses"
    path = folder / f"{task_id.replace('/', '-')}-{cell.training_stem}-{len(split)}.npz"
    if not path.exists():
        model, _ = trained_model(cell, task, say)
        contexts = [k for k in task.contexts if k <= 256]
        seconds, curve = timed(lambda: measure(model.eval(), task, split, [*contexts, "full"]))
        assert curve.full is not None
        found = {k: curve.at(k) for k in curve.finite}
        losses = {str(k): at.losses for k, at in found.items() if at.method == "all"}
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, full=curve.full.losses, stateful=model.stateful, **losses)
        say(f"{name} on {task_id}: {len(split):,} targets, {len(losses)} contexts, {seconds:.0f} s")
    with np.load(path) as stored:
        by_context = {int(key): stored[key] for key in stored.files if key.isdigit()}
        return ExactLosses(task, split, bool(stored["stateful"]), stored["full"], by_context)
