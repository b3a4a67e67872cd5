"""The adding problem: add the two marked numbers of a sequence.

After Bai, Kolter & Koltun 2018 (arXiv 1803.01271, section 5.2; first posed by Hochreiter &
Schmidhuber 1997). One sequence has T inputs (value, marker): values uniform on [0, 1), markers 1
at two positions drawn uniformly without replacement and 0 elsewhere. The target is the sum of
the two marked values, scored once, at the last input, by the squared error.

A predictor with k inputs that sees V of the markers does best to answer the visible sum plus ½
for each unseen one; every unseen one costs 1/12. Since E[V] = 2k/T, L*(k) = (T − k)/(6T): a
straight line from 1/6 to 0, whose inverse k = T(1 − 6·MSE) reads the memory off a model.
"""

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.losses import SquaredError
from seqmem.tasks.parameters import integer, only
from seqmem.tasks.task import Features, Split, Task, generator

__all__ = ["AddingProblem"]

# At chance one squared error has a standard deviation of 0.197; 40,000 of them give ±0.002.
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
        self.loss = SquaredError(unit="squared value per sequence")
        self.length = self.longest_context = length

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "AddingProblem":
        """Read the parameters of an id.

        Raises:
            InputError: T is missing, not a number, or not within 2 … 5,000.
        """
        only(parameters, ("T",), "adding-problem/T=50")
        return cls(integer("T", parameters["T"], 2, 5000))

    def train(self, seed: int, epoch: int) -> Split:
        """Draw one epoch's sequences."""
        sequences = max(256, min(8192, TRAIN_INPUTS // self.length))
        return self._draw(generator(self.id, "train", seed, epoch), sequences)

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Give the fixed sequences."""
        return self._draw(generator(self.id, name), SEQUENCES[name])

    def constant(self) -> Tensor:
        """One: the mean of the sum of two uniform numbers."""
        return torch.ones(1)

    def chance(self) -> float:
        """1/6: the variance of the sum of two uniform numbers."""
        return 1 / 6

    def optimum(self, k: int | Literal["full"]) -> float:
        """(T − k)/(6T)."""
        return 0.0 if k == "full" else max(0, self.length - k) / (6 * self.length)

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        length = self.length
        inputs = np.zeros((sequences, length, 2), np.float32)
        inputs[..., 0] = rng.random((sequences, length), np.float32)
        first = rng.integers(0, length, sequences)
        # Uniform over the other T − 1 positions: step past the first.
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
