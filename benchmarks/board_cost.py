"""What the cells of the full board cost in training, from the time of a few of their steps.

CPU time of one thread, which other programs beside it change little. Validations, the measurement
and patience, which ends many trainings early, are left out.
"""

import argparse
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pandas as pd
import torch
from common import machine, say

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import build_model, model_class, parse_model
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import recipe_for
from seqmem.tasks import SUITES, data_problem, load_task
from seqmem.tasks.task import Task

ENOUGH = 3.0  # CPU seconds of steps
FEWEST = 3  # steps, behind one that warms up


class EnoughError(Exception):
    """Ends a training that has shown what its steps take."""


def seconds_a_step(name: str, task: Task) -> tuple[float, int, int]:
    """Give CPU seconds of one step, of how many that is the mean, and the full budget's steps."""
    full = recipe_for(task.family, "full")
    recipe = replace(full, validate_every=full.steps)
    with seeded(0):
        model, _ = build_model(parse_model(name), task, full.k_train, full.options)
    times: list[float] = []

    def look(step: int, _: float) -> None:
        times.append(time.process_time())
        if step > FEWEST and times[-1] - times[0] > ENOUGH:
            raise EnoughError

    with suppress(EnoughError):
        train(model, task, recipe, k_train=full.k_train, seed=0, progress=look)
    return (times[-1] - times[0]) / (len(times) - 1), len(times) - 1, full.steps


def hours(models: Sequence[str], task_ids: Sequence[str]) -> pd.DataFrame:
    """Give hours of one core: tasks down, models across; NaN for what cannot be trained so."""
    found: dict[str, dict[str, float]] = {}
    for task_id in task_ids:
        if data_problem(task_id):
            say(f"{task_id}: no data here")
            continue
        task = load_task(task_id)
        for name in models:
            try:
                step, of, steps = seconds_a_step(name, task)
            except ValueError as error:
                say(f"{name} on {task_id}: {error}")
                continue
            took = step * steps / 3600
            say(f"{name} on {task_id}: {step:.4f} s ({of} steps) × {steps:,} = {took:.1f} h")
            found.setdefault(task_id, {})[name] = took
    return pd.DataFrame.from_dict(found, orient="index")


def main() -> None:
    trained = [name for name in BASELINES if not hasattr(model_class(name), "fit")]  # ClosedForm
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=trained)
    parser.add_argument("--task", action="append", help="repeatable; else the full suite")
    given = parser.parse_args()
    torch.set_num_threads(1)
    say(machine())
    table = hours(given.models, given.task or SUITES["full"].tasks)
    table.loc["all"] = table.sum()
    print(table.round(1).to_markdown())
    cells = table.drop(index="all")
    total = cells.sum().sum()
    say(f"one seed: {total:.0f} h of one core; the longest cell {cells.max().max():.0f} h")


if __name__ == "__main__":
    main()
