"""Denormal numbers, those nearer to zero than 1.2e-38: most processors compute with them slowly.

Once a model predicts well, gradients through shut gates and from sure outputs get that small, and
convolutions that meet them take several times as long. To learning they are zeros: no optimiser
here lets a gradient of that size change a weight by as much as its rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["denormals_flushed", "flush_denormals"]


def flush_denormals() -> None:
    """Let this thread take denormal numbers as zero, and the threads that torch starts from it.

    Threads that torch has started before are not reached: a process that is to train calls this
    before it computes anything.
    """
    torch.set_flush_denormal(True)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let this thread take denormal numbers as zero; afterwards it does as it did before."""
    if _are_flushed():
        yield
        return
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _are_flushed() -> bool:
    return not bool(torch.tensor(1e-39) * 1.0 > 0)
