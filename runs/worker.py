"""A process that runs cells: how it is set up, which task it loads, and what it returns.

A process is sent planned cells, which are names, ids and numbers, and never data: it loads the
tasks that its cells need. It returns records.
"""

import io
import os
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from seqmem.baselines.training.process import set_up_process
from seqmem.runs.cell import Cell
from seqmem.runs.outcome import Outcome, attempt
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

__all__ = ["ProcessSetup", "loaded", "run_in_worker"]

# Where data are.
ENVIRONMENT = ("SEQMEM_DATA", "SEQMEM_CACHE")


@dataclass(frozen=True)
class ProcessSetup:
    """What a process must share with the one that planned its cells.

    Attributes:
        threads: threads that torch may use.
        folder: what relative paths, as in text:FILE, start from.
        environment: where data are.
    """

    threads: int
    folder: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str | None] = field(
        default_factory=lambda: {name: os.environ.get(name) for name in ENVIRONMENT}
    )

    def apply(self) -> None:
        """Set this process up so; folders that do not exist, as on another machine, are ignored."""
        torch.set_num_threads(self.threads)
        set_up_process()
        # numpy's sums round as they are split.
        threadpool_limits(self.threads, user_api="blas")
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        for name, value in self.environment.items():
            if value is None:
                os.environ.pop(name, None)
            elif Path(value).is_dir() or Path(value).parent.is_dir():
                os.environ[name] = value


def run_in_worker(number: int, cell: Cell, task: Task, on_line: Callable[[str], object]) -> Outcome:
    """Run one cell in a process that was set up for it.

    Args:
        number: its position among all cells, from 1 on.
        cell: the cell.
        task: its task, as loaded in this process.
        on_line: called with each line at once; the outcome has them all.
    """
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        on_line(line)

    # Progress bars of several processes would overwrite each other; warnings become lines.
    with redirect_stderr(io.StringIO()) as written:
        outcome = attempt(number, cell, task, say)
    lines += [line for line in written.getvalue().splitlines() if line.strip()]
    return replace(outcome, lines=tuple(lines))


def loaded(task_id: str) -> Task:
    """Load a task, once in a process for one location of data."""
    places = tuple(os.environ.get(name) for name in ENVIRONMENT)
    return _loaded(task_id, os.getcwd(), places)


@cache
def _loaded(task_id: str, folder: str, places: tuple[str | None, ...]) -> Task:
    return load_task(task_id)
