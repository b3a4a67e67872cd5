"""One cell on its way to another process: what goes there, what is done there, what comes back.

What goes there is what the user wrote (names, ids, numbers) and never data: each process loads the
tasks that its cells need. What comes back is a record.
"""

import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from seqmem.baselines.spec import ModelSpec
from seqmem.baselines.training.process import set_up_process
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import CellError
from seqmem.leaderboard.record import Record
from seqmem.measuring.scoring import is_out_of_memory
from seqmem.runs.cell import Cell, Settings, TrainingState, kept
from seqmem.runs.cell_run import run_cell
from seqmem.tasks import load_task
from seqmem.tasks.task import Context, Task

__all__ = ["Job", "Outcome", "attempt", "jobs_of", "loaded", "settle", "work"]

# What tells a process where data are.
ENVIRONMENT = ("SEQMEM_DATA", "SEQMEM_CACHE")
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        number: its place among all cells, from 1 on.
        record: what was measured; None where nothing was.
        failures: one line for each thing that could not be measured.
        lines: what was said on the way and not yet passed on.
        seconds: time it took.
        out_of_memory: whether nothing was measured for want of memory, which another machine may
            have.
    """

    number: int
    record: Record | None
    failures: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    out_of_memory: bool = False


@dataclass(frozen=True)
class Job:
    """A cell as it goes to another process.

    Attributes:
        number: its place among all cells, from 1 on.
        name: the cell, for messages.
        model: the baseline and its options.
        task_id: the task, to be loaded there.
        k_train: as in a cell.
        seed: as in a cell.
        budget: as in a cell.
        state: as in a cell.
        recipe: how it is trained.
        settings: how it is measured and where results go.
        threads: threads that torch may use.
        folder: what relative paths, as in text:FILE, start from.
        environment: where data are.
    """

    number: int
    name: str
    model: ModelSpec
    task_id: str
    k_train: Context | None
    seed: int
    budget: str
    state: TrainingState
    recipe: Recipe
    settings: Settings
    threads: int
    folder: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str | None] = field(
        default_factory=lambda: {name: os.environ.get(name) for name in ENVIRONMENT}
    )

    def cell(self, task: Task) -> Cell:
        """Give the cell again, of its task."""
        return Cell(self.model, task, self.k_train, self.seed, self.budget, self.state, self.recipe)


def jobs_of(cells: Sequence[Cell], settings: Settings, threads: int) -> list[Job]:
    """Make cells ready to be sent, each with so many threads."""
    settings = replace(settings, results=settings.results.resolve())
    return [
        Job(
            number=number,
            name=str(cell),
            model=cell.model,
            task_id=cell.task.id,
            k_train=cell.k_train,
            seed=cell.seed,
            budget=cell.budget,
            state=cell.state,
            recipe=cell.recipe,
            settings=settings,
            threads=threads,
        )
        for number, cell in enumerate(cells, 1)
    ]


def settle(job: Job) -> None:
    """Make a process one for cells like this: threads, memory, folder, places of data.

    Folders that are not there, as on another machine, are left alone.
    """
    torch.set_num_threads(job.threads)
    set_up_process()
    threadpool_limits(job.threads, user_api="blas")  # numpy's sums, which round as they are split
    if Path(job.folder).is_dir():
        os.chdir(job.folder)
    for name, value in job.environment.items():
        if value is None:
            os.environ.pop(name, None)
        elif Path(value).is_dir() or Path(value).parent.is_dir():
            os.environ[name] = value


def work(job: Job, task: Task, hear: Callable[[str], object]) -> Outcome:
    """Run one cell in a process that was settled for it.

    Args:
        job: the cell.
        task: its task, as loaded there.
        hear: called with each line at once; the outcome has them all.
    """
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        hear(line)

    # Bars of several processes would write over each other; warnings go the way of lines.
    with redirect_stderr(io.StringIO()) as written:
        outcome = attempt(job.number, job.cell(task), job.settings, say)
    lines += [line for line in written.getvalue().splitlines() if line.strip()]
    return replace(outcome, lines=tuple(lines))


def loaded(job: Job) -> Task:
    """Load a job's task, once in a process for one place of data."""
    places = tuple(os.environ.get(name) for name in ENVIRONMENT)
    return _loaded(job.task_id, os.getcwd(), places)


@cache
def _loaded(task_id: str, folder: str, places: tuple[str | None, ...]) -> Task:
    return load_task(task_id)


def attempt(number: int, cell: Cell, settings: Settings, say: Callable[[str], object]) -> Outcome:
    """Run one cell; what may go wrong with a cell alone is an outcome as well.

    Raises:
        OSError: results cannot be written.
    """
    began = time.monotonic()
    try:
        with kept(cell, settings):
            record = run_cell(cell, settings, say)
    except (CellError, MemoryError, RuntimeError) as error:
        lacks_memory = is_out_of_memory(error)
        if not isinstance(error, CellError) and not lacks_memory:
            raise
        reason = str(error) if isinstance(error, CellError) else OUT_OF_MEMORY
        seconds = time.monotonic() - began
        return Outcome(number, None, (f"{cell}: {reason}",), (), seconds, lacks_memory)
    failed = record.measurement.get("failed", {})
    failures = tuple(f"{cell}: k={k}: {reason}" for k, reason in failed.items())
    return Outcome(number, record, failures, seconds=time.monotonic() - began)
