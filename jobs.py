"""Running many cells: in this process, or shared out to several, with word of how far it is.

What goes to another process is what the user wrote (names, ids, numbers) and never data: each
process loads the tasks that its cells need. What comes back is a record.
"""

import io
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import TracebackType

import torch
from tqdm import tqdm

from seqmem.baselines.recipes import Recipe
from seqmem.baselines.spec import ModelSpec
from seqmem.cell import Cell, Settings, TrainingState, run_cell
from seqmem.errors import CellError
from seqmem.leaderboard.record import Record
from seqmem.tasks import load_task
from seqmem.tasks.scoring import is_out_of_memory
from seqmem.tasks.task import Context, Task

__all__ = ["Outcome", "Progress", "cores", "run_cells", "threads_each"]

# Where the other processes are: a backend of joblib that can give results as they come. One that is
# registered with joblib under another name, as Ray's is, can stand here.
BACKEND = "loky"
# What tells a process where data are.
ENVIRONMENT = ("SEQMEM_DATA", "SEQMEM_CACHE")
# A cell that takes less was on disk already: it says nothing of how long the others will take.
WORK = 1.0  # seconds


@dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        number: its place among all cells, from 1 on.
        record: what was measured; None where nothing was.
        failures: one line for each thing that could not be measured.
        lines: what was said on the way and not yet passed on.
        seconds: time it took.
    """

    number: int
    record: Record | None
    failures: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class _Job:
    """A cell as it goes to another process.

    Attributes:
        number: its place among all cells, from 1 on.
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
        sender: the process that sends it.
    """

    number: int
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
    sender: int = field(default_factory=os.getpid)


class Progress:
    """Tells how far a run is: a bar in a terminal, a line after each cell anywhere else."""

    def __init__(self, cells: int, say: Callable[[str], object]) -> None:
        """Take how many cells there are, and where lines go."""
        self._cells, self._say = cells, say
        self._done = self._failed = self._worked = 0
        self._began = time.monotonic()
        self._bar = tqdm(
            total=cells, unit="cell", desc="cells", disable=self._silent(), leave=False
        )

    def __enter__(self) -> "Progress":
        """Show the bar."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self._bar.close()

    def say(self, line: str) -> None:
        """Pass a line on, above whatever bars there are."""
        with tqdm.external_write_mode(file=sys.stderr):
            self._say(line)

    def done(self, outcome: Outcome) -> None:
        """Count a cell, and tell where the run stands."""
        self._done += 1
        self._failed += outcome.record is None or bool(outcome.failures)
        if outcome.seconds >= WORK:
            self._worked += 1
        else:
            self._began += outcome.seconds
        self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update()
        self._bar.refresh()
        if self._bar.disable and self._done < self._cells:
            self._say(self.line(time.monotonic()))

    def line(self, now: float) -> str:
        """Tell where the run stands at a time of the monotonic clock."""
        text = f"{self._done} of {self._cells} cells done"
        if self._failed:
            text += f", {self._failed} failed"
        if self._worked:
            left = (now - self._began) / self._worked * (self._cells - self._done)
            text += f", about {_duration(left)} left"
        return text

    def _silent(self) -> bool | None:
        # None: no bar unless stderr is a terminal. For a single cell its own bars say it all.
        return True if self._cells == 1 else None


def cores() -> int:
    """Count the cores that this process may use."""
    import joblib

    return int(joblib.cpu_count())


