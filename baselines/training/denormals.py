"""Denormal numbers, those nearer to zero than 1.2e-38: most processors compute with them slowly.

Once a model predicts well, gradients through shut gates and from sure outputs get that small, and
convolutions that meet them take several times as long. To learning they are zeros: no optimiser
here lets a gradient of that size change a weight by as much as its rounding.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["denormals_flushed", "flush_in_threads"]


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Let this thread take denormal numbers as zero; afterwards it does as it did before.

    Others in the process may count on denormal numbers, such as what checks the arithmetic.
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
    """Let the threads that torch computes with beside this one take denormal numbers as zero.

    A thread does as its starter did when it was started. So they are started here; those that
    torch has started before are not reached.
    """
    with denormals_flushed():
        torch.zeros(torch.get_num_threads() << 16).add_(1)  # some for each of them


def _are_flushed() -> bool:
    return not bool(torch.tensor(1e-39) * 1.0 > 0)
