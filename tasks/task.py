"""What a task is: inputs in sequences, targets at some positions, a loss, and what is known of it.

Every family fits one shape. All sequences of a split lie end to end in one array; a target is
predicted once its position has been read. A corpus is one long sequence, copy memory is many
short ones with ten targets each, the adding problem has one target for each sequence.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks import family_of
from seqmem.tasks.losses import Loss

__all__ = [
    "Context",
    "Features",
    "InputSpec",
    "Split",
    "Task",
    "Tokens",
    "generator",
    "geometric_contexts",
]


Context = int | Literal["full"]  # a context length k


@dataclass(frozen=True)
class Tokens:
    """Inputs are ids in [0, vocabulary)."""

    vocabulary: int


@dataclass(frozen=True)
class Features:
    """Inputs are vectors of floats."""

    dimension: int


InputSpec = Tokens | Features


@dataclass(frozen=True)
class Split:
    """Sequences laid end to end, and the targets to be predicted from them.

    Attributes:
        inputs: (N,) int32 ids, or (N, D) float32.
        starts: (S + 1,) int64, where each sequence begins in `inputs`; the last entry is N.
        positions: (n,) int64, ascending; target j is predicted once inputs[positions[j]] is read.
        targets: (n,) ids or floats, one for each position, or (n, D) uint8 zeros and ones.
        blocks: (n,) int64, ascending; targets of one block (document, sequence) are dependent.
    """

    inputs: Tensor
    starts: Tensor
    positions: Tensor
    targets: Tensor
    blocks: Tensor

    def __len__(self) -> int:
        """Count the targets."""
        return len(self.positions)

    @cached_property
    def available(self) -> Tensor:
        """(n,) how many inputs, its own among them, a target's sequence has given so far."""
        sequence = torch.searchsorted(self.starts, self.positions, right=True) - 1
        return self.positions - self.starts[sequence] + 1

    @cached_property
    def target_at(self) -> Tensor:
        """(N,) the index of the target predicted at each input, −1 where there is none."""
        index = torch.full((len(self.inputs),), -1, dtype=torch.int64)
        index[self.positions] = torch.arange(len(self.positions))
        return index

    def subset(self, chosen: Tensor) -> "Split":
        """Keep the targets with the (ascending) indices `chosen`; the inputs stay."""
        return Split(
            self.inputs,
            self.starts,
            self.positions[chosen],
            self.targets[chosen],
            self.blocks[chosen],
        )

    def prefix(self, targets: int) -> "Split":
        """Keep the first targets, and no inputs behind the last of them."""
        kept = self.subset(torch.arange(min(targets, len(self))))
        end = int(kept.positions[-1]) + 1
        starts = torch.cat([self.starts[self.starts < end], torch.tensor([end])])
        return Split(self.inputs[:end], starts, kept.positions, kept.targets, kept.blocks)

    def fingerprint(self) -> str:
        """Hash inputs, sequence bounds, positions and targets: sha256, as hex."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.starts, self.positions, self.targets):
            digest.update(f"{array.dtype}{tuple(array.shape)}".encode())
            digest.update(array.contiguous().view(-1).numpy().data)  # no copy: it may be a gigabyte
        return digest.hexdigest()


class Task(ABC):
    """One task at one setting.

    Attributes:
        version: counts the changes that make older scores incomparable.
        block_name: what one block of dependent targets is.
        next_token: whether inputs are ids and each target is the input that comes next.
        stream: whether the training data are one long sequence, too long to train through.
        id: the task's id.
        inputs: what one input is.
        outputs: how many numbers the model gives for each position.
        loss: the loss of one target.
        longest_context: the longest k at which more context can still help, as far as is known.
    """

    version: ClassVar[int]
    block_name: ClassVar[str] = "sequence"
    next_token: ClassVar[bool] = False
    stream: ClassVar[bool] = False

    id: str
    inputs: InputSpec
    outputs: int
    loss: Loss
    longest_context: int

    @property
    def family(self) -> str:
        """The part of the id before the parameters."""
        return family_of(self.id)

    @property
    def contexts(self) -> tuple[int, ...]:
        """The context lengths measured unless others are asked for."""
        return geometric_contexts(self.longest_context)

    @abstractmethod
    def train(self, seed: int, epoch: int) -> Split:
        """Give the training data of one epoch; a synthetic task draws it anew for every epoch.

        Raises:
            InputError: the task has no training data: only trained models can be measured on it.
        """

    def training_hash(self, seed: int) -> str:
        """The content hash of everything that a model learns from: sha256, as hex."""
        return self.train(seed, 0).fingerprint()

    @abstractmethod
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Give the fixed validation or test data."""

    @abstractmethod
    def constant(self) -> Tensor:
        """Give the best output that depends on no input: (outputs,) float32."""

    @abstractmethod
    def chance(self) -> float:
        """Give the loss of `constant`: the best predictor that remembers nothing."""

    def optimum(self, k: Context) -> float | None:
        """Give the smallest loss any predictor can reach with context k; None where unknown."""
        return None

    def initial_outputs(self) -> Tensor | None:
        """Give the outputs, (outputs,), that training had best start from; None for zeros."""
        return None

    def dense_split(self, name: Literal["valid", "test"]) -> Split | None:
        """Give the split with a target at every position, where that is another score in use."""
        return None

    @cached_property
    def data_hash(self) -> str:
        """The content hash of everything a score depends on: sha256, as hex."""
        return self.split("test").fingerprint()


def geometric_contexts(longest: int) -> tuple[int, ...]:
    """Give 1, 2, 4, … up to `longest`, and `longest` itself."""
    powers = [1 << i for i in range(longest.bit_length())]
    return tuple(powers) if powers[-1] == longest else (*powers, longest)


_STREAMS = {"train": 0, "valid": 1, "test": 2}


def generator(name: str, split: str, seed: int = 0, epoch: int = 0) -> np.random.Generator:
    """Give the random stream of one split of one task, apart from every other one.

    The streams of different names, splits, seeds and epochs are separate children of one
    ``numpy.random.SeedSequence``, so that no test sequence is drawn from a training stream.
    """
    entropy = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    key = (_STREAMS[split], seed, epoch)
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
