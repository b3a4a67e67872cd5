"""Training batches: whole sequences side by side, or a stream cut into lanes.

In both cases long runs are cut into consecutive segments. If the state is carried, a recurrent
model passes it from segment to segment without gradient (truncated backpropagation through time,
Williams & Peng 1990). If the state is reset, a segment only defines the targets of one step: each
is predicted from its own window, the k most recent inputs, read from the initial state (the LSTM
n-gram of Chelba et al. 2017, arXiv 1703.10724).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from seqmem.measuring.windows import window_inputs
from seqmem.tasks.task import Split

__all__ = ["Batch", "Step", "Windows", "batches", "window_steps"]

FEWEST = 16  # windows in one pass, even if they exceed its number of inputs


@dataclass(frozen=True)
class Batch:
    """One forward pass of training.

    Attributes:
        inputs: (B, L) ids or (B, L, D) floats.
        rows: (m,) the row of each target's prediction.
        columns: (m,) the column of each target's prediction.
        targets: (m,) or (m, D) the targets.
        fresh: whether it starts from the initial state.
        dense: whether every position has a target, in row-major order.
    """

    inputs: Tensor
    rows: Tensor
    columns: Tensor
    targets: Tensor
    fresh: bool
    dense: bool = False


@dataclass(frozen=True)
class Step:
    """The data of one optimiser step.

    Attributes:
        targets: the number of targets of all passes.
        passes: the forward passes; their gradients are summed.
    """

    targets: int
    passes: Iterable[Batch]


@dataclass(frozen=True)
class Windows:
    """The windows of some targets as forward passes, generated one at a time.

    Attributes:
        split: sequences and targets.
        chosen: (m,) the targets.
        k: inputs of a window; a target near the start of its sequence has fewer.
        most: approximate number of inputs of one forward pass.
    """

    split: Split
    chosen: Tensor
    k: int
    most: int

    def __iter__(self) -> Iterator[Batch]:
        """Yield the passes, first the windows that a sequence start shortens."""
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
        """Yield passes over the starts of sequences, for targets with fewer than k inputs.

        All windows that begin at the start of one sequence share a pass: the output of a causal
        model at a position equals that at the end of a window that ends there.
        """
        columns = self.split.positions[chosen] - begins  # (m,)
        length = int(columns.max()) + 1
        starts, rows = begins.unique(return_inverse=True)
        size = max(self.most // length, FEWEST)
        for first in range(0, len(starts), size):
            here = (rows >= first) & (rows < first + size)
            index = starts[first : first + size, None] + torch.arange(length)
            index = index.clamp(max=len(self.split.inputs) - 1)  # changes only padding at the end
            yield Batch(
                self.split.inputs[index],
                rows[here] - first,
                columns[here],
                self.split.targets[chosen[here]],
                fresh=True,
            )


def window_steps(
    split: Split,
    size: int,
    segment: int | None,
    k: int,
    most: int,
    order: torch.Generator,
    pool: int = 0,
) -> Iterator[Step]:
    """Yield one epoch of steps in which every target has its own window.

    The targets of a step do not depend on k; they are those of a segment of `batches`.

    Args:
        split: the training data.
        size: sequences or lanes side by side.
        segment: inputs of a segment, whose targets form one step; None for whole sequences.
        k: inputs of a window; a target near the start of its sequence has fewer.
        most: approximate number of inputs of one forward pass.
        order: draws the order of the sequences; a single stream is read in its own order.
        pool: as for `batches`.
    """
    for starts, lengths in _runs(split, size, order, pool):
        for begin, end in _edges(int(lengths.max()), segment):
            target = _targets(split, starts, lengths, torch.arange(begin, end))
            chosen = target[target >= 0]
            if len(chosen):
                yield Step(len(chosen), Windows(split, chosen, k, most))


def batches(
    split: Split,
    size: int,
    segment: int | None,
    overlap: int,
    order: torch.Generator,
    pool: int = 0,
) -> Iterator[Batch]:
    """Yield one epoch of batches.

    Args:
        split: the training data.
        size: sequences or lanes side by side.
        segment: inputs that one batch scores; None for whole sequences.
        overlap: inputs before the first scored one, for models without state; rows without
            targets are then omitted.
        order: draws the order of the sequences; a single stream is read in its own order.
        pool: how many batches of sequences are drawn together and sorted by length, so that those
            side by side are about as long and few inputs are padding; 0: none. The number of
            targets in a step then varies more, and with it the weight of each.
    """
    for starts, lengths in _runs(split, size, order, pool):
        for begin, end in _edges(int(lengths.max()), segment):
            step = torch.arange(max(0, begin - overlap), end)
            index = (starts[:, None] + step).clamp(max=len(split.inputs) - 1)  # (B, L)
            target = _targets(split, starts, lengths, step)
            target[:, : begin - int(step[0])] = -1  # the overlap is read and not scored
            if overlap:  # no state is carried, so that rows that have ended can be omitted
                scored = (target >= 0).any(1)
                index, target = index[scored], target[scored]
            rows, columns = (target >= 0).nonzero(as_tuple=True)
            targets = split.targets[target[rows, columns]]
            dense = len(rows) == index.numel()
            yield Batch(split.inputs[index], rows, columns, targets, begin == 0, dense)


def _runs(
    split: Split, size: int, order: torch.Generator, pool: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the starts (B,) and lengths (B,) of sequences or lanes that are read side by side."""
    sequences = len(split.starts) - 1
    if sequences == 1:
        lane = len(split.inputs) // size
        if lane == 0:
            size, lane = 1, len(split.inputs)
        yield torch.arange(size) * lane, torch.full((size,), lane)
        return
    lengths = split.starts.diff()
    for drawn in torch.randperm(sequences, generator=order).split(size * max(pool, 1)):
        for rows in _by_length(drawn, lengths[drawn], size, order) if pool else (drawn,):
            yield split.starts[rows], lengths[rows]


def _by_length(
    drawn: Tensor, lengths: Tensor, size: int, order: torch.Generator
) -> Iterator[Tensor]:
    """Yield groups of sequences of nearly equal length, in random order."""
    groups = drawn[lengths.argsort(stable=True)].split(size)
    for group in torch.randperm(len(groups), generator=order).tolist():
        yield groups[group]


def _edges(longest: int, segment: int | None) -> Iterator[tuple[int, int]]:
    """Return the segments' bounds; only the first segment may be shorter.

    So the scored end of a sequence has a whole segment before it.
    """
    segment = segment or longest
    first = longest % segment
    return pairwise([0, *([first] if first else []), *range(first + segment, longest + 1, segment)])


def _targets(split: Split, starts: Tensor, lengths: Tensor, step: Tensor) -> Tensor:
    """Return the index of the target (B, L) at each step of each run; −1 where there is none."""
    index = (starts[:, None] + step).clamp(max=len(split.inputs) - 1)
    return torch.where(step < lengths[:, None], split.target_at[index], -1)
