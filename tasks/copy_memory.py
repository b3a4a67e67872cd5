"""Copy memory: recall ten symbols after a delay.

After Bai, Kolter & Koltun 2018 (arXiv 1803.01271, section 5.2; first posed by Hochreiter &
Schmidhuber 1997). One sequence has T + 20 inputs, ids in [0, 10):

    s_1 … s_10, T − 1 blanks (0), 11 delimiters (9);      s_i uniform on {1, …, 8}

At the last ten inputs the targets are s_1 … s_10, and only these ten are scored. A model is
trained, as in the paper, on all T + 20 positions: the target is 0 wherever nothing is recalled.

With a fixed T every symbol is recalled exactly T + 10 inputs later, so a predictor with k inputs
knows all or nothing: L*(k) = ln 8 for k ≤ T + 10 and 0 from k = T + 11, a cliff. With ``T=a-b`` the
delay is drawn uniformly for each sequence, and L*(k) = ln 8 · P(T + 10 ≥ k), a ramp: the number of
delimiters in the window determines which symbol is due, the end of the symbols where it is.

This is the expectation over delays. The 2,000 delays of a test set have another share beyond k by
chance, and its bound is ln 8 times that share: for ``T=10-50`` 1.491 instead of 1.471 at k = 32,
and 0.062 instead of 0.051 at k = 60. With a fixed T both are the same.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer_range
from seqmem.tasks.strata import Strata, kinds_of_target
from seqmem.tasks.task import Split, Task, Tokens, generator, geometric_contexts

__all__ = ["CopyMemory"]

SYMBOLS = 8  # ids 1..8
RECALLED = 10
BLANK, DELIMITER = 0, 9

# 2,000 sequences have 20,000 scored targets. If all ten of a sequence were right or wrong together,
# an accuracy of one half would have an interval of ±2.2 %; if they were independent, ±0.7 %.
SEQUENCES = {"valid": 500, "test": 2000}
TRAIN_INPUTS = 1 << 18  # inputs drawn for one epoch


class CopyMemory(Task):
    """``copy-memory/T=30`` or ``copy-memory/T=10-50``."""

    version: ClassVar[int] = 1

    def __init__(self, shortest: int, longest: int) -> None:
        """Take the range of the delay T, both ends included, 1 ≤ shortest ≤ longest."""
        span = f"{shortest}" if shortest == longest else f"{shortest}-{longest}"
        self.id = f"copy-memory/T={span}"
        self.inputs = Tokens(SYMBOLS + 2)
        self.outputs = SYMBOLS + 2
        self.loss = CrossEntropy(accuracy=True, unit="nats per recalled symbol")
        self.shortest, self.longest = shortest, longest
        self.longest_context = longest + RECALLED + 1
        self.held_symbols = RECALLED

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "CopyMemory":
        """Return the task of an id's parameters.

        Raises:
            InputError: T is missing, not a number or range, or not within 1 … 10,000.
        """
        check_names(parameters, ("T",), "copy-memory/T=30 or copy-memory/T=10-50")
        return cls(*integer_range("T", parameters["T"], 1, 10_000))

    @property
    def contexts(self) -> tuple[int, ...]:
        """Powers of two, and both sides of the cliff, or of the ramp's end."""
        cliff = self.longest_context
        return (*(k for k in geometric_contexts(cliff) if k < cliff - 1), cliff - 1, cliff)

    def train(self, seed: int, epoch: int) -> Split:
        """Draw one epoch's sequences; every position has a target."""
        mean_length = (self.shortest + self.longest) // 2 + 2 * RECALLED
        sequences = max(64, min(8192, TRAIN_INPUTS // mean_length))
        return self._draw(generator(self.id, "train", seed, epoch), sequences, everywhere=True)

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the fixed sequences, with the ten recalled symbols of each as targets."""
        return self._draw(generator(self.id, name), SEQUENCES[name], everywhere=False)

    def dense_split(self, name: Literal["valid", "test"]) -> Split:
        """Return the same sequences with a target at every position (the loss of Bai et al.)."""
        return self._draw(generator(self.id, name), SEQUENCES[name], everywhere=True)

    def constant(self) -> Tensor:
        """Return equal scores for the eight symbols, and none for blank and delimiter."""
        return torch.tensor([-100.0] + [0.0] * SYMBOLS + [-100.0])

    def chance(self) -> float:
        """Return ln 8: a uniform guess among the symbols."""
        return math.log(SYMBOLS)

    def optimum(self, k: int | Literal["full"]) -> float:
        """Return ln 8 · P(T + 10 ≥ k): the cliff, or the ramp."""
        if k == "full":
            return 0.0
        delays = self.longest - self.shortest + 1
        too_far = min(delays, max(0, self.longest + RECALLED - k + 1))
        return math.log(SYMBOLS) * too_far / delays

    def strata(self) -> tuple[Strata, ...]:
        """Return targets by which of the ten symbols they are."""
        of = np.arange(len(self.split("test"))) % RECALLED
        names = [f"symbol {i}" for i in range(1, RECALLED + 1)]
        return kinds_of_target("slot", "which of the symbols is recalled", names, of)

    def _draw(self, rng: np.random.Generator, sequences: int, *, everywhere: bool) -> Split:
        delays = rng.integers(self.shortest, self.longest + 1, sequences)
        symbols = rng.integers(1, SYMBOLS + 1, (sequences, RECALLED), dtype=np.int32)
        ends = np.cumsum(delays + 2 * RECALLED)
        starts = np.concatenate([[0], ends])
        ten = np.arange(RECALLED)
        inputs = np.full(starts[-1], BLANK, np.int32)
        inputs[starts[:-1, None] + ten] = symbols
        recalled = ends[:, None] - RECALLED + ten  # (sequences, 10)
        inputs[recalled] = DELIMITER
        inputs[recalled[:, 0] - 1] = DELIMITER
        if everywhere:
            positions = np.arange(starts[-1])
            targets = np.full(starts[-1], BLANK, np.int64)
            targets[recalled] = symbols
            blocks = np.repeat(np.arange(sequences), delays + 2 * RECALLED)
        else:
            positions = recalled.reshape(-1)
            targets = symbols.reshape(-1).astype(np.int64)
            blocks = np.repeat(np.arange(sequences), RECALLED)
        return Split(
            *map(torch.from_numpy, (inputs, starts, positions, targets, blocks)),
        )
