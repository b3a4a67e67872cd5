"""What several workers are worth, and what handing out a cell costs.

Two workers against one, on cells of a few seconds, in processes of this machine and on a Ray that
is started here; then 1,000 cells that do nothing. Workers are started before the clock is: that
takes seconds, once. Run it on a machine that does nothing else.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from common import machine, say, timed

from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.recipes import recipe_for
from seqmem.measuring.measurement import Measuring
from seqmem.runs.carry import Files
from seqmem.runs.cell import Cell, Settings
from seqmem.runs.executor import Executor, Workers, executor_of
from seqmem.runs.job import Job, Outcome
from seqmem.runs.local import Processes
from seqmem.runs.ray_cluster import OnRay
from seqmem.runs.run import run_cells
from seqmem.tasks import load_task


def cells_of(model: str, number: int, steps: int) -> list[Cell]:
    task = load_task("adding-problem/T=50")
    recipe = replace(recipe_for(task.family, "smoke"), steps=steps, validate_every=steps)
    return [
        Cell(parse_model(model), task, None, seed, "smoke", given_recipe=recipe)
        for seed in range(number)
    ]


def seconds(executor: Executor, cells: Sequence[Cell]) -> float:
    """Time cells that are not on disk yet."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), Measuring(contexts=(1,)))
        took, outcomes = timed(lambda: run_cells(cells, settings, executor, lambda line: None))
    assert len(outcomes) == len(cells)
    return took


def nothing_here(job: Job, notes: Path) -> Outcome:
    return Outcome(job.number, None)


def nothing_there(job: Job, *others: Any) -> tuple[Outcome, Files]:
    return Outcome(job.number, None), {}


def scaling(ray: str | None, cells: int, steps: int, rounds: int) -> None:
    """Time two workers and one in turn, so that both meet the same machine."""
    work = cells_of("lstm", cells, steps)
    name = "--jobs" if ray is None else "--ray --jobs"
    times: dict[int, list[float]] = {1: [], 2: []}
    with executor_of(Workers(jobs=2, threads=1, ray=ray), say) as two:
        seconds(two, cells_of("lstm", 4, 2))
        one: Executor = OnRay(Workers(jobs=1, threads=1, ray=ray), say) if ray else _one()
        for _ in range(rounds):
            for number, executor in ((1, one), (2, two)):
                times[number].append(seconds(executor, work))
    ratio = median(times[1]) / median(times[2])
    for number in times:
        say(f"{name} {number}: {cells} cells in " + ", ".join(f"{t:.1f}" for t in times[number]))
    say(f"{name} 2 is {ratio:.2f} times as fast as {name} 1")


def _one() -> Executor:
    with executor_of(Workers(jobs=1, threads=1), say) as executor:
        return executor


def overhead(cells: int) -> None:
    """Time cells that do nothing."""
    work = cells_of("marginal", cells, 2)
    processes = Processes(2, 1, 0, nothing_here)
    seconds(processes, work[:4])
    say(f"--jobs 2: {1000 * seconds(processes, work) / cells:.1f} ms a cell that does nothing")
    with executor_of(Workers(ray="local"), say):
        on_ray = OnRay(Workers(ray="local", retries=0), say, nothing_there)
        seconds(on_ray, work[:4])
        took = seconds(on_ray, work)
    say(f"--ray: {1000 * took / cells:.1f} ms a cell that does nothing")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=8)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trivial", type=int, default=1000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    say(f"{machine()}; load {os.getloadavg()[0]:.1f}")
    for ray in (None, "local"):
        scaling(ray, given.cells, given.steps, given.rounds)
    overhead(given.trivial)
    say(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
