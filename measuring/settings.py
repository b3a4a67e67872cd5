"""How models are measured: context lengths, precision, floating-point type, device."""

import copy
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch

from seqmem.measuring.precision import USUAL, Precision
from seqmem.provenance import source_sha256
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task

__all__ = ["DTYPES", "DType", "MeasurementSettings"]

DType = Literal["float32", "bfloat16"]
DTYPES: tuple[DType, ...] = ("float32", "bfloat16")

Model = TypeVar("Model", bound=SequenceModel)


@dataclass(frozen=True)
class MeasurementSettings:
    """How models are measured.

    Attributes:
        contexts: context lengths, ascending, full last; None for the task's own.
        longest_context: the longest of the task's own context lengths to use; None for all.
        precision: the precision of every mean loss; None: every target is scored.
        every_k: whether every whole number up to the longest context is measured.
        dtype: the floating-point type in which the model computes.
        device: where the model runs.
        sample_seed: seed of the samples of windows.
    """

    contexts: tuple[Context, ...] | None = None
    longest_context: int | None = None
    precision: Precision | None = USUAL
    every_k: bool = False
    dtype: DType = "float32"
    device: str = "cpu"
    sample_seed: int = 0

    def grid(self, task: Task) -> tuple[Context, ...]:
        """Return the context lengths requested, without those that `every_k` adds."""
        longest = self.longest_context or task.longest_context
        return self.contexts or (*(k for k in task.contexts if k <= longest), "full")

    def contexts_for(self, task: Task) -> tuple[Context, ...]:
        """Return the context lengths to measure on a task."""
        contexts = self.grid(task)
        if self.every_k:
            longest = max((k for k in contexts if k != "full"), default=0)
            contexts = (*range(1, longest + 1), *(("full",) if "full" in contexts else ()))
        return contexts

    def half_width(self, task: Task) -> float | None:
        """Return the precision in the loss's unit.

        Raises:
            InputError: it is smaller than the rounding error of a loss.
        """
        return None if self.precision is None else self.precision.half_width(task)

    def cast(self, model: Model) -> Model:
        """Return the model itself in float32, or a copy of it in another floating-point type."""
        if self.dtype == "float32":
            return model
        return copy.deepcopy(model).to(getattr(torch, self.dtype))

    def identity(self, task: Task) -> dict[str, Any]:
        """Return everything that determines what is measured for given weights."""
        return {
            "contexts": self.contexts_for(task),
            "precision": self.half_width(task),
            "every_k": self.every_k,
            "dtype": self.dtype,
            "test": task.data_hash,
            "sample_seed": self.sample_seed,
            "source": source_sha256("seqmem.measuring.record"),
        }
