"""Exact windows: the k most recent inputs of a target, and nothing else."""

import torch
from torch import Tensor

from seqmem.tasks.task import Split

__all__ = ["window_inputs"]


def window_inputs(split: Split, chosen: Tensor, k: int) -> Tensor:
    """Cut out x_{t−k+1} … x_t for each chosen target.

    Args:
        split: sequences and targets.
        chosen: (m,) target indices; each must have k inputs available.
        k: the window length, at least 1.

    Returns:
        (m, k) ids or (m, k, D) floats.
    """
    index = split.positions[chosen, None] + torch.arange(1 - k, 1)  # (m, k)
    return split.inputs[index]
