"""The speed-up of several workers, and the overhead of a cell.

Two workers against one, on cells of a few seconds, in processes of this machine and on a local Ray
cluster; then 1,000 empty cells. Starting the workers, which takes seconds once, is not timed. Run
it on an idle machine.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from common import machine, say, timed

from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.recipes import recipe_for
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs.cell import Cell, plan_cell
from seqmem.runs.evaluate import Executor, executor_of, run_cells
from seqmem.runs.local import LocalProcesses
from seqmem.runs.plan import Plan, Workers
from seqmem.runs.ray_cluster import RayCluster
from seqmem.runs.transfer import Files
from seqmem.runs.worker import Outcome, ProcessSetup
from seqmem.tasks import load_task


def cells_of(model: str, number: int, steps: int) -> Plan:
    task = load_task("adding-problem/T=50")
    recipe = replace(recipe_for(task.family, "smoke"), steps=steps, validate_every=steps)
    measuring = MeasurementSettings(contexts=(1,))
    cells = [
        plan_cell(
            parse_model(model), task, Path("results"), seed=seed, recipe=recipe, measuring=measuring
        )
        for seed in range(number)
    ]
    return Plan(tuple(cells), {task.id: task})


def seconds(executor: Executor, planned: Plan) -> float:
    """Return the seconds that unmeasured cells take."""
    with tempfile.TemporaryDirectory() as folder:
        cells = tuple(replace(cell, results=Path(folder)) for cell in planned.cells)
        there = Plan(cells, planned.tasks)
        took, outcomes = timed(lambda: run_cells(there, executor, lambda line: None))
    assert len(outcomes) == len(cells)
    return took


def nothing_here(item: tuple[int, Cell], setup: ProcessSetup, notes: Path) -> Outcome:
    return Outcome(item[0], None)


def nothing_there(number: int, *others: Any) -> tuple[Outcome, Files]:
    return Outcome(number, None), {}


def scaling(ray: str | None, cells: int, steps: int, rounds: int) -> None:
    """Time two workers and one alternately, so that both run under the same conditions."""
    work = cells_of("lstm", cells, steps)
    name = "--jobs" if ray is None else "--ray --jobs"
    times: dict[int, list[float]] = {1: [], 2: []}
    with executor_of(Workers(jobs=2, threads=1, ray=ray), say) as two:
        seconds(two, cells_of("lstm", 4, 2))
        one: Executor = RayCluster(Workers(jobs=1, threads=1, ray=ray), say) if ray else _one()
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
    """Time empty cells."""
    work = cells_of("marginal", cells, 2)
    processes = LocalProcesses(2, 1, retries=0)
    with patch("seqmem.runs.local._in_process", nothing_here):
        seconds(processes, cells_of("marginal", 4, 2))
        took = seconds(processes, work)
    say(f"--jobs 2: {1000 * took / cells:.1f} ms per empty cell")
    with executor_of(Workers(ray="local"), say):
        on_ray = RayCluster(Workers(ray="local", retries=0), say, nothing_there)
        seconds(on_ray, cells_of("marginal", 4, 2))
        took = seconds(on_ray, work)
    say(f"--ray: {1000 * took / cells:.1f} ms per empty cell")


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
