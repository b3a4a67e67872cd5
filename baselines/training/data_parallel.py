"""Training of one model by several processes, each with a device of its own.

torch.multiprocessing starts them, and ends all when one fails or this process does; they meet in
torch.distributed (gloo on CPUs, NCCL on GPUs) through a file, so all are on one machine. The batch
stays the recipe's, shared out, so that the training is the one of a single device up to rounding,
and up to dropout, which is drawn anew in each.
"""

import logging
import pickle
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from threadpoolctl import threadpool_limits
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from seqmem.baselines.training.checkpoint import load_weights, save_weights
from seqmem.baselines.training.loop import Trained, train
from seqmem.baselines.training.process import set_up_process
from seqmem.baselines.training.process_group import Team
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import ModelMemoryError
from seqmem.files import write_bytes
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
        logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
        context = spawn(_member, shared, nprocs=devices, join=False)
        assert context is not None
        try:
            while not context.join(timeout=0):
                wait([hear, *context.sentinels])
                while hear.poll():
                    progress(*hear.recv())
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise _what_happened(context.processes, folder, error) from None
        finally:
            for process in context.processes:
                process.kill()
                process.join()
        told = load_weights(model, folder / WEIGHTS)
        assert told is not None
        return Trained(**told)


def _what_happened(processes: Sequence[Any], folder: Path, seen: Exception) -> Exception:
    """Give what ended the training first: the others then lost touch, and raised errors of that.

    Args:
        processes: all have ended, or were told to.
        folder: where they leave what they raise.
        seen: what torch makes of it; it is given where there is nothing better.
    """
    for process in processes:
        process.join()
    codes = [process.exitcode or 0 for process in processes]
    if any(code < 0 and code != -signal.SIGTERM for code in codes):
        return ModelMemoryError(
            f"one of the {len(codes)} processes that trained it was killed, as happens when memory "
            "runs out; the same command goes on from the last checkpoint"
        )
    found = sorted(folder.glob("error.*"), key=lambda path: path.stat().st_mtime_ns)
    try:
        raised: Exception = pickle.loads(found[0].read_bytes())
    except Exception:  # it could not be kept
        return seen
    raised.add_note(str(seen))
    return raised


def _member(
    rank: int, folder: Path, team: Team, device: str, threads: int, tell: Connection
) -> None:
    """Train as one of several; what goes wrong is left in a file, as it was raised."""
    # Ctrl-C, and torch's word that the one who started this has ended; in silence.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # No such word comes where it ended before this had begun: then this would wait for the others.
    starter = parent_process()
    if starter is None or not starter.is_alive():
        return
    try:
        _train(Team(rank, team.size), folder, device, threads, tell)
    except Exception as error:
        with suppress(Exception):  # what cannot be pickled, or a full disk
            write_bytes(folder / f"error.{rank}", pickle.dumps(error))
        raise


def _train(team: Team, folder: Path, device: str, threads: int, tell: Connection) -> None:
    torch.set_num_threads(threads)
    set_up_process()
    threadpool_limits(threads, user_api="blas")
    if device == "cuda":
        device = f"cuda:{team.rank}"
        torch.cuda.set_device(device)
    with (folder / PARTS).open("rb") as file:
        make, weights, task, recipe, options = pickle.load(file)
    model, _ = make()
    model.load_state_dict(weights)
    dist.init_process_group(
        "cpu:gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
        store=dist.FileStore(str(folder / MEETING), team.size),  # type: ignore[attr-defined]
        rank=team.rank,
        world_size=team.size,
        timeout=WAIT,
    )
    if team.rank == 0:  # all have read it; if this process is killed, it is not left behind
        (folder / PARTS).unlink()

    def progress(step: int, validation: float) -> None:
        if team.rank == 0:
            tell.send((step, validation))

    trained = train(model, task, recipe, **options, device=device, team=team, progress=progress)
    if team.rank == 0:
        save_weights(model, folder / WEIGHTS, asdict(trained))
    dist.barrier()  # who leaves early takes the others' connections along
    dist.destroy_process_group()
