"""Backpropagation through the readout and the loss, without storing all outputs.

With a vocabulary of tens of thousands the outputs dominate the time and memory of training. They
are computed in chunks of bounded size, and each chunk is backpropagated to the features before the
next is computed. A linear readout with cross-entropy, as in every language model here, needs no
autograd graph: the gradient of the outputs is softmax − one-hot, and it overwrites the outputs.
"""

import torch
from torch import Tensor, nn

from seqmem.baselines.layers import LinearReadout
from seqmem.baselines.training.many_classes import CHUNK, ManyClasses
from seqmem.baselines.training.sampled_classes import SampledClasses
from seqmem.tasks.losses import REGISTER, CrossEntropy, Loss
from seqmem.tasks.model import SequenceModel

__all__ = ["ReadoutGradient"]


class ReadoutGradient:
    """The loss of features and targets, and its gradients.

    One object serves all steps of a training: it reuses the memory of the outputs, which would
    otherwise be allocated and cleared at each step.
    """

    def __init__(
        self,
        model: SequenceModel,
        loss: Loss,
        dtype: torch.dtype,
        sampled: tuple[int, Tensor] | None = None,
    ) -> None:
        """Create an object for a model and a loss.

        Args:
            model: what is trained.
            loss: what it minimises.
            dtype: of the readout's products.
            sampled: how many of the classes of a cross-entropy are summed at each step, and numbers
                that increase with their frequency (V,); None: all.
        """
        self._model, self._loss, self._dtype = model, loss, dtype
        self._fused: _FewClasses | ManyClasses | SampledClasses | None = None
        linear = type(model).readout is LinearReadout.readout
        if isinstance(model, LinearReadout) and linear and isinstance(loss, CrossEntropy):
            leave = model.leave
            if sampled is not None and sampled[0] < leave.out_features:
                self._fused = SampledClasses(leave, dtype, *sampled)
            else:
                few = leave.out_features < REGISTER
                self._fused = (_FewClasses if few else ManyClasses)(leave, dtype)

    def backward(self, features: Tensor, targets: Tensor, count: int) -> Tensor:
        """Backpropagate the summed loss / count into the weights' gradients.

        Args:
            features: (m, H).
            targets: (m,) or (m, D).
            count: number of targets of the step.

        Returns:
            the summed loss / count, without a graph: ().
        """
        step = self._in_chunks if self._fused is None else self._fused.backward
        total, gradient = step(features.detach(), targets, count)
        if gradient is not None:
            features.backward(gradient.to(features.dtype))
        return total

    def _in_chunks(
        self, features: Tensor, targets: Tensor, count: int
    ) -> tuple[Tensor, Tensor | None]:
        """Return the loss and the features' gradient for any readout and any loss."""
        leaf = features.requires_grad_()
        with torch.no_grad():
            width = self._outputs(leaf[:1]).shape[-1]
        total = torch.zeros((), device=leaf.device)
        most = max(CHUNK[leaf.device.type] // max(width, 1), 1)
        for rows in torch.arange(len(targets), device=leaf.device).split(most):
            part = self._loss(self._outputs(leaf[rows]).float(), targets[rows]).sum() / count
            part.backward()
            total += part.detach()
        return total, leaf.grad

    def _outputs(self, features: Tensor) -> Tensor:
        short = self._dtype != torch.float32
        with torch.autocast(features.device.type, self._dtype, enabled=short):
            return self._model.readout(features)


class _FewClasses:
    """−log softmax(W h + b)[y] and its gradients for fewer than REGISTER classes, without a graph.

    Outputs are stored class by class, the fastest layout of `log_softmax` for few classes. They are
    computed in one chunk, because so few classes need little memory.
    """

    def __init__(self, leave: nn.Linear, dtype: torch.dtype) -> None:
        self._leave, self._dtype = leave, dtype

    @torch.no_grad()
    def backward(self, features: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Add to the weights' gradients as `ManyClasses.backward` does."""
        weight, bias = self._leave.weight.to(self._dtype), self._leave.bias.to(self._dtype)
        features = features.to(self._dtype)
        outputs = torch.addmm(bias[:, None], weight, features.t())  # (V, m)
        logarithms = torch.log_softmax(outputs.float(), 0)
        wanted = targets.long()[None]
        total = -logarithms.gather(0, wanted).sum() / count
        gradient = logarithms.exp_()
        gradient.scatter_add_(0, wanted, gradient.new_full((), -1).expand_as(wanted))
        gradient.div_(count)
        _add(self._leave.bias, gradient.sum(1))
        short = gradient.to(self._dtype)
        _add(self._leave.weight, (short @ features).to(gradient.dtype))
        return total, short.t() @ weight


def _add(weight: Tensor, gradient: Tensor) -> None:
    weight.grad = gradient if weight.grad is None else weight.grad.add_(gradient)
