"""Training of one model by several processes of one machine, each with its own device.

torch.multiprocessing starts them, and ends all when one fails or this process ends.
torch.distributed (gloo on CPUs, NCCL on GPUs) connects them through a file. The batch is the
recipe's, divided among the processes: the result equals that of a single device up to rounding and
dropout, which each process draws for itself.
"""

import logging
import os
import pickle
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
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

from seqmem.baselines.training.checkpoint import load_weights, save_weights
from seqmem.baselines.training.loop import Trained, train
from seqmem.baselines.training.process import safe_import_path, set_up_process
from seqmem.baselines.training.process_group import ProcessGroup
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import ModelMemoryError
from seqmem.files import write_bytes
from seqmem.lifetime import end_with_parent, temporary_folder
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["train_data_parallel"]

TIMEOUT = timedelta(hours=12)  # long: the others wait while process 0 validates
WEIGHTS, ARGUMENTS, STORE = "weights.safetensors", "arguments.pickle", "store"


def train_data_parallel(
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
    """Train a model as `train` does, with several processes.

    Args:
        devices: the number of processes; each has one GPU, or a share of this process's threads.
        make: builds the model in another process, with any weights; its second result is ignored.
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
    with temporary_folder() as folder:
        arguments = (make, model.state_dict(), task, recipe, options)
        (folder / ARGUMENTS).write_bytes(pickle.dumps(arguments))
        receiver, sender = get_context("spawn").Pipe(duplex=False)
        threads = max(1, torch.get_num_threads() // devices)
        shared = (os.getpid(), folder, devices, device, threads, sender)
        logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)
        with safe_import_path():
            context = spawn(_run_process, shared, nprocs=devices, join=False)
        assert context is not None
        try:
            while not context.join(timeout=0):
                wait([receiver, *context.sentinels])
                while receiver.poll():
                    progress(*receiver.recv())
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise _first_error(context.processes, folder, error) from None
        finally:
            for process in context.processes:
                process.kill()
                process.join()
        result = load_weights(model, folder / WEIGHTS)
        assert result is not None
        return Trained(**result)


def _first_error(processes: Sequence[Any], folder: Path, seen: Exception) -> Exception:
    """Return the error that ended the training; other processes fail later, with lost connections.

    Args:
        processes: have ended, or are terminating.
        folder: where they write what they raise.
        seen: torch's error; returned if no better one is found.
    """
    for process in processes:
        process.join()
    codes = [process.exitcode or 0 for process in processes]
    if any(code < 0 and code != -signal.SIGTERM for code in codes):
        return ModelMemoryError(
            f"one of the {len(codes)} training processes was killed, as happens when memory runs "
            "out; the same command resumes from the last checkpoint"
        )
    found = sorted(folder.glob("error.*"), key=lambda path: path.stat().st_mtime_ns)
    try:
        raised: Exception = pickle.loads(found[0].read_bytes())
    except Exception:  # no error could be written
        return seen
    raised.add_note(str(seen))
    return raised


def _run_process(
    rank: int, parent: int, folder: Path, size: int, device: str, threads: int, sender: Connection
) -> None:
    """Train as one process of the group; write what is raised to a file."""
    # End silently on Ctrl-C and on the signal that torch requests for the end of the parent.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(parent)  # no signal comes if it ended before torch requested one
    try:
        _train(ProcessGroup(rank, size), folder, device, threads, sender)
    except Exception as error:
        with suppress(Exception):  # the error cannot be pickled, or the disk is full
            write_bytes(folder / f"error.{rank}", pickle.dumps(error))
        raise


def _train(
    group: ProcessGroup, folder: Path, device: str, threads: int, sender: Connection
) -> None:
    torch.set_num_threads(threads)
    set_up_process()
    threadpool_limits(threads, user_api="blas")
    if device == "cuda":
        device = f"cuda:{group.rank}"
        torch.cuda.set_device(device)
    with (folder / ARGUMENTS).open("rb") as file:
        make, weights, task, recipe, options = pickle.load(file)
    model, _ = make()
    model.load_state_dict(weights)
    dist.init_process_group(
        "cpu:gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
        store=dist.FileStore(str(folder / STORE), group.size),  # type: ignore[attr-defined]
        rank=group.rank,
        world_size=group.size,
        timeout=TIMEOUT,
    )
    if group.rank == 0:  # all have read this large file
        (folder / ARGUMENTS).unlink()

    def progress(step: int, validation: float) -> None:
        if group.rank == 0:
            sender.send((step, validation))

    trained = train(model, task, recipe, **options, device=device, group=group, progress=progress)
    if group.rank == 0:
        save_weights(model, folder / WEIGHTS, asdict(trained))
    dist.barrier()  # a process that ends early closes the connections of the others
    dist.destroy_process_group()
