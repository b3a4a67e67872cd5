"""Associative recall: given a key, recall the value that it came with before.

After the multi-query associative recall of Arora et al. 2023, "Zoology" (arXiv 2312.04927); with
one query it was posed by Graves et al. 2014 (arXiv 1410.5401, section 4.3). One sequence is

    key, value, key, value, …, key        of P = 4·keys pairs, without the last value.

Keys are drawn independently, key j of 1 … keys with probability p_j proportional to j^−zipf. In
each sequence every key has one value, drawn uniformly from `values`. Keys are the ids 0 … keys − 1,
value v is the id keys + v. At every key the target is its value v, also where it has not occurred
before and can only be guessed.

A window of an odd number k of inputs that ends with a key has m = (k − 1)/2 complete pairs before
it, fewer near the start of a sequence. The value is known if the key is among them, and otherwise
uniform, whatever the other pairs:

    L*(k) = ln(values) · mean over n = 0 … P − 1 of Σ_j p_j (1 − p_j)^min(m, n),

where n counts the pairs before a target. An even k shows one more value without its key, which says
a little about a key that was not seen; the optimum there is not known, and such k are not measured
by default.

The law. With keys asked alike, zipf = 0, (1 − 1/keys)^m is exactly an exponential in the pairs m.
With infinitely many keys and zipf = a > 1 the sum over keys becomes an integral for large m, and
falls as m^−(1 − 1/a). The few most frequent keys make it no power law for small m. A finite number
of keys ends it: the least frequent one is p = p_keys, and while m p is small, all that is missing
of the infinite sum is nearly a constant. Computed from the formula above for a from 1.5 to 3, the
exponent between m and 4 m is within about 10 % of 1 − 1/a from m = 16, and 2 % from m = 64, up to
about m = 0.1/p; for a = 1.2 and 1,024 keys it is within 10 % from 32 to 256.
"""

import math
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.generated import GeneratedTask, longer_of
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer, number
from seqmem.tasks.strata import Strata, by_recurrence, kinds_of_target, previous
from seqmem.tasks.task import Split, Tokens, geometric_contexts

__all__ = ["AssociativeRecall"]

PAIRS_PER_KEY = 4  # with equal frequencies 98 % of the keys have occurred at the end
TARGETS = {"train": 1 << 17, "valid": 8192, "test": 1 << 16}
SEQUENCES = 128  # at least, however long they are: an interval is over sequences


class AssociativeRecall(GeneratedTask):
    """``associative-recall/keys=32,values=64,zipf=0``; ``…,longer=4`` is tested on more pairs."""

    version: ClassVar[int] = 1

    def __init__(self, keys: int, values: int, zipf: float, longer: int = 1) -> None:
        """Take the numbers of keys and of values, and the exponent of the keys' frequencies."""
        super().__init__(f"associative-recall/keys={keys},values={values},zipf={zipf:g}", longer)
        self.inputs = Tokens(keys + values)
        self.outputs = values
        self.loss = CrossEntropy(accuracy=True, unit="nats per value")
        self.keys, self.values, self.zipf = keys, values, zipf
        usual = PAIRS_PER_KEY * keys
        self.sequences = {name: max(SEQUENCES, -(-n // usual)) for name, n in TARGETS.items()}
        self.pairs = usual * longer
        self.longest_context = 2 * self.pairs - 1
        # The values of all keys, if they are asked alike.
        self.held_symbols = keys if zipf == 0 else None

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "AssociativeRecall":
        """Return the task of an id's parameters.

        Raises:
            InputError: one is missing, or not within 2 … 1,024 for keys and values, 0 … 3 for zipf.
        """
        names = ("keys", "values", "zipf")
        example = "associative-recall/keys=32,values=64,zipf=0"
        check_names(parameters, names, example, ("longer",))
        keys, values = (integer(name, parameters[name], 2, 1024) for name in names[:2])
        zipf = number("zipf", parameters["zipf"], 0, 3)
        return cls(keys, values, zipf, longer_of(parameters))

    @property
    def contexts(self) -> tuple[int, ...]:
        """A key and 0, 1, 2, 4, … pairs before it: 1, 3, 5, 9 and so on."""
        return (1, *(2 * m + 1 for m in geometric_contexts(self.pairs - 1)))

    @property
    def frequencies(self) -> np.ndarray:
        """(keys,) p_j."""
        weights = np.arange(1.0, self.keys + 1) ** -self.zipf
        return np.asarray(weights / weights.sum())

    def constant(self) -> Tensor:
        """Return equal scores for all values."""
        return torch.zeros(self.values)

    def chance(self) -> float:
        """Return ln(values)."""
        return math.log(self.values)

    @cache  # noqa: B019 - a task lives as long as the run
    def optimum(self, k: int | Literal["full"]) -> float | None:
        """Return ln(values) times the share of targets without their key in view; see above."""
        if k == "full" or k > self.longest_context:
            k = self.longest_context
        if k % 2 == 0:
            return None
        p = self.frequencies
        missed = [float(p @ (1 - p) ** m) for m in range((k - 1) // 2 + 1)]
        total = math.fsum(missed) + missed[-1] * (self.pairs - len(missed))
        return self.chance() * min(1.0, total / self.pairs)  # sums of p may exceed 1 by rounding

    def strata(self) -> tuple[Strata, ...]:
        """Return targets by whether, and how long ago, their value stood after the same key."""
        split = self.split("test")
        inputs, positions = split.inputs.numpy(), split.positions.numpy()
        # The value stands one input after its key, as many inputs ago as the keys are apart.
        ago = positions - previous(inputs, inputs[positions], positions - 1)
        ago[ago >= split.available.numpy()] = 0  # the key is in an earlier sequence, or nowhere
        seen = kinds_of_target(
            "key", "whether the key occurred before", ("new", "seen before"), ago > 0
        )
        return seen + by_recurrence(ago, "how many inputs ago the value last stood after its key")

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        length = 2 * self.pairs - 1
        cumulative = np.cumsum(self.frequencies)
        drawn = np.searchsorted(cumulative, rng.random((sequences, self.pairs)), side="right")
        keys = np.minimum(drawn, self.keys - 1)  # the last sum may be below 1 by rounding
        values = rng.integers(0, self.values, (sequences, self.keys))
        recalled = np.take_along_axis(values, keys, 1)
        inputs = np.empty((sequences, length), np.int32)
        inputs[:, ::2] = keys
        inputs[:, 1::2] = self.keys + recalled[:, :-1]
        starts = np.arange(sequences + 1) * length
        positions = starts[:-1, None] + 2 * np.arange(self.pairs)
        return Split(
            torch.from_numpy(inputs.reshape(-1)),
            torch.from_numpy(starts),
            torch.from_numpy(positions.reshape(-1)),
            torch.from_numpy(recalled.reshape(-1)),
            torch.arange(sequences).repeat_interleave(self.pairs),
        )
