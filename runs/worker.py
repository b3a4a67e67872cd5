"""A process that runs cells: how it is set up, which task it loads, and what becomes of a cell.

A process is sent planned cells, which are names, ids and numbers, and never data: it loads the
tasks that its cells need. It returns outcomes.
"""

import io
import os
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from seqmem.baselines.own.errors import described
from seqmem.baselines.training.process import set_up_process
from seqmem.errors import CellError, InputError, RefusedError
from seqmem.leaderboard.record import Record
from seqmem.lifetime import writing_in
from seqmem.measuring.progress_bar import bars_reported
from seqmem.measuring.scoring import is_out_of_memory
from seqmem.runs.cell import Cell
from seqmem.runs.run_cell import run_cell
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

__all__ = ["OUT_OF_MEMORY", "Outcome", "ProcessSetup", "attempt", "loaded", "run_in_worker"]

# Where data are.
ENVIRONMENT = ("SEQMEM_DATA", "SEQMEM_CACHE")
OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        number: its position among all cells, from 1 on.
        record: what was measured; None where nothing was.
        failures: one line for each thing that could not be measured.
        lines: progress lines that were not yet printed.
        seconds: time it took.
        out_of_memory: whether nothing was measured for lack of memory, which another machine may
            have.
    """

    number: int
    record: Record | None
    failures: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    out_of_memory: bool = False


def attempt(number: int, cell: Cell, task: Task, log: Callable[[str], object]) -> Outcome:
    """Run one cell; a failure of the cell alone is an outcome as well.

    Raises:
        OSError: results cannot be written.
    """
    began = time.monotonic()
    try:
        with cell.synchronised(), writing_in(cell.record_folder), writing_in(cell.training_folder):
            record = run_cell(cell, task, log)
    except Exception as error:
        lacks_memory = is_out_of_memory(error)
        if isinstance(error, CellError):
            reason = str(error)
        elif lacks_memory:
            reason = OUT_OF_MEMORY
        elif cell.model.own is not None and not isinstance(error, InputError | OSError):
            reason = f"its code raised {described(error)}"
        else:
            raise
        if isinstance(error, RefusedError):
            log(error.report)
        seconds = time.monotonic() - began
        return Outcome(number, None, (f"{cell}: {reason}",), (), seconds, lacks_memory)
    failed = record.measurement.get("failed", {})
    failures = tuple(f"{cell}: k={k}: {reason}" for k, reason in failed.items())
    return Outcome(number, record, failures, seconds=time.monotonic() - began)


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


def run_in_worker(
    number: int,
    cell: Cell,
    task: Task,
    on_line: Callable[[str], object],
    on_bar: Callable[[str], object],
) -> Outcome:
    """Run one cell in a process that was set up for it.

    Args:
        number: its position among all cells, from 1 on.
        cell: the cell.
        task: its task, as loaded in this process.
        on_line: called with each line at once; the outcome has them all.
        on_bar: called with its progress bar as text, from time to time.
    """
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        on_line(line)

    # Progress bars of several processes would overwrite each other; warnings become lines.
    with redirect_stderr(io.StringIO()) as written, bars_reported(on_bar):
        outcome = attempt(number, cell, task, log)
    lines += [line for line in written.getvalue().splitlines() if line.strip()]
    return replace(outcome, lines=tuple(lines))


def loaded(task_id: str) -> Task:
    """Load a task, once in a process for one location of data."""
    places = tuple(os.environ.get(name) for name in ENVIRONMENT)
    return _loaded(task_id, os.getcwd(), places)


@lru_cache(maxsize=2)  # cells of one task follow each other; corpora are large
def _loaded(task_id: str, folder: str, places: tuple[str | None, ...]) -> Task:
    return load_task(task_id)
