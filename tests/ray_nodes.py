"""A Ray cluster on this machine, for tests, and what workers do in them."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.leaderboard import remote_results
from seqmem.runs import cell_run
from seqmem.runs.carry import Files
from seqmem.runs.job import Job, Outcome
from seqmem.runs.ray_worker import on_worker

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
    """Give the node whose process, by the name that a sweep gives it, is a worker's parent."""
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
    """Start something beside the test; what is given waits for its end."""
    import threading

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread.join


def disk_full(
    job: Job, parcel: object, mark: Path, sent: Sequence[Any], same: str, desk: Any
) -> tuple[Outcome, Files]:
    """Stands in for what a worker does."""
    raise OSError(28, "No space left on device")


def short_of_memory(
    job: Job, parcel: object, mark: Path, sent: Sequence[Any], same: str, desk: Any
) -> tuple[Outcome, Files]:
    """Runs out of memory the first time."""
    tried = job.settings.results / f"tried-{job.number}"
    if tried.exists():
        return Outcome(job.number, None, ("in the second try",)), {}
    tried.touch()
    return Outcome(job.number, None, ("out of memory",), out_of_memory=True), {}


def with_a_checkpoint_at_each_step(
    job: Job, parcel: Any, mark: Path, sent: Sequence[Any], same: str, desk: Any
) -> tuple[Outcome, Files]:
    """Does what a worker does, and keeps and sends checkpoints all the time."""
    cell_run.Checkpoint = partial(Checkpoint, every_seconds=0.0)  # type: ignore[assignment,attr-defined]
    remote_results.EVERY = 0.05
    return on_worker(job, parcel, mark, sent, same, desk)


def other_bug(
    job: Job, parcel: object, mark: Path, sent: Sequence[Any], same: str, desk: Any
) -> tuple[Outcome, Files]:
    raise ZeroDivisionError("a bug")
