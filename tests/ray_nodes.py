"""A Ray cluster on this machine, for tests, and what workers do in them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.leaderboard import remote_results
from seqmem.runs import run_cell
from seqmem.runs.cell import Cell
from seqmem.runs.ray_worker import on_worker
from seqmem.runs.transfer import Files
from seqmem.runs.worker import Outcome

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray", reason="needs seqmem[ray]")

# What Ray leaves to the garbage collector when it stops, and says of its own future.
IGNORED = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A head that runs no cells, and nodes of one core each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - as Ray spells it
    head = {"num_cpus": 0, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            made.add_node(num_cpus=1)
        yield made
    finally:
        made.shutdown()


def node_of(made: Any, worker: str) -> Any:
    """Return the node whose process, by the name that a sweep gives it, is a worker's parent."""
    pid = int(worker.rpartition("process ")[2])
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return None
    for node in made.worker_nodes:
        (raylet,) = node.all_processes["raylet"]
        if raylet.process.pid == parent:
            return node
    return None


def in_the_background(work: Callable[[], object]) -> Callable[[], None]:
    """Start something in a thread; return a function that waits for its end."""
    import threading

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread.join


def disk_full(number: int, cell: Cell, *others: Any) -> tuple[Outcome, Files]:
    """Stands in for what a worker does."""
    raise OSError(28, "No space left on device")


def short_of_memory(number: int, cell: Cell, *others: Any) -> tuple[Outcome, Files]:
    """Runs out of memory the first time."""
    tried = cell.results / f"tried-{number}"
    if tried.exists():
        return Outcome(number, None, ("in the second try",)), {}
    tried.touch()
    return Outcome(number, None, ("out of memory",), out_of_memory=True), {}


def with_a_checkpoint_at_each_step(number: int, cell: Cell, *others: Any) -> tuple[Outcome, Files]:
    """Runs a cell as a worker does, but saves and sends checkpoints all the time."""
    run_cell.Checkpoint = partial(Checkpoint, every_seconds=0.0)  # type: ignore[assignment,attr-defined]
    remote_results.EVERY = 0.05
    return on_worker(number, cell, *others)


def other_bug(number: int, cell: Cell, *others: Any) -> tuple[Outcome, Files]:
    raise ZeroDivisionError("a bug")
