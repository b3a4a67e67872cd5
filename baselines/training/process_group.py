"""Processes that train one model together: each learns from its share of every batch.

A share is some of the rows (sequences, or lanes of a stream), so that a carried state stays where
it is. Gradients are added up before each step, and all take the same one. torch's
DistributedDataParallel is not used: the readout's gradient is written without a graph
(readout_gradient.py), which its hooks would not see.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from seqmem.baselines.training.batches import Batch, Step

__all__ = ["ALONE", "Team"]


@dataclass(frozen=True)
class Team:
    """One process among those that train a model; alone, it has all of every batch.

    More than one must have joined torch's default process group, and all must call the same
    methods in the same order.

    Attributes:
        rank: its number, from 0 on; 0 validates, and writes checkpoints.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def seed(self, seed: int) -> int:
        """Give the seed of dropout here: another in each, the given one in the first."""
        if self.rank == 0:
            return seed
        # Of a seed, torch's generator on CPUs takes no more than these 32 bits.
        return int.from_bytes(hashlib.sha256(f"{seed} {self.rank}".encode()).digest()[:4])

    def share(self, step: Step) -> Step:
        """Give a step with this one's rows alone; it still says how many targets all have."""
        if self.size == 1:
            return step
        return Step(step.targets, map(self._rows, step.passes))

    def _rows(self, batch: Batch) -> Batch:
        first, end = (len(batch.inputs) * rank // self.size for rank in (self.rank, self.rank + 1))
        mine = (batch.rows >= first) & (batch.rows < end)
        return replace(
            batch,
            inputs=batch.inputs[first:end],
            rows=batch.rows[mine] - first,
            columns=batch.columns[mine],
            targets=batch.targets[mine],
        )

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype by their sums over all, in one message."""
        together = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(together)
        parts = together.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def from_first(self, value: Callable[[], float]) -> float:
        """Give a number that the first one computes."""
        if self.size == 1:
            return value()
        number = torch.tensor(value() if self.rank == 0 else 0.0, dtype=torch.float64)
        dist.broadcast(number, 0)
        return number.item()

    def gathered(self, value: Any) -> list[Any]:
        """Give the first one everybody's value, made of tensors on any device; the others nothing.

        Args:
            value: what torch.load takes with weights_only.
        """
        if self.size == 1:
            return [value]
        packed = io.BytesIO()
        torch.save(value, packed)
        every: list[Any] | None = [None] * self.size if self.rank == 0 else None
        dist.gather_object(packed.getvalue(), every)
        return [
            torch.load(io.BytesIO(each), map_location="cpu", weights_only=True)
            for each in every or ()
        ]


ALONE = Team()
