"""Tasks of predicting the next word or character: a stream as a split, frequencies as chance."""

import hashlib
from abc import abstractmethod
from functools import cache, cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.tasks.data.vocabulary import Ids, count_ids
from seqmem.tasks.strata import Strata, by_frequency, by_recurrence, previous
from seqmem.tasks.task import InputSpec, Split, Task, Tokens

__all__ = ["LanguageTask", "stream_split"]


class LanguageTask(Task):
    """A task whose inputs and targets are ids of one vocabulary, known once the data are read.

    Attributes:
        line_ends: the tokens for the end of a line, or of a sentence on its own line.
        every_token: whether each token is predicted, but perhaps the first of a sequence.
        unit: what a target is.
    """

    next_token: ClassVar[bool] = True
    line_ends: ClassVar[tuple[str, ...]] = ("<eos>",)
    every_token: ClassVar[bool] = True
    unit: Literal["word", "char"] = "word"

    @property
    @abstractmethod
    def words(self) -> tuple[str, ...]:
        """The vocabulary: id -> word or character.

        Raises:
            InputError: the data are missing, damaged or altered.
        """

    @abstractmethod
    def counted_ids(self) -> Ids:
        """Return the tokens whose frequencies are chance: usually those of the training split."""

    @property
    def inputs(self) -> InputSpec:  # type: ignore[override]  # known once the data are read
        """Ids of words or characters."""
        return Tokens(self.outputs)

    @property
    def outputs(self) -> int:  # type: ignore[override]
        """The size of the vocabulary."""
        return len(self.words)

    @cache  # noqa: B019 - a task lives as long as the run
    def constant(self) -> Tensor:
        """Return log frequencies; a word that was not counted is assumed to occur once."""
        counts = np.maximum(count_ids(self.counted_ids(), self.outputs), 1)
        return torch.from_numpy(np.log(counts / counts.sum())).float()

    def initial_outputs(self) -> Tensor:
        """Return log frequencies: learning them by gradient descent would take most steps."""
        return self.constant()

    @cache  # noqa: B019 - a task lives as long as the run
    def chance(self) -> float:
        """Return the unigram model's loss on the test split, in nats."""
        return float(-self.constant().double()[self.split("test").targets.long()].mean())

    @cache  # noqa: B019 - a task lives as long as the run
    def strata(self) -> tuple[Strata, ...]:
        """Return targets by their frequency in training, and by when they last occurred."""
        split = self.split("test")
        inputs, targets = split.inputs.numpy(), split.targets.numpy()
        positions, available = split.positions.numpy(), split.available.numpy()
        distance = positions - previous(inputs, targets, positions) + 1
        distance[distance > available] = 0  # it is in an earlier sequence, or nowhere
        counts = count_ids(self.counted_ids(), self.outputs)
        return by_frequency(counts, targets) + by_recurrence(distance)

    @cached_property
    def data_hash(self) -> str:
        """The hash of the test split's ids and of the vocabulary, on which such models depend."""
        lines = [self.split("test").fingerprint(), *self.words]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stream_split(ids: Ids, blocks: npt.NDArray[np.int64] | None = None) -> Split:
    """Return one stream as a split: input t is token t, the target token t + 1.

    Args:
        ids: (n,) at least two tokens; the first one is never predicted.
        blocks: (n − 1,) of each target; None for a split whose blocks are not used.
    """
    tokens = torch.from_numpy(ids)
    targets = len(ids) - 1
    return Split(
        inputs=tokens[:-1],
        starts=torch.tensor([0, targets]),
        positions=torch.arange(targets),
        targets=tokens[1:],
        # One number expanded n times: the blocks of a training stream would cost 8 bytes a token.
        blocks=torch.zeros(1, dtype=torch.int64).expand(targets)
        if blocks is None
        else torch.from_numpy(blocks),
    )
