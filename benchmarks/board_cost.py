"""What one cell of the full board costs in training, from the time of a few of its steps.

CPU time of one thread, which other programs beside it change little; validations, the measurement
and patience, which ends many trainings early, are left out.
"""

import argparse
import time
from dataclasses import replace

import torch
from common import machine, say

from seqmem.baselines.recipes import recipe_for
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training import seeded, train
from seqmem.tasks import SUITES, data_problem, load_task


def seconds_a_step(name: str, task_id: str, steps: int) -> tuple[float, int]:
    """Give CPU seconds of one step, and how many the full budget takes."""
    task = load_task(task_id)
    full = recipe_for(task.family, "full")
    took = {}
    for few in (1, 1, 1 + steps):  # the first warms up; what is done once is in both others
        recipe = replace(full, steps=few, validate_every=few, validation_targets=64)
        with seeded(0):
            model, _ = build_model(parse_model(name), task, full.k_train, full.options)
        began = time.process_time()
        train(model, task, recipe, k_train=full.k_train, seed=0)
        took[few] = time.process_time() - began
    return (took[1 + steps] - took[1]) / steps, full.steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["lstm", "tcn", "transformer"])
    parser.add_argument("--task", action="append", help="repeatable; else the full suite")
    parser.add_argument("--steps", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    say(machine())
    for name in given.models:
        total = 0.0
        for task_id in given.task or SUITES["full"].tasks:
            if data_problem(task_id):
                say(f"{task_id}: no data here")
                continue
            step, steps = seconds_a_step(name, task_id, given.steps)
            total += step * steps / 3600
            say(f"{name} on {task_id}: {step:.3f} s × {steps:,} = {step * steps / 3600:.1f} h")
        say(f"{name}: {total:.0f} h of one core for one seed")


if __name__ == "__main__":
    main()
