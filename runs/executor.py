"""What runs cells: this process, several processes of this machine, or a Ray cluster."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from seqmem.errors import InputError
from seqmem.runs.local import LocalProcesses, ThisProcess
from seqmem.runs.outcome import Outcome
from seqmem.runs.plan import Plan
from seqmem.runs.processes import cores
from seqmem.runs.request import Workers

__all__ = ["Executor", "executor_of"]


class Executor(Protocol):
    """Runs cells."""

    def has_gpu(self) -> bool:
        """Return whether there is a GPU for cells."""

    def running(self) -> Mapping[str, str]:
        """Return the name of the cell that each worker runs, as far as is known."""

    def run(self, planned: Plan, say: Callable[[int, str], object]) -> Iterator[Outcome]:
        """Run cells and yield the outcome of each, as they end.

        Args:
            planned: the cells and their tasks.
            say: called with a cell's number, from 1 on, and a line that cannot wait for its end.

        Raises:
            OSError: results cannot be written any more; finished cells are kept.
        """


@contextmanager
def executor_of(workers: Workers, say: Callable[[str], object]) -> Iterator[Executor]:
    """Return what runs cells, until the end of the context.

    Args:
        workers: what the user asked for.
        say: called with a line where it cannot be quite that.

    Raises:
        InputError: Ray is not installed, or no cluster answers, or options contradict each other.
    """
    if workers.devices > 1 and workers.gpus != 1.0:
        raise InputError(
            f"--gpus {workers.gpus:g} is a share of one GPU, and --devices {workers.devices} takes "
            "whole ones: leave one of them out"
        )
    if workers.ray is not None:
        from seqmem.runs.ray_cluster import connected

        with connected(workers, say) as executor:
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
        say(f"--jobs {jobs}: there are {cores()} cores here{each}, so {most} at a time run")
    if processes == 1:
        yield ThisProcess(workers.threads)
    else:
        yield LocalProcesses(processes, workers.threads, workers.retries)
