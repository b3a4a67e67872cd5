"""Outputs that are probabilities where scores are asked for.

The suite turns scores into probabilities itself. A model that returns probabilities is scored as if
these were logits or log-odds: far worse than it is, and nothing else tells.
"""

from torch import Tensor

from seqmem.errors import CellError
from seqmem.tasks.losses import Bernoulli, CrossEntropy, Loss

__all__ = ["check_scores"]

ROUNDING = 1e-2  # of a sum of probabilities in 16 bits


def check_scores(outputs: Tensor, loss: Loss) -> None:
    """Check that outputs (n, outputs), finite, are not probabilities.

    Raises:
        CellError: they are.
    """
    if len(outputs) == 0 or float(outputs.min()) < 0:
        return
    if isinstance(loss, CrossEntropy):
        if float((outputs.double().sum(-1) - 1).abs().max()) <= ROUNDING:
            raise CellError(
                "the outputs are probabilities (none is negative, and those of each position sum "
                "to 1); return the scores before the softmax, or logarithms"
            )
    elif isinstance(loss, Bernoulli) and float(outputs.min()) > 0 and float(outputs.max()) < 1:
        raise CellError(
            "the outputs are probabilities (all are between 0 and 1, where log-odds would make "
            "every event the likely one); return the log-odds before the sigmoid"
        )
