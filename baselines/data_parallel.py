"""Training of one model by several processes, each with a device of its own.

torch.multiprocessing starts them, and ends all when one fails or this process does; they meet in
torch.distributed (gloo on CPUs, NCCL on GPUs) through a file, so all are on one machine. The batch
stays the recipe's, shared out, so that the training is the one of a single device up to rounding,
and up to dropout, which is drawn anew in each.
"""

import pickle
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from threadpoolctl import threadpool_limits
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from seqmem.baselines.checkpoint import load_weights, save_weights
from seqmem.baselines.recipes import Recipe
from seqmem.baselines.team import Team
from seqmem.baselines.training import Trained, train
from seqmem.errors import CellError
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["train_together"]

WAIT = timedelta(hours=12)  # for the first one, who validates alone
WEIGHTS, PARTS, MEETING = "weights.safetensors", "parts.pickle", "meeting"


def train_together(
    devices: int,
    make: Callable[[], tuple[SequenceModel, Any]],
    model: SequenceModel,
    task: Task,
    recipe: Recipe,
    *,
    device: str,
    progress: Callable[[int, float], object],
    **options: Any,
) -> Trained:
    """Do as `train` does, with so many processes.

    Args:
        devices: how many; each has one GPU, or its share of this process's threads.
        make: makes such a model anywhere, whatever its weights, and something else.
        model: as for `train`.
        task: as for `train`.
        recipe: as for `train`.
        device: "cpu" or "cuda".
        progress: as for `train`.
        options: as for `train`.

    Raises:
        CellError: training diverged, or a process was killed.
        OSError: the checkpoint cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="seqmem-") as name:
        folder = Path(name)
        parts = (make, model.state_dict(), task, recipe, options)
        (folder / PARTS).write_bytes(pickle.dumps(parts))
        hear, tell = get_context("spawn").Pipe(duplex=False)
        threads = max(1, torch.get_num_threads() // devices)
        shared = (folder, Team(size=devices), device, threads, tell)
        context = spawn(_member, shared, nprocs=devices, join=False)
        assert context is not None
        try:
            while not context.join(timeout=0):
                wait([hear, *context.sentinels])
                while hear.poll():
                    progress(*hear.recv())
        except ProcessExitedException as error:
            raise CellError(
                f"one of the {devices} processes that trained it was killed ({error}), as happens "
                "when memory runs out; the same command goes on from the last checkpoint"
            ) from None
        except ProcessRaisedException:
            raise _first_error(folder) from None
        finally:
            for process in context.processes:
                process.kill()
                process.join()
        told = load_weights(model, folder / WEIGHTS)
        assert told is not None
        return Trained(**told)


def _first_error(folder: Path) -> BaseException:
    """Give what was raised first; the others then lost touch."""
    first = min(folder.glob("error.*"), key=lambda path: path.stat().st_mtime_ns)
    error: BaseException = pickle.loads(first.read_bytes())
    return error


def _member(
    rank: int, folder: Path, team: Team, device: str, threads: int, tell: Connection
) -> None:
    """Train as one of several; what goes wrong is left in a file, as it was raised."""
    try:
        _train(Team(rank, team.size), folder, device, threads, tell)
    except Exception as error:
        path = folder / f"error.{rank}"
        path.with_suffix(".tmp").write_bytes(pickle.dumps(error))
        path.with_suffix(".tmp").rename(path)
        raise


def _train(team: Team, folder: Path, device: str, threads: int, tell: Connection) -> None:
    torch.set_num_threads(threads)
    threadpool_limits(threads, user_api="blas")
    if device == "cuda":
        device = f"cuda:{team.rank}"
        torch.cuda.set_device(device)
    make, weights, task, recipe, options = pickle.loads((folder / PARTS).read_bytes())
    model, _ = make()
    model.load_state_dict(weights)
    dist.init_process_group(
        "cpu:gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
        init_method=(folder / MEETING).as_uri(),
        rank=team.rank,
        world_size=team.size,
        timeout=WAIT,
    )

    def progress(step: int, validation: float) -> None:
        if team.rank == 0:
            tell.send((step, validation))

    trained = train(model, task, recipe, **options, device=device, team=team, progress=progress)
    if team.rank == 0:
        save_weights(model, folder / WEIGHTS, asdict(trained))
    dist.barrier()  # who leaves early takes the others' connections along
    dist.destroy_process_group()
