"""Cells in this process, or shared out to several of this machine by joblib."""

import multiprocessing
import os
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from seqmem.runs.cell import Cell, Settings
from seqmem.runs.job import Job, Outcome, attempt, jobs_of, loaded, settle, work

__all__ = ["Here", "Processes", "cores", "in_processes", "threads_each"]

T = TypeVar("T")
R = TypeVar("R")

# Where the other processes are: a backend of joblib that can give results as they come.
BACKEND = "loky"
LOST = (
    "its process was killed, as happens when memory runs out: fewer --jobs use less; the same "
    "command goes on from here"
)


def cores() -> int:
    """Count the cores that this process may use."""
    import joblib

    return int(joblib.cpu_count())


def threads_each(processes: int) -> int:
    """Give the threads for torch in each of several processes: together no more than cores.

    Never more than torch would use in this one, so that OMP_NUM_THREADS bounds each.
    """
    return max(1, min(torch.get_num_threads(), cores() // processes))


class Here:
    """Runs cells in this process, one after the other."""

    def __init__(self, threads: int | None = None) -> None:
        """Take the threads that each may use; None: as torch is set."""
        self._threads = threads

    def has_gpu(self) -> bool:
        """Tell whether there is a GPU for cells."""
        return torch.cuda.is_available()

    def running(self) -> Mapping[str, str]:
        """Name nothing: a cell's own bars say more."""
        return {}

    def run(
        self, cells: Sequence[Cell], settings: Settings, say: Callable[[int, str], object]
    ) -> Iterator[Outcome]:
        """Run cells and give what becomes of each; `say` gets each cell's lines at once."""
        with _threads(self._threads):
            for number, cell in enumerate(cells, 1):
                yield attempt(number, cell, settings, partial(say, number))


class Processes:
    """Runs cells in several processes of this machine; one that dies costs its cell a try."""

    def __init__(
        self,
        processes: int,
        threads: int | None,
        retries: int,
        work: Callable[..., Outcome] | None = None,
    ) -> None:
        """Take how many processes, the threads of each, and how often a cell is tried again.

        Also what a process does with a job, where it is not the usual.
        """
        self._processes, self._threads, self._retries = processes, threads, retries
        self._work = work or _in_process
        self._notes: Path | None = None
        self._names: dict[int, str] = {}

    def has_gpu(self) -> bool:
        """Tell whether there is a GPU for cells."""
        return torch.cuda.is_available()

    def running(self) -> Mapping[str, str]:
        """Name the cell that each process runs."""
        if self._notes is None:
            return {}
        notes = [path.name.partition(".") for path in self._notes.glob("*.*")]
        return {f"process {pid}": self._names[int(number)] for number, _, pid in notes}

    def run(
        self, cells: Sequence[Cell], settings: Settings, say: Callable[[int, str], object]
    ) -> Iterator[Outcome]:
        """Run cells and give what becomes of each, as they end."""
        processes = min(self._processes, len(cells))
        if processes == 1:
            yield from Here(self._threads).run(cells, settings, say)
            return
        threads = self._threads or threads_each(processes)
        jobs = {job.number: job for job in jobs_of(cells, settings, threads)}
        self._names = {number: job.name for number, job in jobs.items()}
        with tempfile.TemporaryDirectory(prefix="seqmem-") as folder:
            self._notes = Path(folder)
            try:
                yield from self._all(jobs, processes, say)
            finally:
                self._notes = None

    def _all(
        self, jobs: dict[int, Job], processes: int, say: Callable[[int, str], object]
    ) -> Iterator[Outcome]:
        """Run jobs until each has an outcome.

        When a process dies, joblib ends all of them and cannot tell which it was: the cells that
        were running are then run one by one, so that only the one to blame is tried in vain.
        """
        in_vain = 0
        while jobs and in_vain <= self._retries:
            yield from self._until_killed(jobs, [*jobs.values()], processes)
            left = self._left_behind()
            in_vain = 0 if left else in_vain + 1  # then a process died before its first cell
            for number, log in left.items():
                for tried in range(1, self._retries + 1):
                    say(number, f"a process was killed: try {tried + 1} of {self._retries + 1}")
                    yield from self._until_killed(jobs, [jobs[number]], processes)
                    log = self._left_behind().get(number, ())
                    if number not in jobs:
                        break
                else:
                    yield Outcome(number, None, (f"{jobs.pop(number).name}: {LOST}",), log)
        for number, job in jobs.items():
            yield Outcome(number, None, (f"{job.name}: {LOST}",))

    def _until_killed(
        self, jobs: dict[int, Job], chosen: Sequence[Job], processes: int
    ) -> Iterator[Outcome]:
        """Run some jobs and strike out those that end, until all have or a process is killed."""
        try:
            assert self._notes is not None
            for outcome in in_processes(partial(self._work, notes=self._notes), chosen, processes):
                del jobs[outcome.number]
                yield outcome
        except BrokenProcessPool:
            pass

    def _left_behind(self) -> dict[int, tuple[str, ...]]:
        """Give the cells that were running when their processes ended, with what they had said."""
        assert self._notes is not None
        found = {}
        for path in sorted(self._notes.glob("*.*")):
            found[int(path.name.partition(".")[0])] = tuple(path.read_text().splitlines())
            path.unlink()
        return found


def in_processes(work: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    """Apply a function to items in other processes; yield results as they come, in any order.

    The one place that uses joblib. When the caller stops taking results, or is interrupted, the
    processes are ended.

    Args:
        work: the function; it and the items are pickled.
        items: its arguments.
        processes: how many run at once.

    Raises:
        BrokenProcessPool: a process was killed; items without a result may have run in part.
    """
    from joblib import Parallel, delayed

    with warnings.catch_warnings():
        # joblib replaces a process that has grown after its item, as intended.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        # One at a time: cells take minutes, and their times differ.
        parallel = Parallel(
            n_jobs=processes, backend=BACKEND, batch_size=1, return_as="generator_unordered"
        )
        with _ctrl_c_ignored():  # processes inherit this: one handler here is enough to end all
            results = parallel(delayed(work)(item) for item in items)
        try:
            yield from results
        finally:
            results.close()


def _in_process(job: Job, notes: Path) -> Outcome:
    """Run a job in a process made for jobs; until it is done, a note says so, and what it said."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sender ends this process when it stops
    multiprocessing.set_start_method("spawn", force=True)  # joblib's own is of no use to others
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaks
    settle(job)
    note = notes / f"{job.number}.{os.getpid()}"
    with note.open("w") as file:
        outcome = work(job, loaded(job), lambda line: print(line, file=file, flush=True))
    note.unlink()
    return outcome


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Let torch and numpy use so many threads; None: leave them as they are."""
    if number is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpool_limits(number, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignore Ctrl-C; elsewhere than in the main thread, which alone is told of it, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
