"""Flushing of denormal numbers (below 1.2e-38), which most processors compute with slowly.

Once a model predicts well, gradients through closed gates and from confident outputs get that
small, and convolutions with them take several times as long. Flushing them to zero does not affect
training: with every optimiser used here, a gradient of that size changes a weight by less than its
rounding error.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["denormals_flushed", "flush_in_threads"]


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Flush denormal numbers to zero in this thread; restore its mode at the end.

    Other code in the process may rely on denormal numbers, such as checks of the arithmetic.
    """
    if _are_flushed():
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


def _are_flushed() -> bool:
    return not bool(torch.tensor(1e-39) * 1.0 > 0)
