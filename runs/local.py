"""Executors of this machine: this process, or several processes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from seqmem.lifetime import temporary_folder
from seqmem.runs.cell import Cell
from seqmem.runs.plan import Plan
from seqmem.runs.processes import in_processes, threads_each, torch_threads
from seqmem.runs.worker import Outcome, ProcessSetup, attempt, loaded, run_in_worker

__all__ = ["LocalProcesses", "ThisProcess", "sent"]

LOST = (
    "its process was killed, as happens when memory runs out: fewer --jobs use less; the same "
    "command resumes from here"
)

BARS = "bars"  # the folder of their texts, a file for each process


class ThisProcess:
    """Runs cells in this process, one after the other."""

    def __init__(self, threads: int | None = None) -> None:
        """Take the threads that each may use; None: as torch is set."""
        self._threads = threads

    def has_gpu(self) -> bool:
        """Return whether there is a GPU for cells."""
        return torch.cuda.is_available()

    def running(self) -> Mapping[str, str]:
        """Return nothing: a cell's own bars show more."""
        return {}

    def run(self, planned: Plan, log: Callable[[int, str], object]) -> Iterator[Outcome]:
        """Run cells and yield the outcome of each; `log` gets each cell's lines at once."""
        with torch_threads(self._threads):
            for number, cell in enumerate(planned.cells, 1):
                task = planned.tasks[cell.task_id]
                yield attempt(number, cell, task, partial(log, number))


class LocalProcesses(ThisProcess):
    """Runs cells in several processes of this machine; a cell whose process dies is retried."""

    def __init__(self, processes: int, threads: int | None, retries: int) -> None:
        """Take how many processes, the threads of each, and how often a cell is retried."""
        super().__init__(threads)
        self._processes, self._retries = processes, retries
        self._setup = ProcessSetup(1)
        self._notes = Path(os.devnull)  # a folder while cells run
        self._names: dict[int, str] = {}

    def running(self) -> Mapping[str, str]:
        """Return the cell that each process runs, with its progress bar."""
        found = {}
        for path in self._notes.glob("*.*"):
            number, _, pid = path.name.partition(".")
            text = ""
            with suppress(OSError):  # there is none yet
                text = (self._notes / BARS / pid).read_text(encoding="utf-8")
            found[f"process {pid}"] = f"{text}{', ' * bool(text)}{self._names[int(number)]}"
        return found

    def run(self, planned: Plan, log: Callable[[int, str], object]) -> Iterator[Outcome]:
        """Run cells and yield the outcome of each, as they end."""
        processes = min(self._processes, len(planned.cells))
        if processes == 1:
            yield from super().run(planned, log)
            return
        self._setup = ProcessSetup(self._threads or threads_each(processes))
        cells = {number: sent(cell) for number, cell in enumerate(planned.cells, 1)}
        self._names = {number: cell.name for number, cell in cells.items()}
        with temporary_folder() as self._notes:
            (self._notes / BARS).mkdir()
            yield from self._all(cells, processes, log)

    def _all(
        self, cells: dict[int, Cell], processes: int, log: Callable[[int, str], object]
    ) -> Iterator[Outcome]:
        """Run cells until each has an outcome.

        When a process dies, joblib ends all of them and cannot tell which it was: the cells that
        were running are then run one by one, so that only the one that failed uses up its retries.
        """
        in_vain = 0
        while cells and in_vain <= self._retries:
            yield from self._until_killed(cells, [*cells], processes)
            left = self._interrupted()
            in_vain = 0 if left else in_vain + 1  # then a process died before its first cell
            for number, lines in left.items():
                for tried in range(1, self._retries + 1):
                    log(number, f"a process was killed: try {tried + 1} of {self._retries + 1}")
                    yield from self._until_killed(cells, [number], processes)
                    lines = self._interrupted().get(number, ())
                    if number not in cells:
                        break
                else:
                    yield Outcome(number, None, (f"{cells.pop(number)}: {LOST}",), lines)
        for number, cell in cells.items():
            yield Outcome(number, None, (f"{cell}: {LOST}",))

    def _until_killed(
        self, cells: dict[int, Cell], chosen: Sequence[int], processes: int
    ) -> Iterator[Outcome]:
        """Run chosen cells and remove those that end, until all have or a process is killed."""
        work = partial(_in_process, setup=self._setup, notes=self._notes)
        with suppress(BrokenProcessPool):
            items = [(number, cells[number]) for number in chosen]
            for outcome in in_processes(work, items, processes):
                del cells[outcome.number]
                yield outcome

    def _interrupted(self) -> dict[int, tuple[str, ...]]:
        """Return the cells that were running when their processes ended, with their lines."""
        found = {}
        for path in sorted(self._notes.glob("*.*")):
            found[int(path.name.partition(".")[0])] = tuple(path.read_text().splitlines())
            path.unlink()
        return found


def sent(cell: Cell) -> Cell:
    """Return a cell as other processes are sent it: its folder does not depend on theirs."""
    return replace(cell, results=cell.results.resolve())


def _in_process(item: tuple[int, Cell], setup: ProcessSetup, notes: Path) -> Outcome:
    """Run a cell in a process made for cells; until it ends, a file says so and has its lines."""
    number, cell = item
    setup.apply()
    note, bar = notes / f"{number}.{os.getpid()}", notes / BARS / str(os.getpid())
    bar.unlink(missing_ok=True)  # of the cell before
    with note.open("w") as file:
        outcome = run_in_worker(
            number,
            cell,
            loaded(cell.task_id),
            lambda line: print(line, file=file, flush=True),
            partial(bar.write_text, encoding="utf-8"),
        )
    note.unlink()
    return outcome
