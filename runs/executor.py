"""What runs cells, wherever it runs them, and how the user asks for one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from seqmem.errors import InputError
from seqmem.runs.cell import Cell, Settings
from seqmem.runs.job import Outcome
from seqmem.runs.local import Here, Processes, cores

__all__ = ["LOCAL", "RETRIES", "Executor", "Workers", "executor_of"]

LOCAL = "local"  # a Ray that is started here
RETRIES = 2  # times that a cell is tried again when what ran it died


@dataclass(frozen=True)
class Workers:
    """Who is to run cells.

    Attributes:
        jobs: cells run at once, at most; None: one, or with Ray as many as it has room for.
        threads: of each cell; None: the cores shared out among processes, or with Ray 1.
        ray: the address of a Ray cluster, LOCAL for one that is started here, None for no Ray.
        retries: how often a cell is tried again when what ran it died.
        memory: what a cell asks Ray for, GiB; None: nothing is set aside.
        gpus: what a cell on a GPU asks Ray for: a share lets several have one.
        devices: how many train one model together.
    """

    jobs: int | None = None
    threads: int | None = None
    ray: str | None = None
    retries: int = RETRIES
    memory: float | None = None
    gpus: float = 1.0
    devices: int = 1


class Executor(Protocol):
    """Runs cells."""

    def has_gpu(self) -> bool:
        """Tell whether there is a GPU for cells."""

    def running(self) -> Mapping[str, str]:
        """Name the cell that each worker runs, as far as is known."""

    def run(
        self, cells: Sequence[Cell], settings: Settings, say: Callable[[int, str], object]
    ) -> Iterator[Outcome]:
        """Run cells and give what becomes of each, as they end.

        Args:
            cells: what is to be run.
            settings: how.
            say: called with a cell's number, from 1 on, and a line that cannot wait for its end.

        Raises:
            OSError: results cannot be written any more; finished cells are kept.
        """


@contextmanager
def executor_of(workers: Workers, say: Callable[[str], object]) -> Iterator[Executor]:
    """Give what runs cells, until the end of the context.

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
        yield Here(workers.threads)
    else:
        yield Processes(processes, workers.threads, workers.retries)
