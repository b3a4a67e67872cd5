"""The adding problem: add the two marked numbers of a sequence.

After Bai, Kolter & Koltun 2018 (arXiv 1803.01271, section 5.2; first posed by Hochreiter &
Schmidhuber 1997). One sequence has T inputs (value, marker): values uniform on [0, 1), markers 1
at two positions drawn uniformly without replacement and 0 elsewhere. The target is the sum of
the two marked values, scored once, at the last input, by the squared error.

The best prediction from k inputs is the sum of the visible marked numbers plus ½ for each marker
that is not visible, which costs 1/12. On average 2k/T markers are visible, so L*(k) = (T − k)/(6T):
a straight line from 1/6 to 0. Its inverse k = T(1 − 6·MSE) is a model's memory.
"""

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.losses import SquaredError
from seqmem.tasks.parameters import check_names, integer
from seqmem.tasks.task import Features, Split, Task, generator

__all__ = ["AddingProblem"]

# At chance a squared error has a standard deviation of 0.197; a mean of 40,000 is within ±0.002.
SEQUENCES = {"valid": 2000, "test": 40_000}
TRAIN_INPUTS = 1 << 19


class AddingProblem(Task):
    """``adding-problem/T=200``."""

    version: ClassVar[int] = 1

    def __init__(self, length: int) -> None:
        """Take the sequence length T ≥ 2."""
        self.id = f"adding-problem/T={length}"
        self.inputs = Features(2)
        self.outputs = 1
        self.loss = SquaredError()
        self.length = self.longest_context = length

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "AddingProblem":
        """Return the task of an id's parameters.

        Raises:
            InputError: T is missing, not a number, or not within 2 … 5,000.
        """
        check_names(parameters, ("T",), "adding-problem/T=50")
        return cls(integer("T", parameters["T"], 2, 5000))

    def train(self, seed: int, epoch: int) -> Split:
        """Draw one epoch's sequences."""
        sequences = max(256, min(8192, TRAIN_INPUTS // self.length))
        return self._draw(generator(self.id, "train", seed, epoch), sequences)

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the fixed sequences."""
        return self._draw(generator(self.id, name), SEQUENCES[name])

    def constant(self) -> Tensor:
        """Return one: the mean of the sum of two uniform numbers."""
        return torch.ones(1)

    def chance(self) -> float:
        """Return 1/6: the variance of the sum of two uniform numbers."""
        return 1 / 6

    def optimum(self, k: int | Literal["full"]) -> float:
        """Return (T − k)/(6T)."""
        return 0.0 if k == "full" else max(0, self.length - k) / (6 * self.length)

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        length = self.length
        inputs = np.zeros((sequences, length, 2), np.float32)
        inputs[..., 0] = rng.random((sequences, length), np.float32)
        first = rng.integers(0, length, sequences)
        # Uniform over the other T − 1 positions: skip the first.
        second = rng.integers(0, length - 1, sequences)
        second += second >= first
        row = np.arange(sequences)
        inputs[row, first, 1] = inputs[row, second, 1] = 1.0
        targets = inputs[row, first, 0] + inputs[row, second, 0]
        starts = np.arange(sequences + 1) * length
        return Split(
            torch.from_numpy(inputs.reshape(-1, 2)),
            torch.from_numpy(starts),
            torch.from_numpy(starts[1:] - 1),
            torch.from_numpy(targets),
            torch.from_numpy(row),
        )
