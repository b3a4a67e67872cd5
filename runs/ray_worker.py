"""What happens where Ray runs a cell."""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from tqdm import tqdm

from seqmem.provenance import source_sha256
from seqmem.runs.cell import Cell
from seqmem.runs.transfer import Files, StoredTask, packed, scratch, unpacked
from seqmem.runs.worker import Outcome, ProcessSetup, loaded, run_in_worker
from seqmem.tasks.task import Task

__all__ = ["CellLog", "code_sha256", "on_worker"]


class CellLog:
    """Ray actor that holds the lines of running cells, where they are not lost with a worker."""

    def __init__(self) -> None:
        """Start with no cell."""
        self._cells: dict[int, tuple[str, list[str]]] = {}  # worker and lines by number
        self._bars: dict[int, str] = {}

    def start(self, number: int, worker: str) -> None:
        """Record which worker runs a cell."""
        self._cells[number] = worker, []

    def add(self, number: int, line: str) -> None:
        """Record a line of a cell."""
        self._cells[number][1].append(line)

    def show(self, number: int, bar: str) -> None:
        """Replace the progress bar of a cell."""
        self._bars[number] = bar

    def end(self, number: int) -> None:
        """Forget a cell."""
        self._cells.pop(number, None)
        self._bars.pop(number, None)

    def running(self) -> dict[int, tuple[str, str]]:
        """Return the name of the worker of each cell, and its progress bar."""
        return {
            number: (worker, self._bars.get(number, ""))
            for number, (worker, _) in self._cells.items()
        }

    def lines(self, number: int) -> list[str]:
        """Return the lines of a cell that has not ended."""
        return self._cells.get(number, ("", []))[1]


def code_sha256() -> str:
    """Return the hash of the code that runs a cell, which must be the same on every node."""
    return source_sha256("seqmem.runs.run_cell")


def on_worker(
    number: int,
    cell: Cell,
    setup: ProcessSetup,
    stored: StoredTask | None,
    mark: Path,
    files: Sequence[Any],
    code: str,
    log: Any,
) -> tuple[Outcome, Files]:
    """Run a cell on the node that Ray has chosen.

    Args:
        number: its position among all cells, from 1 on.
        cell: the cell.
        setup: how the process is set up.
        stored: its task in the object store; None for a task that generates its data.
        mark: a file in the results folder.
        files: a reference to what is on disk of the cell's training; in a sequence, so that Ray
            does not fetch it unasked.
        code: the hash of the code that must be here.
        log: the actor of a CellLog.

    Returns:
        the outcome, and the files to be written to the results folder.
    """
    where = f"{socket.gethostname()}, process {os.getpid()}"
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaks
    setup.apply()
    if code_sha256() != code:
        failure = f"{cell}: seqmem on {where} is not the code that this run was started with"
        return Outcome(number, None, (failure,)), {}
    log.start.remote(number, where)

    def on_line(line: str) -> None:
        log.add.remote(number, line)

    def on_bar(text: str) -> None:
        log.show.remote(number, text)

    try:
        task = loaded(cell.task_id) if stored is None else stored.load()
        if mark.is_file():  # this machine sees the results folder
            return run_in_worker(number, cell, task, on_line, on_bar), {}
        return _in_scratch(number, cell, task, mark, files, on_line, on_bar)
    finally:
        log.end.remote(number)


def _in_scratch(
    number: int,
    cell: Cell,
    task: Task,
    mark: Path,
    files: Sequence[Any],
    on_line: Callable[[str], object],
    on_bar: Callable[[str], object],
) -> tuple[Outcome, Files]:
    """Run a cell where the results folder is not seen; return all the files that it wrote."""
    here = scratch(mark, number)
    if not here.is_dir():  # else an earlier try on this machine has left a checkpoint
        unpacked(ray.get(files[0]), here)
    before = packed(here.rglob("*"), here)
    outcome = run_in_worker(number, replace(cell, results=here), task, on_line, on_bar)
    after = packed(here.rglob("*"), here)
    new = {name: after[name] for name in after if after[name] != before.get(name)}
    shutil.rmtree(here, ignore_errors=True)

    def named(lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(line.replace(str(here), str(cell.results)) for line in lines)

    outcome = replace(outcome, failures=named(outcome.failures), lines=named(outcome.lines))
    return outcome, new if cell.remote is None else {}  # at a URL all of it is already
