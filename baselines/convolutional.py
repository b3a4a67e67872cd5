"""Convolutional networks over time: a fixed number of latest inputs, all alike."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from seqmem.baselines.layers import InputLayer, readout_layer, start_readout
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec

__all__ = ["TCN"]


class TCN(SequenceModel):
    """Temporal convolutional network (Bai, Kolter & Koltun 2018, arXiv 1803.01271, section 3).

    Residual blocks of two causal convolutions, the dilation doubling from block to block. The
    receptive field is 1 + 2 (kernel − 1)(2^levels − 1).
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        covers: bool = True,
        hidden: int = 64,
        kernel: int = 3,
        levels: int = 0,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        """Take what comes in, how many outputs go out, and the sizes.

        Args:
            inputs: what one input is.
            outputs: numbers given for each position.
            context: the context length that sets the number of levels.
            covers: whether the receptive field must reach `context` or must not exceed it.
            hidden: channels of every convolution, and size of an id's embedding.
            kernel: width of a convolution.
            levels: residual blocks; 0 for as many as `context` and `covers` say.
            dropout: share of channels' activations dropped in training.
            tied: whether embedding and readout share weights; needs ids in and as many out.
        """
        super().__init__()
        if not levels:
            kernel, levels = _size(context, covers, kernel)
        self.enter = InputLayer(inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        widths = [self.enter.width] + [hidden] * levels
        blocks = [_Block(widths[i], hidden, kernel, 2**i, dropout) for i in range(levels)]
        self.blocks = nn.Sequential(*blocks)
        self._reaches: list[tuple[int, int]] = [(block.reach, block.widths) for block in blocks]
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self.receptive_field = _receptive_field(kernel, levels)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden); no state."""
        features = self.dropout(self.enter(inputs)).transpose(1, 2)  # (B, hidden, L)
        return self.blocks(features).transpose(1, 2), None

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, hidden) -> (…, outputs)."""
        outputs: Tensor = self.leave(hidden)
        return outputs

    def start_from(self, outputs: Tensor) -> None:
        """Put the constant outputs (outputs,) into the readout's bias."""
        start_readout(self.leave, outputs)

    def state_size(self, context: int) -> int:
        """Count the past activations that the next step needs: each convolution's own reach."""
        return sum(min(reach, context) * widths for reach, widths in self._reaches)


class _Block(nn.Module):
    """ReLU(conv → ReLU → dropout → conv → ReLU → dropout + input), both convolutions causal."""

    def __init__(self, width: int, hidden: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = (kernel - 1) * dilation  # inputs before the current one
        self.widths = width + hidden  # channels that the two convolutions read
        self.first = weight_norm(nn.Conv1d(width, hidden, kernel, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(hidden, hidden, kernel, dilation=dilation))
        self.match = nn.Conv1d(width, hidden, 1) if width != hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width, L) -> (B, hidden, L)."""
        features = inputs
        for convolution in (self.first, self.second):
            features = convolution(F.pad(features, (self.reach, 0)))
            features = self.dropout(F.relu(features))
        return F.relu(features + self.match(inputs))


def _receptive_field(kernel: int, levels: int) -> int:
    return 1 + 2 * (kernel - 1) * ((1 << levels) - 1)


def _size(context: int, covers: bool, kernel: int) -> tuple[int, int]:
    """Choose kernel and levels: the least field that covers `context`, or the most within it."""
    if covers:
        levels = 1
        while _receptive_field(kernel, levels) < context:
            levels += 1
        return kernel, levels
    # Narrower kernels where even one level of the asked-for kernel sees too much.
    kernel = max(1, min(kernel, (context + 1) // 2))
    levels = 1
    while kernel > 1 and _receptive_field(kernel, levels + 1) <= context:
        levels += 1
    return kernel, levels
