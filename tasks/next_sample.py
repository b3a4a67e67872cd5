"""Tasks of predicting the next sample of a recording, one of 256 levels.

A recording of n samples is a sequence of n − 1 inputs, and each target is the sample after its
input; the first one is not predicted. Training reads all its recordings one after the other, as one
stream. In validation and test each is a sequence of its own: where it has fewer than k inputs
before a target, as in all of one that is shorter than k, the window has those that there are.

Loss: cross-entropy in bits per sample. Chance: frequencies of the levels in training, each counted
at least once. The optimum is unknown.

Neighbouring samples depend on each other, so intervals treat contiguous runs of targets as the
independent units: equal runs of about one second, but at least 8 and at most 100.
"""

import hashlib
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import InputError
from seqmem.tasks.data.array_cache import Arrays
from seqmem.tasks.data.sound import LEVELS, PARTS, Part, expand
from seqmem.tasks.language import stream_split
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names
from seqmem.tasks.strata import Strata, kinds_of_target
from seqmem.tasks.task import Split, Task, Tokens

__all__ = ["RATES", "CrossEntropyInBits", "NextSample", "read_rate"]

# Samples a second -> the longest context measured, the power of two next to one second of them.
RATES: Mapping[int, int] = {8_000: 8_192, 16_000: 16_384}
RUNS = (8, 100)
LOUD = (-50, -35, -20)  # decibels, of a full-scale constant: where strata begin


@dataclass(frozen=True)
class CrossEntropyInBits(CrossEntropy):
    """−log₂ softmax(outputs)[target]."""

    unit: str = "bits per sample"

    def __call__(self, outputs: Tensor, targets: Tensor, rows: Tensor | None = None) -> Tensor:
        """(m, V) scores and (n,) class ids -> (n,) bits."""
        return super().__call__(outputs, targets, rows) / math.log(2)


class NextSample(Task):
    """The next sample of recordings, at one of the `RATES`."""

    block_name: ClassVar[str] = "run of consecutive samples"
    next_token: ClassVar[bool] = True
    stream: ClassVar[bool] = True

    def __init__(self, task_id: str, rate: int) -> None:
        """Take the id, and how many samples there are in a second."""
        self.id, self.rate = task_id, rate
        self.inputs = Tokens(LEVELS)
        self.outputs = LEVELS
        self.loss = CrossEntropyInBits()
        self.longest_context = RATES[rate]

    @property
    @abstractmethod
    def arrays(self) -> Arrays:
        """The recordings, as `pack_parts` returns them.

        Raises:
            InputError: one is missing or damaged.
        """

    def train(self, seed: int, epoch: int) -> Split:
        """Return the recordings that train, the same for every seed and epoch."""
        return self._training

    @cached_property
    def _training(self) -> Split:
        return stream_split(self._codes("train"))

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the recordings that validate or test."""
        codes, lengths = self._codes(name), self.arrays[f"lengths.{name}"]
        ends = np.cumsum(lengths)
        first, last = np.zeros(len(codes), bool), np.zeros(len(codes), bool)
        first[ends - lengths], last[ends - 1] = True, True
        targets = len(codes) - len(lengths)
        runs = min(max(targets // self.rate, RUNS[0]), RUNS[1], targets)
        return Split(
            inputs=torch.from_numpy(codes[~last]),
            starts=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths - 1)])),
            positions=torch.arange(targets),
            targets=torch.from_numpy(codes[~first]),
            blocks=torch.from_numpy(np.arange(targets) * runs // targets),
        )

    @cache  # noqa: B019 - a task lives as long as the run
    def constant(self) -> Tensor:
        """Return log frequencies of the levels in training, in nats."""
        counts = np.bincount(self.arrays["codes.train"], minlength=LEVELS).clip(min=1)
        return torch.from_numpy(np.log(counts / counts.sum())).float()

    def initial_outputs(self) -> Tensor:
        """Return log frequencies."""
        return self.constant()

    @cache  # noqa: B019 - a task lives as long as the run
    def chance(self) -> float:
        """Return the loss of the training frequencies on the test recordings, in bits."""
        nats = -self.constant().double()[self.split("test").targets.long()].mean()
        return float(nats) / math.log(2)

    @cache  # noqa: B019 - a task lives as long as the run
    def strata(self) -> tuple[Strata, ...]:
        """Return targets by how loud the 20 ms before them are."""
        split = self.split("test")
        power = expand(split.inputs.numpy()) ** 2
        until = np.concatenate([[0.0], np.cumsum(power)])
        end = np.arange(len(power)) + 1
        count = np.minimum(split.available.numpy(), self.rate // 50)
        mean = ((until[end] - until[end - count]) / count).clip(min=1e-12)
        labels = [
            f"below {LOUD[0]} dB",
            *(f"{a} to {b} dB" for a, b in pairwise(LOUD)),
            f"above {LOUD[-1]} dB",
        ]
        of = np.searchsorted(LOUD, 10 * np.log10(mean), side="right")
        meaning = "how loud the 20 ms before the target are, in decibels of full scale"
        return kinds_of_target("loudness", meaning, [x.replace("-", "−") for x in labels], of)

    @cached_property
    def data_hash(self) -> str:
        """The hash of all recordings as ids, those that train included."""
        digest = hashlib.sha256(f"{self.rate}".encode())
        for name in PARTS:
            digest.update(np.ascontiguousarray(self.arrays[f"lengths.{name}"], np.int64).tobytes())
            digest.update(np.ascontiguousarray(self.arrays[f"codes.{name}"]).data)
        return digest.hexdigest()

    def _codes(self, part: Part) -> np.ndarray[Any, np.dtype[np.int32]]:
        return self.arrays[f"codes.{part}"].astype(np.int32)


def read_rate(parameters: Mapping[str, str], example: str) -> int:
    """Return the samples a second of an id's parameters, 8,000 unless it says otherwise.

    Raises:
        InputError: another one is given, or there are other parameters.
    """
    check_names(parameters, (), example, optional=("rate",))
    text = parameters.get("rate", str(min(RATES)))
    if text not in map(str, RATES):
        raise InputError(
            f"rate={text}: the rate is {' or '.join(map(str, RATES))}, as in {example}"
        )
    return int(text)
