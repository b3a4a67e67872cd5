"""The losses: one number for each target, computed by seqmem from a model's raw outputs.

The model returns unnormalised scores and never a probability, so that probabilities sum to one by
construction.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

__all__ = ["Bernoulli", "CrossEntropy", "Loss", "SquaredError", "log_softmax"]

# Numbers in a vector register of a CPU; shorter rows are processed number by number.
REGISTER = 16


@dataclass(frozen=True)
class Loss(ABC):
    """A loss per target.

    Attributes:
        score: what tables show: "loss" (the mean) or "perplexity" (the exponential of the mean).
        name: its name.
        unit: the unit of one target's loss.
    """

    score: str
    name: str
    unit: str

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return the loss of each target: (m, outputs), (n,) or (n, D) -> (n,).

        Args:
            outputs: raw scores.
            targets: the values to be predicted.
            rows: (n,) the row of `outputs` with which each target is scored; None: one each.
        """

    def correct(self, outputs: Tensor, targets: Tensor, rows: Tensor) -> Tensor | None:
        """Return which targets have the largest output: (n,) bool; None if that is undefined."""
        return None


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """−log softmax(outputs)[target], in nats.

    Attributes:
        score: "perplexity" for words, "loss" otherwise.
        accuracy: whether accuracy is reported as well.
    """

    score: str = "loss"
    name: str = "cross-entropy"
    unit: str = "nats"
    accuracy: bool = False

    def __call__(self, outputs: Tensor, targets: Tensor, rows: Tensor | None = None) -> Tensor:
        """(m, V) scores and (n,) class ids -> (n,) nats."""
        logarithms = log_softmax(outputs)
        if rows is None:
            return F.nll_loss(logarithms, targets.long(), reduction="none")
        # Normalised once per row, however many targets share it.
        return -logarithms[rows, targets.long()]

    def correct(self, outputs: Tensor, targets: Tensor, rows: Tensor) -> Tensor | None:
        """(m, V) scores and (n,) class ids -> (n,) bool."""
        return outputs.argmax(-1)[rows] == targets if self.accuracy else None


@dataclass(frozen=True)
class SquaredError(Loss):
    """(output − target)², for a model with one output."""

    score: str = "loss"
    name: str = "squared error"
    unit: str = "mean squared error"

    def __call__(self, outputs: Tensor, targets: Tensor, rows: Tensor | None = None) -> Tensor:
        """(m, 1) outputs and (n,) targets -> (n,)."""
        return (_of(rows, outputs).squeeze(-1) - targets).square()


@dataclass(frozen=True)
class Bernoulli(Loss):
    """−Σ_i log p(y_i) over independent zeros and ones, with p(1) = sigmoid(output), in nats.

    One output for each number of a target: the binary cross-entropy, summed.
    """

    score: str = "loss"
    name: str = "binary cross-entropy"
    unit: str = "nats"

    def __call__(self, outputs: Tensor, targets: Tensor, rows: Tensor | None = None) -> Tensor:
        """(m, D) log-odds and (n, D) zeros and ones of any type -> (n,) nats."""
        signs = 2 * targets.to(outputs.dtype) - 1
        # −log p(y) = −log sigmoid(±output): without cancellation, so that a small loss has all its
        # digits and a large one stays finite.
        return -F.logsigmoid(signs * _of(rows, outputs)).sum(-1)


def log_softmax(outputs: Tensor) -> Tensor:
    """(m, V) -> (m, V), normalised over the V classes.

    Few classes are laid out class by class, so that neighbouring rows fill a register together:
    that is faster, the change of layout included.
    """
    if outputs.shape[1] >= REGISTER:
        return F.log_softmax(outputs, 1)
    return F.log_softmax(outputs.t().contiguous(), 0).t()


def _of(rows: Tensor | None, outputs: Tensor) -> Tensor:
    """Return the row of the outputs for each target."""
    return outputs if rows is None else outputs[rows]
