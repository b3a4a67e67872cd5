"""What happens where Ray has put a cell."""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seqmem.provenance import source_sha256
from seqmem.runs.carry import Files, is_seen, packed, scratch, unpacked
from seqmem.runs.job import Job, Outcome, settle, work
from seqmem.runs.ship import Parcel, received
from seqmem.tasks.task import Task

__all__ = ["Desk", "on_worker"]


class Desk:
    """Keeps what workers say, where it is not lost with them."""

    def __init__(self) -> None:
        """Begin with no cell."""
        self._running: dict[int, str] = {}
        self._lines: dict[int, list[str]] = {}

    def began(self, number: int, worker: str) -> None:
        """Take down which worker runs a cell."""
        self._running[number], self._lines[number] = worker, []

    def said(self, number: int, line: str) -> None:
        """Take down a line of a cell."""
        self._lines[number].append(line)

    def ended(self, number: int) -> None:
        """Forget a cell."""
        self._running.pop(number, None)
        self._lines.pop(number, None)

    def running(self) -> dict[int, str]:
        """Name the worker of each cell."""
        return self._running

    def lines(self, number: int) -> list[str]:
        """Give what a cell has said, where it has not ended."""
        return self._lines.get(number, [])


def on_worker(
    job: Job, parcel: Parcel | None, mark: Path, sent: Sequence[Any], same: str, desk: Any
) -> tuple[Outcome, Files]:
    """Run a job on whatever node Ray has chosen.

    Args:
        job: the cell.
        parcel: its task's data; None for a task that makes its own.
        mark: a file in the results folder.
        sent: a reference to what is on disk of the cell's training, or nothing.
        same: the hash of the code that must be here.
        desk: is told how far it is.

    Returns:
        what became of it, and the files to be written to the results folder.
    """
    import ray

    where = f"{socket.gethostname()}, process {os.getpid()}"
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaks
    settle(job)
    if source_sha256("seqmem.runs.cell_run") != same:
        failure = f"{job.name}: seqmem on {where} is not the code that this run was started with"
        return Outcome(job.number, None, (failure,)), {}
    desk.began.remote(job.number, where)

    def hear(line: str) -> None:
        desk.said.remote(job.number, line)

    try:
        task = received(job, parcel, ray.get)
        if is_seen(mark):
            return work(job, task, hear), {}
        return _in_scratch(job, task, mark, ray.get([*sent]), hear)
    finally:
        desk.ended.remote(job.number)


def _in_scratch(
    job: Job, task: Task, mark: Path, sent: Sequence[Files], hear: Callable[[str], object]
) -> tuple[Outcome, Files]:
    """Run a job where the results folder is not seen; give all that it left."""
    results, here = job.settings.results, scratch(mark, job.number)
    if not here.is_dir():  # else an earlier try on this machine has left a checkpoint
        for files in sent:
            unpacked(files, here)
    before = packed(here.rglob("*"), here)
    there = replace(job, settings=replace(job.settings, results=here))
    outcome = work(there, task, hear)
    after = packed(here.rglob("*"), here)
    new = {name: after[name] for name in after if after[name] != before.get(name)}
    files = new if job.settings.remote is None else {}  # behind a URL all of it is already
    shutil.rmtree(here, ignore_errors=True)

    def named(lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(line.replace(str(here), str(results)) for line in lines)

    failures, lines = named(outcome.failures), named(outcome.lines)
    return replace(outcome, failures=failures, lines=lines), files
