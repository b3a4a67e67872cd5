"""GCNN: residual blocks of causal convolutions with gated linear units."""

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

__all__ = ["GCNN"]


class GCNN(Convolutional):
    """Gated convolutional network (Dauphin et al. 2017, arXiv 1612.08083, section 2).

    Residual blocks of one causal convolution and a gated linear unit. The paper's convolutions
    are not dilated and see a few dozen words; ``dilation=1`` reproduces them and needs a block for
    every kernel − 1 inputs. By default the dilation doubles from block to block, as in the gated
    TCN of Bai et al. 2018 (arXiv 1803.01271, table 5); the receptive field is
    1 + (kernel − 1)(2^levels − 1).
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        covers: bool = True,
        hidden: Count = 64,
        kernel: Count = 4,
        levels: Levels = 0,
        dilation: Count = 2,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            context: the context length that sets the number of levels.
            covers: whether the receptive field must reach `context` or must not exceed it.
            hidden: channels of every block, and size of an id's embedding.
            kernel: width of a convolution.
            levels: number of blocks; 0: chosen by `context` and `covers`.
            dilation: factor of the dilation from block to block; 1: no dilation.
            dropout: share of activations dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        stack = fit_stack(context, covers, kernel=kernel, levels=levels, growth=dilation)
        layers = partial(chained, _GatedBlock)
        super().__init__(inputs, outputs, stack, layers, hidden=hidden, dropout=dropout, tied=tied)


class _GatedBlock(nn.Module):
    """x + (W ∗ x + b) ⊗ σ(V ∗ x + c), both convolutions causal (equation 1)."""

    def __init__(self, width: int, hidden: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.gated = weight_norm(CausalConv1d(width, 2 * hidden, kernel, dilation))  # W and V
        self.match = match_channels(width, hidden)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width, L) -> (B, hidden, L)."""
        # Channels last, as in memory, so that the gradient of the GLU has that layout as well.
        gated = F.glu(self.gated(inputs).transpose(1, 2), 2)
        features = self.dropout(gated.transpose(1, 2))
        outputs: Tensor = features + self.match(inputs)
        return outputs
