"""Helpers of the tests of training."""

import torch

from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.task import Split


class Killed(BaseException):
    """Interrupts a training."""


class StreamOfSymbols(HiddenMarkov):
    """The hidden Markov task with its training data as one stream, like a corpus."""

    def train(self, seed: int, epoch: int) -> Split:
        split = super().train(seed, epoch)
        length = 4096
        return Split(
            split.inputs[:length],
            torch.tensor([0, length]),
            torch.arange(length),
            split.targets[:length],
            torch.arange(length),
        )
