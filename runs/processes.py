"""Cores, threads and a pool of processes of this machine: the one place that uses joblib."""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

from seqmem.baselines.training.process import safe_import_path

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

    When the caller stops taking results, or is interrupted, the processes are ended.

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
            n_jobs=processes, backend=BACKEND, batch_size=1, return_as="generator_unordered"
        )
        with _ctrl_c_ignored():  # processes inherit this: one handler here is enough to end all
            results = parallel(delayed(work)(item) for item in items)
        try:
            yield from results
        finally:
            results.close()


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Ignore Ctrl-C; outside the main thread, which alone receives it, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
