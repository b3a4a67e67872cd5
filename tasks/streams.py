"""What tasks of words and characters share: a stream as a split, and frequencies as chance."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.tasks.data.vocabulary import Ids, count_ids
from seqmem.tasks.task import Split

__all__ = ["hash_with_words", "log_frequencies", "mean_loss", "stream_split"]


def stream_split(ids: Ids, blocks: npt.NDArray[np.int64] | None = None) -> Split:
    """Make one stream a split: input t is token t, the target token t + 1.

    Args:
        ids: (n,) at least two tokens; the first one is never predicted.
        blocks: (n − 1,) of each target; None for a split whose blocks nobody asks for.
    """
    tokens = torch.from_numpy(ids)
    targets = len(ids) - 1
    return Split(
        inputs=tokens[:-1],
        starts=torch.tensor([0, targets]),
        positions=torch.arange(targets),
        targets=tokens[1:],
        # One number seen n times: the blocks of a training stream would cost 8 bytes a token.
        blocks=torch.zeros(1, dtype=torch.int64).expand(targets)
        if blocks is None
        else torch.from_numpy(blocks),
    )


def log_frequencies(ids: Ids, size: int) -> Tensor:
    """Log relative frequencies of `size` outcomes, (size,) float32.

    One that never occurs counts as if it did once, so that no loss is infinite.
    """
    counts = np.maximum(count_ids(ids, size), 1)
    return torch.from_numpy(np.log(counts / counts.sum())).float()


def mean_loss(constant: Tensor, split: Split) -> float:
    """Give the mean loss, in nats, of one distribution for every target."""
    return float(-constant.double()[split.targets.long()].mean())


def hash_with_words(fingerprint: str, words: Sequence[str]) -> str:
    """Hash ids and what they stand for, which a model that knows words depends on."""
    return hashlib.sha256("\n".join([fingerprint, *words]).encode()).hexdigest()
