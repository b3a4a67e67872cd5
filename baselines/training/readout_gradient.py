"""Backpropagation through the readout and the loss, without storing all outputs.

With a vocabulary of tens of thousands the outputs dominate the time and memory of training. They
are computed in chunks of bounded size, and each chunk is backpropagated to the features before the
next is computed. A linear readout with cross-entropy, as in every language model here, needs no
autograd graph: the gradient of the outputs is softmax − one-hot, and it overwrites the outputs.
"""

import math

import torch
from torch import Tensor, nn

from seqmem.baselines.layers import LinearReadout
from seqmem.tasks.losses import REGISTER, CrossEntropy, Loss
from seqmem.tasks.model import SequenceModel

__all__ = ["ReadoutGradient"]

NUMBERS = {"cpu": 1 << 25, "cuda": 1 << 28}  # outputs in one chunk
# Matrix products take up to twice as long if rows do not begin at multiples of 64 bytes. Rows of at
# least PADDED outputs are padded to a multiple of ALIGNED.
ALIGNED, PADDED = 32, 1024


class ReadoutGradient:
    """The loss of features and targets, and its gradients.

    One object serves all steps of a training: it reuses the memory of the outputs, which would
    otherwise be allocated and cleared at each step.
    """

    def __init__(self, model: SequenceModel, loss: Loss, dtype: torch.dtype) -> None:
        """Create an object for a model and a loss, with the dtype of the readout's products."""
        self._model, self._loss, self._dtype = model, loss, dtype
        self._fused: _FewClasses | _ManyClasses | None = None
        linear = type(model).readout is LinearReadout.readout
        if isinstance(model, LinearReadout) and linear and isinstance(loss, CrossEntropy):
            few = model.leave.out_features < REGISTER
            self._fused = (_FewClasses if few else _ManyClasses)(model.leave, dtype)

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
        most = max(NUMBERS[leaf.device.type] // max(width, 1), 1)
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
        """Add to the weights' gradients as `_ManyClasses.backward` does."""
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


class _ManyClasses:
    """−log softmax(W h + b)[y] and its gradients, without a graph.

    The memory of the weight's gradient is reused at the next step.
    """

    def __init__(self, leave: nn.Linear, dtype: torch.dtype) -> None:
        self._leave, self._dtype = leave, dtype
        outputs = len(leave.weight)
        self._row = -(-outputs // ALIGNED) * ALIGNED if outputs >= PADDED else outputs
        empty = leave.weight.new_empty(0, dtype=dtype)
        self._outputs, self._product, self._weight = empty, empty.clone(), empty.clone()
        self._gradient = torch.empty_like(leave.weight)

    @torch.no_grad()
    def backward(self, features: Tensor, targets: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Add to the gradients of weight and bias; return the loss and the features' gradient.

        Args:
            features: (m, H).
            targets: (m,) class ids.
            count: the divisor of the summed loss.
        """
        weight, bias = self._short(self._leave.weight), self._leave.bias
        if bias.grad is None:
            bias.grad = torch.zeros_like(bias)
        total = torch.zeros((), device=features.device)
        gradient = torch.empty_like(features, dtype=torch.float32)
        size = self._chunk_size(len(features))
        for part, wanted, out in zip(
            features.to(self._dtype).split(size),
            targets.long().split(size),
            gradient.split(size),
            strict=True,
        ):
            padded = self._memory(len(part))
            outputs = padded[:, : len(bias)]  # (n, V)
            torch.addmm(bias.to(self._dtype), part, weight.t(), out=outputs)
            padded[:, len(bias) :] = -math.inf  # the probability of padding is zero
            total += self._softmax(padded, wanted)
            outputs[torch.arange(len(part), device=part.device), wanted] -= 1
            out.copy_(outputs @ weight)
            self._add_to_weight(outputs.t(), part, 1 / count)
            # In float32 a matrix product sums over rows in half the time of sum().
            bias.grad.add_((part.new_ones(1, len(part)) @ outputs)[0], alpha=1 / count)
        return total / count, gradient.div_(count)

    def _softmax(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Replace outputs (n, V) by probabilities; return the summed loss of classes (n,).

        With x the outputs and p the probabilities, log Σ exp x = max x − log max p, which is exact
        even if the probability of the target class is rounded to zero.
        """
        score = outputs.gather(1, wanted[:, None])
        highest = _highest(outputs)
        torch.softmax(outputs, 1, out=outputs)
        return ((highest - score).float() - _highest(outputs).float().log()).sum()

    def _add_to_weight(self, left: Tensor, right: Tensor, scale: float) -> None:
        """Add scale · left @ right to the weight's gradient, without new memory."""
        weight = self._leave.weight
        fresh = weight.grad is None
        if weight.grad is None:
            weight.grad = self._gradient
        if left.dtype == weight.grad.dtype:
            # With a beta of zero, old values are ignored, even NaN.
            weight.grad.addmm_(left, right, beta=0 if fresh else 1, alpha=scale)
            return
        torch.mm(left, right, out=self._product)
        if fresh:
            weight.grad.copy_(self._product).mul_(scale)
        else:
            weight.grad.add_(self._product, alpha=scale)

    def _short(self, weight: Tensor) -> Tensor:
        """Return the weight in the dtype of the products, without new memory."""
        if self._dtype == weight.dtype:
            return weight
        return self._weight.resize_(weight.shape).copy_(weight)

    def _chunk_size(self, rows: int) -> int:
        """Return the number of rows of a chunk, for the fewest chunks of nearly equal size."""
        most = max(NUMBERS[self._outputs.device.type] // self._row, 1)
        chunks = max(-(-rows // most), 1)
        return max(-(-rows // chunks), 1)

    def _memory(self, rows: int) -> Tensor:
        """Return the memory for `rows` rows of outputs."""
        if self._outputs.numel() < rows * self._row:
            self._outputs = self._outputs.new_empty(rows * self._row)
        return self._outputs[: rows * self._row].view(rows, self._row)


def _highest(numbers: Tensor) -> Tensor:
    """Return the maximum of each row, (n, V) -> (n, 1); an arbitrary number for rows with NaN.

    On a CPU the maximum of bfloat16 takes several times as long as that of integers, so that their
    bits are compared as integers. If all numbers of a row are negative, the smallest integer is the
    largest number.
    """
    if numbers.dtype != torch.bfloat16 or numbers.is_cuda:
        return numbers.amax(1, keepdim=True)
    bits = numbers.view(torch.int16)
    highest, least = bits.amax(1, keepdim=True), bits.amin(1, keepdim=True)
    return torch.where(highest < 0, least, highest).view(torch.bfloat16)
