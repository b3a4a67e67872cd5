"""Training batches: whole sequences side by side, or a stream cut into lanes.

Either way long ones are cut into segments of `k_train` inputs, read one after the other; what a
recurrent model carries from one to the next passes no gradient (truncated backpropagation through
time, Williams & Peng 1990).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from seqmem.tasks.task import Split

__all__ = ["Batch", "batches"]


@dataclass(frozen=True)
class Batch:
    """One forward pass of training.

    Attributes:
        inputs: (B, L) ids or (B, L, D) floats.
        rows: (m,) and
        columns: (m,) where in the batch a target is predicted.
        targets: (m,) or (m, D) the targets.
        fresh: whether the state starts anew.
    """

    inputs: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    fresh: bool


def batches(
    split: Split, size: int, segment: int | None, overlap: int, order: torch.Generator
) -> Iterator[Batch]:
    """Give one epoch of batches.

    Args:
        split: the training data.
        size: sequences or lanes side by side.
        segment: inputs that one batch scores; None for whole sequences.
        overlap: inputs read before the first scored one, for models that carry no state.
        order: draws the order of the sequences; a single stream keeps its own.
    """
    sequences = len(split.starts) - 1
    if sequences == 1:
        lane = len(split.inputs) // size
        if lane == 0:
            size, lane = 1, len(split.inputs)
        starts = torch.arange(size) * lane
        yield from _segments(split, starts, torch.full((size,), lane), segment, overlap)
        return
    lengths = split.starts.diff()
    for rows in torch.randperm(sequences, generator=order).split(size):
        yield from _segments(split, split.starts[rows], lengths[rows], segment, overlap)


def _segments(
    split: Split, starts: Tensor, lengths: Tensor, segment: int | None, overlap: int
) -> Iterator[Batch]:
    """Cut parallel runs of inputs into segments; the last one ends where the longest run ends.

    So a task that is scored at its end gets a whole segment before it.
    """
    longest = int(lengths.max())
    segment = segment or longest
    first = longest % segment
    edges = [0, *([first] if first else []), *range(first + segment, longest + 1, segment)]
    for begin, end in pairwise(edges):
        read = max(0, begin - overlap)
        step = torch.arange(read, end)
        index = (starts[:, None] + step).clamp(max=len(split.inputs) - 1)  # (B, L)
        scored = (step >= begin) & (step < lengths[:, None])
        target = torch.where(scored, split.target_at[index], -1)
        rows, columns = (target >= 0).nonzero(as_tuple=True)
        targets = split.targets[target[rows, columns]]
        yield Batch(split.inputs[index], rows, columns, targets, begin == 0)
