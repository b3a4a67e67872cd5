"""Cross-entropy over many classes and its gradients, without a graph and in reused memory."""

import math

import torch
from torch import Tensor, nn

__all__ = ["CHUNK", "ManyClasses"]

CHUNK = {"cpu": 1 << 25, "cuda": 1 << 28}  # outputs that are computed at once
# Matrix products take up to twice as long if rows do not begin at multiples of 64 bytes. Rows of at
# least PADDED outputs are padded to a multiple of ALIGNED.
ALIGNED, PADDED = 32, 1024


class ManyClasses:
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
        most = max(CHUNK[self._outputs.device.type] // self._row, 1)
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
