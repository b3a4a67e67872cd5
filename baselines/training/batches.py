"""Training batches: whole sequences side by side, or a stream cut into lanes.

Either way long ones are cut into segments of inputs, read one after the other. With state carried,
what a recurrent model takes from one to the next passes no gradient (truncated backpropagation
through time, Williams & Peng 1990). With state reset, a segment only says which targets are learned
from at once: each is predicted from a window of its own, the k most recent inputs, read from the
initial state (the LSTM n-gram of Chelba et al. 2017, arXiv 1703.10724).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from seqmem.measuring.windows import window_inputs
from seqmem.tasks.task import Split

__all__ = ["Batch", "Step", "Windows", "batches", "window_steps"]

FEWEST = 16  # windows in one pass, however long they are


@dataclass(frozen=True)
class Batch:
    """One forward pass of training.

    Attributes:
        inputs: (B, L) ids or (B, L, D) floats.
        rows: (m,) and
        columns: (m,) where in the batch a target is predicted.
        targets: (m,) or (m, D) the targets.
        fresh: whether the state starts anew.
        dense: whether every position has a target, row by row.
    """

    inputs: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    fresh: bool
    dense: bool = False


@dataclass(frozen=True)
class Step:
    """What one optimiser step learns from.

    Attributes:
        targets: how many, in all passes together.
        passes: the forward passes; their gradients add up.
    """

    targets: int
    passes: Iterable[Batch]


@dataclass(frozen=True)
class Windows:
    """The windows of some targets as forward passes, each made when it is its turn.

    Attributes:
        split: sequences and targets.
        chosen: (m,) the targets.
        k: inputs of a window; a target near the start of its sequence has fewer.
        most: inputs, about, of one forward pass.
    """

    split: Split
    chosen: Tensor
    k: int
    most: int

    def __iter__(self) -> Iterator[Batch]:
        """Give the passes: first the windows that are cut short by a start, if there are such."""
        positions = self.split.positions[self.chosen]
        sequence = torch.searchsorted(self.split.starts, positions, right=True) - 1
        begins = self.split.starts[sequence]  # (m,) where each target's sequence begins
        early = positions - begins + 1 < self.k
        if bool(early.any()):
            yield from self._beginnings(self.chosen[early], begins[early])
        if not bool(early.all()):
            for part in self.chosen[~early].split(max(self.most // self.k, FEWEST)):
                rows = torch.arange(len(part))
                yield Batch(
                    window_inputs(self.split, part, self.k),  # (m, k)
                    rows,
                    torch.full_like(rows, self.k - 1),
                    self.split.targets[part],
                    fresh=True,
                )

    def _beginnings(self, chosen: Tensor, begins: Tensor) -> Iterator[Batch]:
        """Read sequences from their starts, where fewer than k inputs have come.

        All windows of one sequence that begin at its start are read in one pass: a causal model
        gives at each position what it would give at the end of a window that ends there.
        """
        columns = self.split.positions[chosen] - begins  # (m,)
        length = int(columns.max()) + 1
        starts, rows = begins.unique(return_inverse=True)
        several = max(self.most // length, FEWEST)
        for first in range(0, len(starts), several):
            here = (rows >= first) & (rows < first + several)
            index = starts[first : first + several, None] + torch.arange(length)
            index = index.clamp(max=len(self.split.inputs) - 1)  # behind the targets, never before
            yield Batch(
                self.split.inputs[index],
                rows[here] - first,
                columns[here],
                self.split.targets[chosen[here]],
                fresh=True,
            )


def window_steps(
    split: Split, size: int, segment: int | None, k: int, most: int, order: torch.Generator
) -> Iterator[Step]:
    """Give one epoch of steps in which every target has a window of its own.

    Which targets a step holds does not depend on k: those that the segments of `batches` hold.

    Args:
        split: the training data.
        size: sequences or lanes side by side.
        segment: inputs of each, whose targets one step holds; None for whole sequences.
        k: inputs of a window; a target near the start of its sequence has fewer.
        most: inputs, about, of one forward pass.
        order: draws the order of the sequences; a single stream keeps its own.
    """
    for starts, lengths in _runs(split, size, order):
        for begin, end in _edges(int(lengths.max()), segment):
            target = _targets(split, starts, lengths, torch.arange(begin, end))
            chosen = target[target >= 0]
            if len(chosen):
                yield Step(len(chosen), Windows(split, chosen, k, most))


def batches(
    split: Split, size: int, segment: int | None, overlap: int, order: torch.Generator
) -> Iterator[Batch]:
    """Give one epoch of batches.

    Args:
        split: the training data.
        size: sequences or lanes side by side.
        segment: inputs that one batch scores; None for whole sequences.
        overlap: inputs read before the first scored one, for models that carry no state; rows in
            which nothing is scored are then left out.
        order: draws the order of the sequences; a single stream keeps its own.
    """
    for starts, lengths in _runs(split, size, order):
        for begin, end in _edges(int(lengths.max()), segment):
            step = torch.arange(max(0, begin - overlap), end)
            index = (starts[:, None] + step).clamp(max=len(split.inputs) - 1)  # (B, L)
            target = _targets(split, starts, lengths, step)
            target[:, : begin - int(step[0])] = -1  # the overlap is read and not scored
            if overlap:  # nothing is carried on, so what has ended need not be read
                scored = (target >= 0).any(1)
                index, target = index[scored], target[scored]
            rows, columns = (target >= 0).nonzero(as_tuple=True)
            targets = split.targets[target[rows, columns]]
            dense = len(rows) == index.numel()
            yield Batch(split.inputs[index], rows, columns, targets, begin == 0, dense)


def _runs(split: Split, size: int, order: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Give starts (B,) and lengths (B,) of what is read side by side: sequences, or lanes."""
    sequences = len(split.starts) - 1
    if sequences == 1:
        lane = len(split.inputs) // size
        if lane == 0:
            size, lane = 1, len(split.inputs)
        yield torch.arange(size) * lane, torch.full((size,), lane)
        return
    lengths = split.starts.diff()
    for rows in torch.randperm(sequences, generator=order).split(size):
        yield split.starts[rows], lengths[rows]


def _edges(longest: int, segment: int | None) -> Iterator[tuple[int, int]]:
    """Cut runs into segments; the last one ends where the longest run ends.

    So a task that is scored at its end gets a whole segment before it.
    """
    segment = segment or longest
    first = longest % segment
    return pairwise([0, *([first] if first else []), *range(first + segment, longest + 1, segment)])


def _targets(split: Split, starts: Tensor, lengths: Tensor, step: Tensor) -> Tensor:
    """Give the targets (B, L) predicted at some steps of runs; −1 where there is none."""
    index = (starts[:, None] + step).clamp(max=len(split.inputs) - 1)
    return torch.where(step < lengths[:, None], split.target_at[index], -1)
