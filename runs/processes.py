"""Cores, threads and a pool of processes of this machine: the one place that uses joblib."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from seqmem.baselines.training.process import safe_import_path
from seqmem.lifetime import ENDING, end_with_parent

__all__ = ["cores", "in_processes", "threads_each", "torch_threads"]

T = TypeVar("T")
R = TypeVar("R")

# The backend of joblib that can return results as they come.
BACKEND = "loky"


def cores() -> int:
    """Count the cores that this process may use."""
    import joblib

    return int(joblib.cpu_count())


def threads_each(processes: int) -> int:
    """Return the threads for torch in each of several processes: together no more than cores.

    Never more than torch would use in this one, so that OMP_NUM_THREADS bounds each.
    """
    return max(1, min(torch.get_num_threads(), cores() // processes))


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """Let torch and numpy use this many threads; None: leave them as they are."""
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


def in_processes(work: Callable[[T], R], items: Sequence[T], processes: int) -> Iterator[R]:
    """Apply a function to items in other processes; yield results as they come, in any order.

    When the caller stops taking results, is interrupted or is killed, the processes end.

    Args:
        work: the function; it and the items are pickled.
        items: its arguments.
        processes: how many run at once.

    Raises:
        BrokenProcessPool: a process was killed; items without a result may have run in part.
    """
    from joblib import Parallel, delayed

    with warnings.catch_warnings(), safe_import_path():
        # joblib replaces a process that has grown after its item, as intended.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given")
        # One at a time: cells take minutes, and their times differ.
        parallel = Parallel(
            n_jobs=processes,
            backend=BACKEND,
            batch_size=1,
            return_as="generator_unordered",
            initializer=_begin,
            initargs=(os.getpid(),),
        )
        # In some versions of Python its start lets signals through again.
        resource_tracker.ensure_running()
        # Held back until all are started: a signal must find something that can be ended.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            results = parallel(delayed(work)(item) for item in items)
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                yield from results
            finally:
                results.close()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin(parent: int) -> None:
    """Set up a process made for items, which its parent ends."""
    end_with_parent(parent)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to both
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # held back when this process was started
    multiprocessing.set_start_method("spawn", force=True)  # joblib's own is of no use to others
    tqdm.set_lock(threading.RLock())  # its own is a semaphore, which a killed process leaks
