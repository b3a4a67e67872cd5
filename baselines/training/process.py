"""Settings of a process that trains: denormal numbers, freed memory, and where it imports from."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = [
    "denormals_flushed",
    "flush_in_threads",
    "keep_freed_memory",
    "safe_import_path",
    "set_up_process",
]

# Parameters of mallopt(3), the largest threshold for mmap, and a trim threshold of "never".
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
LARGEST_THRESHOLD, NEVER = 1 << 25, (1 << 31) - 1


def set_up_process() -> None:
    """Configure torch's threads and the C library's memory for fast training.

    Call it after the number of threads is set and before any computation.
    """
    flush_in_threads()
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Let the C library reuse freed memory blocks of up to 32 MiB.

    By default glibc returns them to the system and requests them again at every step of training:
    mapping and clearing their pages takes up to a sixth of a step. Other C libraries are not
    changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc; or CDLL needs a name (Windows)
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
    mallopt(M_TRIM_THRESHOLD, NEVER)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormal numbers to zero in this thread; restore its mode at the end.

    Most processors compute with these numbers (below 1.2e-38) slowly. Once a model predicts well,
    gradients through closed gates and from confident outputs get that small, and convolutions with
    them take several times as long. Flushing them does not affect training: with every optimiser
    used here, a gradient of that size changes a weight by less than its rounding error.

    Other code in the process may rely on denormal numbers, such as checks of the arithmetic.
    """
    if not bool(torch.tensor(1e-39) * 1.0 > 0):
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def flush_in_threads() -> None:
    """Start torch's other threads so that they flush denormal numbers to zero.

    A thread inherits the mode of the thread that starts it. Threads that torch has started before
    are not changed.
    """
    with denormals_flushed():
        torch.zeros(torch.get_num_threads() << 16).add_(1)  # work for every thread


@contextmanager
def safe_import_path() -> Iterator[None]:
    """Let processes started in this context import nothing from the current folder.

    Processes are started with ``python -c`` or ``python -m``, for which Python looks for modules in
    the current folder first: a file ``joblib.py`` there would run in place of the library.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before
