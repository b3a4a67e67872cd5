"""A whole evaluation: from a request to planned cells, what runs them, and their records."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from seqmem.errors import InputError
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.store import COMMITTED, read_records
from seqmem.runs.costs import relative_costs
from seqmem.runs.local import LocalProcesses, ThisProcess
from seqmem.runs.plan import Plan, Request, Workers, plan
from seqmem.runs.processes import cores
from seqmem.runs.progress import Progress
from seqmem.runs.worker import Outcome
from seqmem.submissions.extras import imported

__all__ = ["Executor", "evaluate", "executor_of", "run_cells"]


class Executor(Protocol):
    """What runs cells: this process, several processes of this machine, or a Ray cluster."""

    def has_gpu(self) -> bool:
        """Return whether there is a GPU for cells."""

    def running(self) -> Mapping[str, str]:
        """Return the name of the cell that each worker runs, as far as is known."""

    def run(self, planned: Plan, log: Callable[[int, str], object]) -> Iterator[Outcome]:
        """Run cells and yield the outcome of each, as they end.

        Args:
            planned: the cells and their tasks.
            log: called with a cell's number, from 1 on, and a line that cannot wait for its end.

        Raises:
            OSError: results cannot be written any more; finished cells are kept.
        """


def evaluate(request: Request, log: Callable[[str], object]) -> tuple[list[Record], list[str]]:
    """Run every cell that a request comes to.

    Args:
        request: what the user asked for.
        log: called with one line for each step that takes time, each cell that fails, and how far
            the run is.

    Returns:
        the records of the cells that were measured, and one line for each that could not be.

    Raises:
        InputError: something requested does not exist or cannot be; no cell was run.
        OSError: results cannot be written any more; finished cells are kept.
    """
    with executor_of(request.workers, log) as executor:
        outcomes = run_cells(plan(request, log, executor.has_gpu()), executor, log)
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    return records, [failure for outcome in outcomes for failure in outcome.failures]


def run_cells(planned: Plan, executor: Executor, log: Callable[[str], object]) -> list[Outcome]:
    """Run cells and return their outcomes in the same order.

    Args:
        planned: the cells and their tasks.
        executor: what runs them.
        log: called with one line at a time: of each step that takes time, each cell that fails,
            and how far the run is. Lines of another process come when its cell ends.

    Raises:
        OSError: results cannot be written any more; finished cells are kept.
    """
    count = len(planned.cells)
    outcomes: dict[int, Outcome] = {}
    costs = relative_costs(planned.cells, read_records([COMMITTED])[0] if count > 1 else ())
    with Progress(costs, log, executor.running) as progress:

        def log_of(number: int, line: str) -> None:
            progress.log(f"[{number}/{count}] {line}")

        for outcome in executor.run(planned, log_of):
            outcomes[outcome.number] = outcome
            for line in outcome.lines:
                log_of(outcome.number, line)
            for failure in outcome.failures:
                log_of(outcome.number, f"failed: {failure}")
            progress.done(outcome)
    return [outcomes[number] for number in sorted(outcomes)]


@contextmanager
def executor_of(workers: Workers, log: Callable[[str], object]) -> Iterator[Executor]:
    """Return what runs cells, until the end of the context.

    Args:
        workers: what the user asked for.
        log: called with a line where it cannot be quite that.

    Raises:
        InputError: Ray is not installed, or no cluster answers, or options contradict each other.
    """
    if workers.devices > 1 and workers.gpus != 1.0:
        raise InputError(
            f"--gpus {workers.gpus:g} is a share of one GPU, and --devices {workers.devices} takes "
            "whole ones: leave one of them out"
        )
    if workers.ray is not None:
        imported("ray", "ray")
        from seqmem.runs.ray_cluster import connected

        with connected(workers, log) as executor:
            yield executor
        return
    for option, given in (("--memory", workers.memory), ("--gpus", workers.gpus != 1.0 or None)):
        if given is not None:
            raise InputError(f"{option} is for --ray alone: leave it out, or give --ray")
    jobs = workers.jobs or 1
    most = max(1, cores() // workers.devices)
    processes = min(jobs, most) if jobs > 1 else 1
    if processes < jobs:
        each = f", {workers.devices} for each cell" if workers.devices > 1 else ""
        log(f"--jobs {jobs}: there are {cores()} cores here{each}, so {most} at a time run")
    if processes == 1:
        yield ThisProcess(workers.threads)
    else:
        yield LocalProcesses(processes, workers.threads, workers.retries)
