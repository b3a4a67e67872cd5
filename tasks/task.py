"""The interface of a task: sequences of inputs, targets at some positions, a loss, known optima.

All families have one form. All sequences of a split are concatenated in one array; a target is
predicted once the input at its position has been read. A corpus is one long sequence, copy memory
is many short ones with ten targets each, the adding problem has one target for each sequence.
"""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks import family_of
from seqmem.tasks.losses import Loss

if TYPE_CHECKING:
    from seqmem.tasks.strata import Strata

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
    """Inputs are ids in [0, vocabulary).

    Attributes:
        vocabulary: the number of ids.
        separator: the id between source and target, where a sequence has both; None: it has not.
    """

    vocabulary: int
    separator: int | None = None


@dataclass(frozen=True)
class Features:
    """Inputs are vectors of floats.

    Attributes:
        dimension: the size of a vector.
        bounded: whether all floats lie in [−1, 1].
    """

    dimension: int
    bounded: bool = True


InputSpec = Tokens | Features


@dataclass(frozen=True)
class Split:
    """Concatenated sequences, and the targets to be predicted from them.

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
        """Return the number of targets."""
        return len(self.positions)

    @cached_property
    def available(self) -> Tensor:
        """(n,) how many inputs of its sequence a target can see, its own position included."""
        sequence = torch.searchsorted(self.starts, self.positions, right=True) - 1
        return self.positions - self.starts[sequence] + 1

    @cached_property
    def target_at(self) -> Tensor:
        """(N,) the index of the target predicted at each input; −1 if there is none."""
        index = torch.full((len(self.inputs),), -1, dtype=torch.int64)
        index[self.positions] = torch.arange(len(self.positions))
        return index

    def subset(self, chosen: Tensor) -> "Split":
        """Return the split with the targets `chosen` (ascending indices) and all inputs."""
        return Split(
            self.inputs,
            self.starts,
            self.positions[chosen],
            self.targets[chosen],
            self.blocks[chosen],
        )

    def prefix(self, targets: int) -> "Split":
        """Return the split with the first targets, and the inputs up to the last of them."""
        kept = self.subset(torch.arange(min(targets, len(self))))
        end = int(kept.positions[-1]) + 1
        starts = torch.cat([self.starts[self.starts < end], torch.tensor([end])])
        return Split(self.inputs[:end], starts, kept.positions, kept.targets, kept.blocks)

    def fingerprint(self) -> str:
        """Return the sha256 of inputs, sequence bounds, positions and targets, as hex."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.starts, self.positions, self.targets):
            digest.update(f"{array.dtype}{tuple(array.shape)}".encode())
            digest.update(array.contiguous().view(-1).numpy().data)  # no copy: it may be a gigabyte
        return digest.hexdigest()


class Task(ABC):
    """One task with its parameters.

    Attributes:
        version: a number, incremented when older scores become incomparable.
        block_name: what one block of dependent targets is.
        next_token: whether inputs are ids and each target is the next input.
        stream: whether the training data are one long sequence, too long to train through.
        id: the task's id.
        inputs: the type of an input.
        outputs: how many numbers the model returns for each position.
        loss: the loss of one target.
        longest_context: the longest k at which more context may still help, as far as is known.
        held_symbols: how many independent, uniform symbols, each worth `chance`, the targets of a
            sequence ask back alike, which defines the bits that a model holds
            (`seqmem.leaderboard.statistics.bits_held`); None: they do not, and it has no such bits.
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
    held_symbols: int | None = None

    def __repr__(self) -> str:
        """Return it in one line."""
        return f"{self.id}: {self.loss.name}, context up to k = {self.longest_context:,} may help"

    @property
    def family(self) -> str:
        """The part of the id before the parameters."""
        return family_of(self.id)

    @property
    def user_file(self) -> str | None:
        """The path or glob in the id of files that only its user has; None if it names none."""
        return None

    @property
    def note(self) -> str:
        """What its user must know about its data; empty for most."""
        return ""

    @property
    def trained_on(self) -> "Task":
        """The task whose training and validation data it has: itself, or one it is a variant of."""
        return self

    @property
    def contexts(self) -> tuple[int, ...]:
        """The context lengths that are measured by default."""
        return geometric_contexts(self.longest_context)

    @abstractmethod
    def train(self, seed: int, epoch: int) -> Split:
        """Return the training data of one epoch; a synthetic task draws new data for every epoch.

        Raises:
            InputError: the task has no training data: only trained models can be measured on it.
        """

    def training_hash(self, seed: int) -> str:
        """Return the content hash of everything from which a model learns: sha256, as hex."""
        return self.train(seed, 0).fingerprint()

    @abstractmethod
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the fixed validation or test data."""

    @abstractmethod
    def constant(self) -> Tensor:
        """Return the best output that depends on no input: (outputs,) float32."""

    @abstractmethod
    def chance(self) -> float:
        """Return the loss of `constant`, the best predictor without memory."""

    def optimum(self, k: Context) -> float | None:
        """Return the smallest loss that any predictor can reach with context k; None if unknown."""
        return None

    def initial_outputs(self) -> Tensor | None:
        """Return good outputs at the start of training, (outputs,); None for zeros."""
        return None

    def dense_split(self, name: Literal["valid", "test"]) -> Split | None:
        """Return the split with a target at every position, if the literature scores it so."""
        return None

    def strata(self) -> "tuple[Strata, ...]":
        """Return the test targets in strata of one or several kinds, which a curve is split by."""
        return ()

    @cached_property
    def data_hash(self) -> str:
        """The content hash of everything on which a score depends: sha256, as hex."""
        return self.split("test").fingerprint()


def geometric_contexts(longest: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … up to `longest`, and `longest` itself."""
    powers = [1 << i for i in range(longest.bit_length())]
    return tuple(powers) if powers[-1] == longest else (*powers, longest)


_STREAMS = {"train": 0, "valid": 1, "test": 2}


def generator(name: str, split: str, seed: int = 0, epoch: int = 0) -> np.random.Generator:
    """Return the random generator of one split of one task, independent of all others.

    The generators of different names, splits, seeds and epochs are separate children of one
    ``numpy.random.SeedSequence``, so that no test sequence is drawn from a training generator.
    """
    entropy = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    key = (_STREAMS[split], seed, epoch)
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
