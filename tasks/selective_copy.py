"""Selective copying: recall the symbols that were scattered among blanks, in their order.

After Gu & Dao 2023, "Mamba" (arXiv 2312.00752, section 3.1), there after Jing et al. 2019 (arXiv
1706.02761). One sequence has T + data inputs, ids in [0, 10):

    T inputs: `data` symbols, uniform on {1, …, 8}, at places drawn uniformly without replacement,
              and blanks (0) elsewhere;
    `data` recall marks (9).

At the j-th recall mark the target is the j-th symbol, as a number from 0 to 7. As the places vary,
a model must select what it keeps: a fixed delay, which solves copy memory, does not help.

At the j-th mark a window of k inputs misses the first a_j = T + j − k of the T places, if that is
positive (all T if k ≤ j). The number of symbols among them is hypergeometric, H(a) ~ Hyp(T, data,
a), and the j-th is not in view if H(a_j) ≥ j; then it is uniform, whatever is in view. If it is in
view, counting from the last symbol determines it. So

    L*(k) = ln 8 · (1/data) Σ_j P(H(a_j) ≥ j),

0 from k = T + 1 on: the j-th symbol is at place j or later.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import Tensor

from seqmem.errors import InputError
from seqmem.tasks.generated import GeneratedTask, longer_of
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer
from seqmem.tasks.strata import Strata, kinds_of_target
from seqmem.tasks.task import Split, Tokens

__all__ = ["SelectiveCopy"]

SYMBOLS = 8  # ids 1..8
MARK = 9
MOST_SLOTS = 32  # symbols that are shown each by itself
# At least 2,000 sequences, as of copy memory, and 40,000 targets.
SEQUENCES = {"valid": 500, "test": 2000}
TARGETS = {"valid": 8192, "test": 40_000}
TRAIN_INPUTS = 1 << 18


class SelectiveCopy(GeneratedTask):
    """``selective-copy/T=64,data=8``; ``…,longer=4`` is tested with the data among 256 places."""

    version: ClassVar[int] = 1
    fewest: ClassVar[int] = 500

    def __init__(self, places: int, data: int, longer: int = 1) -> None:
        """Take the number of places T and of symbols among them, 1 ≤ data ≤ T."""
        super().__init__(f"selective-copy/T={places},data={data}", longer)
        self.sequences = {
            "train": max(256, min(8192, TRAIN_INPUTS // (places + data))),
            **{name: max(few, -(-TARGETS[name] // data)) for name, few in SEQUENCES.items()},
        }
        places *= longer
        self.inputs = Tokens(SYMBOLS + 2)
        self.outputs = SYMBOLS
        self.loss = CrossEntropy(accuracy=True, unit="nats per recalled symbol")
        self.places, self.data = places, data
        self.longest_context = places + 1
        self.held_symbols = data

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "SelectiveCopy":
        """Return the task of an id's parameters.

        Raises:
            InputError: one is missing or not a number, T not within 1 … 5,000, data not in 1 … T.
        """
        check_names(parameters, ("T", "data"), "selective-copy/T=64,data=8", ("longer",))
        places = integer("T", parameters["T"], 1, 5000)
        try:
            data = integer("data", parameters["data"], 1, places)
        except InputError as error:
            raise InputError(f"{error}, the places of T={places}") from None
        return cls(places, data, longer_of(parameters))

    def constant(self) -> Tensor:
        """Return equal scores for all symbols."""
        return torch.zeros(SYMBOLS)

    def chance(self) -> float:
        """Return ln 8."""
        return math.log(SYMBOLS)

    @cache  # noqa: B019 - a task lives as long as the run
    def optimum(self, k: int | Literal["full"]) -> float:
        """Return ln 8 times the share of recalled symbols that are not in view."""
        if k == "full" or k >= self.longest_context:
            return 0.0
        due = np.arange(1, self.data + 1)
        missed = np.clip(self.places + due - k, 0, self.places)
        hidden = np.asarray(hypergeom.sf(due - 1, self.places, self.data, missed))
        return float(self.chance() * hidden.mean())

    def strata(self) -> tuple[Strata, ...]:
        """Return targets by which of the symbols they are; none if there are more than 32."""
        if self.data > MOST_SLOTS:
            return ()
        of = np.arange(len(self.split("test"))) % self.data
        names = [f"symbol {i}" for i in range(1, self.data + 1)]
        return kinds_of_target("slot", "which of the symbols is recalled", names, of)

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        length = self.places + self.data
        symbols = rng.integers(0, SYMBOLS, (sequences, self.data))
        inputs = np.zeros((sequences, length), np.int32)
        inputs[:, self.places :] = MARK
        # A uniform subset of the places: those of the smallest of as many random numbers.
        order = np.argsort(rng.random((sequences, self.places)), axis=1, kind="stable")
        chosen = np.sort(order[:, : self.data], axis=1)
        np.put_along_axis(inputs, chosen, (symbols + 1).astype(np.int32), 1)
        starts = np.arange(sequences + 1) * length
        positions = starts[:-1, None] + self.places + np.arange(self.data)
        return Split(
            torch.from_numpy(inputs.reshape(-1)),
            torch.from_numpy(starts),
            torch.from_numpy(positions.reshape(-1)),
            torch.from_numpy(symbols.reshape(-1)),
            torch.arange(sequences).repeat_interleave(self.data),
        )
