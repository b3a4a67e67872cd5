"""Cross-entropy over a sample of the classes: training with a large vocabulary at less cost.

log Σ exp x over all classes is estimated by importance sampling (Bengio & Senécal 2008, IEEE
Transactions on Neural Networks 19; Jean et al. 2015, arXiv 1412.2007, section 3). Classes that are
frequent in the training data, and those that any of these targets has, are all summed; the others
are represented by a uniform sample without replacement, whose outputs are raised by the logarithm
of its inverse share. The estimate of Σ exp x has no bias, and its variance comes from rare classes
alone. The gradient is that of the estimated loss. Validation and measuring use all classes.
"""

import math

import torch
from torch import Tensor, nn

from seqmem.baselines.training.many_classes import ManyClasses

__all__ = ["SampledClasses"]


class SampledClasses:
    """The estimated −log softmax(W h + b)[y] and its gradients, without a graph."""

    def __init__(
        self, leave: nn.Linear, dtype: torch.dtype, classes: int, frequency: Tensor
    ) -> None:
        """Create an object for a readout.

        Args:
            leave: the readout.
            dtype: of its products.
            classes: how many classes are summed; half of them are the most frequent ones.
            frequency: (V,) increases with the frequency of a class in the training data.
        """
        self._leave, self._dtype, self._classes = leave, dtype, classes
        self._frequent = frequency.topk(classes // 2).indices.to(leave.weight.device)
        self._summed, self._all = self._of_size(classes)

    @torch.no_grad()
    def backward(self, features: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Add to the weights' gradients as `ManyClasses.backward` does.

        The sample is drawn from torch's generator, which belongs to a checkpoint.

        Args:
            features: (m, H).
            targets: (m,) class ids.
            count: the divisor of the summed loss.
        """
        weight, bias = self._leave.weight, self._leave.bias
        classes, correction = self._draw(targets)
        if len(classes) != self._summed.out_features:  # more targets than usual, or fewer again
            self._summed, self._all = self._of_size(len(classes))
        self._summed.weight.copy_(weight[classes])
        self._summed.bias.copy_(bias[classes] + correction)
        self._summed.weight.grad = self._summed.bias.grad = None
        place = torch.empty_like(bias, dtype=torch.long)
        place[classes] = torch.arange(len(classes), device=bias.device)
        total, gradient = self._all.backward(features, place[targets], count)
        for whole, part in zip((weight, bias), self._summed.parameters(), strict=True):
            if whole.grad is None:
                whole.grad = torch.zeros_like(whole)
            assert part.grad is not None
            whole.grad.index_add_(0, classes, part.grad)
        return total, gradient

    def _draw(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the classes that are summed, and what is added to the output of each."""
        summed = torch.zeros_like(self._leave.bias, dtype=torch.bool)
        summed[self._frequent] = True
        summed[targets] = True
        certain, others = summed.nonzero()[:, 0], (~summed).nonzero()[:, 0]
        # As many as are left, and never few: the fewer, the larger the variance.
        drawn = min(max(self._classes - len(certain), self._classes // 4), len(others))
        order = torch.randperm(len(others), device=others.device)
        correction = self._leave.bias.new_zeros(len(certain) + drawn)
        correction[len(certain) :] = math.log(max(len(others), 1) / max(drawn, 1))
        return torch.cat([certain, others[order[:drawn]]]), correction

    def _of_size(self, classes: int) -> tuple[nn.Linear, ManyClasses]:
        """Return a readout for that many classes, without drawing weights, and its loss."""
        summed = nn.Linear(self._leave.in_features, classes, device="meta")
        summed.to_empty(device=self._leave.weight.device)
        return summed, ManyClasses(summed, self._dtype)
