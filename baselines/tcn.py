"""TCN: residual blocks of dilated causal convolutions."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from seqmem.baselines.convolutions import (
    CausalConv1d,
    Convolutional,
    Levels,
    chained,
    fit_stack,
    match_channels,
)
from seqmem.baselines.dropout import Dropout
from seqmem.baselines.options import Count, Share
from seqmem.tasks.task import InputSpec

__all__ = ["TCN"]


class TCN(Convolutional):
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
        hidden: Count = 64,
        kernel: Count = 3,
        levels: Levels = 0,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            context: the context length that sets the number of levels.
            covers: whether the receptive field must reach `context` or must not exceed it.
            hidden: channels of every convolution, and size of an id's embedding.
            kernel: width of a convolution.
            levels: number of residual blocks; 0: chosen by `context` and `covers`.
            dropout: share of activations dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        stack = fit_stack(context, covers, kernel=kernel, levels=levels, convolutions=2)
        layers = partial(chained, _ResidualBlock)
        super().__init__(inputs, outputs, stack, layers, hidden=hidden, dropout=dropout, tied=tied)


class _ResidualBlock(nn.Module):
    """ReLU(conv → ReLU → dropout → conv → ReLU → dropout + input), both convolutions causal."""

    def __init__(self, width: int, hidden: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = weight_norm(CausalConv1d(width, hidden, kernel, dilation))
        self.second = weight_norm(CausalConv1d(hidden, hidden, kernel, dilation))
        self.match = match_channels(width, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width, L) -> (B, hidden, L)."""
        features = inputs
        for convolution in (self.first, self.second):
            features = self.dropout(F.relu(convolution(features)))
        return F.relu(features + self.match(inputs))
