"""Induction: a trigger occurs once, and again at the end: what followed it?

After Fu et al. 2023, "Hungry Hungry Hippos" (arXiv 2212.14052, section 3.1; induction heads are
described by Olsson et al. 2022, arXiv 2209.11895). One sequence has T + 1 inputs: T symbols, drawn
uniformly from the ids 0 … V − 1, of which one, at a place drawn uniformly from 1 … T − 1, is
replaced by the trigger, the id V; then the trigger again. The target, scored once, at the last
input, is the symbol x that followed the first trigger.

The lag from x to the end is uniform on 1 … T − 1. A window of k inputs contains the first trigger
if lag ≤ k − 2, and then x is known. Otherwise lag ≥ k − 1: x is the first symbol of the window with
probability q = 1/(T − k + 1), as its trigger was just missed, and not in the window, hence uniform,
with probability 1 − q. The best prediction has probability u = q + (1 − q)/V for the first symbol
of the window and w = (1 − q)/V for each other one, so that for 2 ≤ k ≤ T

    L*(k) = (T − k + 1)/(T − 1) · (−u ln u − (V − 1) w ln w).

It is ln V at k = 1, and 0 from k = T on: if no trigger but the last is among T inputs, it was just
before them.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.generated import GeneratedTask, longer_of
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer
from seqmem.tasks.task import Split, Tokens

__all__ = ["Induction"]

SEQUENCES = {"valid": 2000, "test": 40_000}  # one target each
TRAIN_INPUTS = 1 << 19


class Induction(GeneratedTask):
    """``induction/V=16,T=64``; ``…,longer=4`` is tested with T = 256."""

    version: ClassVar[int] = 1
    fewest: ClassVar[int] = 10_000

    def __init__(self, symbols: int, length: int, longer: int = 1) -> None:
        """Take the number of symbols V and of inputs T before the last trigger, both at least 2."""
        super().__init__(f"induction/V={symbols},T={length}", longer)
        trained = max(256, min(8192, TRAIN_INPUTS // (length + 1)))
        self.sequences = {"train": trained, **SEQUENCES}
        self.inputs = Tokens(symbols + 1)
        self.outputs = symbols
        self.loss = CrossEntropy(accuracy=True, unit="nats per sequence")
        self.symbols = symbols
        self.length = self.longest_context = length * longer

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Induction":
        """Return the task of an id's parameters.

        Raises:
            InputError: one is missing or not a number, V not within 2 … 1,024, T not in 2 … 5,000.
        """
        check_names(parameters, ("V", "T"), "induction/V=16,T=64", ("longer",))
        symbols = integer("V", parameters["V"], 2, 1024)
        length = integer("T", parameters["T"], 2, 5000)
        return cls(symbols, length, longer_of(parameters))

    def constant(self) -> Tensor:
        """Return equal scores for all symbols."""
        return torch.zeros(self.symbols)

    def chance(self) -> float:
        """Return ln V."""
        return math.log(self.symbols)

    def optimum(self, k: int | Literal["full"]) -> float:
        """Return the share of first triggers not in view, times the entropy of x given that."""
        if k == 1:
            return self.chance()
        if k == "full" or k >= self.length:
            return 0.0
        without = self.length - k + 1  # lags at which the first trigger is not in view
        other = (1 - 1 / without) / self.symbols
        first = 1 / without + other
        entropy = -first * math.log(first) - (self.symbols - 1) * other * math.log(other)
        return entropy * without / (self.length - 1)

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        length, row = self.length + 1, np.arange(sequences)
        inputs = rng.integers(0, self.symbols, (sequences, length), dtype=np.int32)
        trigger = rng.integers(0, self.length - 1, sequences)
        inputs[row, trigger] = inputs[:, -1] = self.symbols
        starts = np.arange(sequences + 1) * length
        return Split(
            torch.from_numpy(inputs.reshape(-1)),
            torch.from_numpy(starts),
            torch.from_numpy(starts[1:] - 1),
            torch.from_numpy(inputs[row, trigger + 1].astype(np.int64)),
            torch.from_numpy(row),
        )