def threads_each(processes: int) -> int:
    """Give the threads for torch in each of several processes: together no more than cores.

    Never more than torch would use in this one, so that OMP_NUM_THREADS bounds each.
    """
    return max(1, min(torch.get_num_threads(), cores() // processes))


def run_cells(
    cells: Sequence[Cell], settings: Settings, jobs: int, say: Callable[[str], object]
) -> list[Outcome]:
    """Run cells and give their outcomes in the same order.

    Args:
        cells: what is to be run.
        settings: how.
        jobs: processes; with 1 all runs in this one. No more than there are cores or cells.
        say: called with one line at a time: of each step that takes time, each cell that fails,
            and how far the run is. What another process says comes with the end of its cell.

    Raises:
        OSError: results cannot be written any more; finished cells are kept.
    """
    processes = min(jobs, cores(), len(cells)) if jobs > 1 else 1
    if processes < min(jobs, len(cells)):
        say(f"--jobs {jobs}: there are {cores()} cores here, so as many processes run")
    outcomes: dict[int, Outcome] = {}
    with Progress(len(cells), say) as progress:

        def speak(number: int, line: str) -> None:
            progress.say(f"[{number}/{len(cells)}] {line}")

        def take(outcome: Outcome) -> None:
            outcomes[outcome.number] = outcome
            for line in outcome.lines:
                speak(outcome.number, line)
            for failure in outcome.failures:
                speak(outcome.number, f"failed: {failure}")
            progress.done(outcome)

        if processes == 1:
            for number, cell in enumerate(cells, 1):
                take(_attempt(number, cell, settings, partial(speak, number)))
        else:
            try:
                for outcome in _elsewhere(_jobs(cells, settings, processes), processes):
                    take(outcome)
            except BrokenProcessPool:
                lost = "a process was killed, as happens when memory runs out: fewer --jobs use "
                lost += "less; the same command goes on from here"
                for number in [n for n in range(1, len(cells) + 1) if n not in outcomes]:
                    take(Outcome(number, None, (f"{cells[number - 1]}: {lost}",)))
    return [outcomes[number] for number in sorted(outcomes)]


def _elsewhere(jobs: Sequence[_Job], processes: int) -> Iterator[Outcome]:
    """Run jobs in other processes and give outcomes as they come; the one place that knows joblib.

    When the caller stops taking outcomes, or is interrupted, the processes are ended.
    """
    from joblib import Parallel, delayed

    with warnings.catch_warnings():
        # A process that has grown is replaced after its cell; that is meant to be.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        # One cell at a time: they take minutes, and unlike times.
        parallel = Parallel(
            n_jobs=processes, backend=BACKEND, batch_size=1, return_as="generator_unordered"
        )
        with _ctrl_c_ignored():  # so the processes start: one here is enough to end them all
            outcomes = parallel(delayed(_work)(job) for job in jobs)
        try:
            yield from outcomes
        finally:
            outcomes.close()


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


def _jobs(cells: Sequence[Cell], settings: Settings, processes: int) -> list[_Job]:
    settings = replace(settings, results=settings.results.resolve())
    threads = threads_each(processes)
    return [
        _Job(
            number=number,
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


def _work(job: _Job) -> Outcome:
    """Run one cell in a process that was made for it; what it says is kept for its end."""
    if os.getpid() != job.sender:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the sender ends this process when it stops
        tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaks
        torch.set_num_threads(job.threads)
        os.chdir(job.folder)
        for name, value in job.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    task = _task(job.task_id, job.folder, tuple(job.environment.values()))
    cell = Cell(job.model, task, job.k_train, job.seed, job.budget, job.state, job.recipe)
    lines: list[str] = []
    # Bars of several processes would write over each other; warnings go the way of lines.
    with redirect_stderr(io.StringIO()) as written:
        outcome = _attempt(job.number, cell, job.settings, lines.append)
    lines += [line for line in written.getvalue().splitlines() if line.strip()]
    return replace(outcome, lines=tuple(lines))


@cache
def _task(task_id: str, folder: str, environment: tuple[str | None, ...]) -> Task:
    """Load a task once in a process, for one place of data."""
    return load_task(task_id)


def _attempt(number: int, cell: Cell, settings: Settings, say: Callable[[str], object]) -> Outcome:
    """Run one cell; what may go wrong with a cell alone is an outcome as well."""
    began = time.monotonic()
    try:
        record = run_cell(cell, settings, say)
    except (CellError, MemoryError, RuntimeError) as error:
        if not isinstance(error, CellError) and not is_out_of_memory(error):
            raise
        reason = str(error) if isinstance(error, CellError) else "out of memory"
        return Outcome(number, None, (f"{cell}: {reason}",), seconds=time.monotonic() - began)
    failed = record.measurement.get("failed", {})
    failures = tuple(f"{cell}: k={k}: {reason}" for k, reason in failed.items())
    return Outcome(number, record, failures, seconds=time.monotonic() - began)


def _duration(seconds: float) -> str:
    """Write a time as a person would: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
