"""Data-parallel training: each process of a group learns from its share of every batch.

A share is a range of rows (sequences, or lanes of a stream), so that a carried state stays in its
process. Gradients are summed before each step, and all processes take the same step. torch's
DistributedDataParallel is not used: its hooks do not see the readout's gradient, which is computed
without a graph (readout_gradient.py).
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

__all__ = ["SINGLE_PROCESS", "ProcessGroup"]


@dataclass(frozen=True)
class ProcessGroup:
    """The group of processes that train one model, as seen by one of them.

    The processes of a group of more than one must have joined torch's default process group, and
    must call the same methods in the same order.

    Attributes:
        rank: the number of this process, from 0; process 0 validates and writes checkpoints.
        size: the number of processes.
    """

    rank: int = 0
    size: int = 1

    def seed(self, seed: int) -> int:
        """Return the seed of this process's dropout: the given one for process 0."""
        if self.rank == 0:
            return seed
        # torch's generator on CPUs uses only 32 bits of a seed.
        return int.from_bytes(hashlib.sha256(f"{seed} {self.rank}".encode()).digest()[:4])

    def share(self, step: Step) -> Step:
        """Return a step with the rows of this process, and the number of targets of all."""
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

    def all_reduce(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors of one dtype by their sums over all processes, in one message."""
        together = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(together)
        parts = together.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def broadcast(self, value: Callable[[], float]) -> float:
        """Return a number that process 0 computes."""
        if self.size == 1:
            return value()
        number = torch.tensor(value() if self.rank == 0 else 0.0, dtype=torch.float64)
        dist.broadcast(number, 0)
        return number.item()

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes in process 0, an empty list in the others.

        Args:
            value: tensors in whatever structure torch.load reads with weights_only.
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


SINGLE_PROCESS = ProcessGroup()
