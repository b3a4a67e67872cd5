"""The speed-up of training one model with several processes on CPUs (`--devices`).

Seconds per step of one training, alternately with one device and with several, so that both run
under the same conditions: the median over steps after the warm-up. Each process has one thread. Run
it on an idle machine.
"""

import argparse
import os
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from statistics import median

import torch
from common import machine, say

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.data_parallel import train_data_parallel
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import recipe_for
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

WARM = 5  # steps that are not counted


def seconds_a_step(model: str, task: Task, budget: str, devices: int, steps: int) -> float:
    """Return the median seconds of a step after the warm-up, without validation."""
    usual = recipe_for(task.family, budget)
    recipe = replace(usual, steps=WARM + steps, validate_every=WARM + steps, validation_targets=64)
    make = partial(build_model, parse_model(model), task, recipe.k_train, recipe.options)
    with seeded(0):
        built, _ = make()
    ends: list[float] = []
    torch.set_num_threads(devices)  # which the processes share
    run = train if devices == 1 else partial(train_data_parallel, devices, make)
    run(
        built,
        task,
        recipe,
        k_train=recipe.k_train,
        seed=0,
        device="cpu",
        progress=lambda step, validation: ends.append(time.perf_counter()),
    )
    return median(after - before for before, after in pairwise(ends[WARM:-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="lstm")
    parser.add_argument("--task", default="wikitext-2")
    parser.add_argument("--budget", default="full")
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    say(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    task = load_task(given.task)
    ratios = []
    for _ in range(given.rounds):
        one, several = (
            seconds_a_step(given.model, task, given.budget, devices, given.steps)
            for devices in (1, given.devices)
        )
        ratios.append(one / several)
        say(f"{given.model} on {given.task}: one {one:.3f} s/step, several {several:.3f} s/step")
    say(f"--devices {given.devices} is {median(ratios):.2f} times as fast as one")


if __name__ == "__main__":
    main()
