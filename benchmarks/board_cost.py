"""The cost of training the cells of the full board, extrapolated from a few steps.

It is measured as CPU time of one thread, on which other programs have little effect. It excludes
validations and measuring, and ignores patience, which ends many trainings early.
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
FEWEST = 3  # steps, after a warm-up step


class EnoughError(Exception):
    """Ends a training after enough timed steps."""


def seconds_a_step(name: str, task: Task) -> tuple[float, int, int]:
    """Return the mean CPU seconds of a step, the number of timed steps, and the full budget's."""
    full = recipe_for(task.family, "full")
    recipe = replace(full, validate_every=full.steps)
    with seeded(0):
        model, _ = build_model(parse_model(name), task, full.k_train, full.options)
    times: list[float] = []

    def record(step: int, _: float) -> None:
        times.append(time.process_time())
        if step > FEWEST and times[-1] - times[0] > ENOUGH:
            raise EnoughError

    with suppress(EnoughError):
        train(model, task, recipe, k_train=full.k_train, seed=0, progress=record)
    return (times[-1] - times[0]) / (len(times) - 1), len(times) - 1, full.steps


def hours(models: Sequence[str], task_ids: Sequence[str]) -> pd.DataFrame:
    """Return hours of one core by task and model; NaN for cells that cannot be trained."""
    found: dict[str, dict[str, float]] = {}
    for task_id in task_ids:
        if data_problem(task_id):
            say(f"{task_id}: no data found")
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
    parser.add_argument("--task", action="append", help="repeatable; default: the full suite")
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
