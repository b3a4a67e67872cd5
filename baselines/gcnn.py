"""The gated convolutional network: a linear path through every layer, and gates that open it."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from seqmem.baselines.convolutions import (
    CausalConv1d,
    Convolutional,
    chained,
    fit_stack,
    match_channels,
)
from seqmem.tasks.task import InputSpec

__all__ = ["GCNN"]


class GCNN(Convolutional):
    """Gated convolutional network (Dauphin et al. 2017, arXiv 1612.08083, section 2).

    Residual blocks of one causal convolution and a gated linear unit. The paper's convolutions
    are not dilated and see a few dozen words; that is ``dilation=1``, and costs a block for every
    kernel − 1 inputs. By default the dilation doubles from block to block, as where Bai et al.
    2018 (arXiv 1803.01271, table 5) put these gates into their network: the receptive field is
    1 + (kernel − 1)(2^levels − 1).
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        covers: bool = True,
        hidden: int = 64,
        kernel: int = 4,
        levels: int = 0,
        dilation: int = 2,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        """Take what comes in, how many outputs go out, and the sizes.

        Args:
            inputs: what one input is.
            outputs: numbers given for each position.
            context: the context length that sets the number of levels.
            covers: whether the receptive field must reach `context` or must not exceed it.
            hidden: channels of every block, and size of an id's embedding.
            kernel: width of a convolution.
            levels: blocks; 0 for as many as `context` and `covers` say.
            dilation: how many times as large it is from block to block; 1 for none.
            dropout: share of activations dropped in training.
            tied: whether embedding and readout share weights; needs ids in and as many out.
        """
        stack = fit_stack(context, covers, kernel=kernel, levels=levels, growth=dilation)
        layers = chained(_Block, stack, hidden, dropout)
        super().__init__(inputs, outputs, stack, layers, hidden=hidden, dropout=dropout, tied=tied)


class _Block(nn.Module):
    """x + (W ∗ x + b) ⊗ σ(V ∗ x + c), both convolutions causal (equation 1)."""

    def __init__(self, width: int, hidden: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.gated = weight_norm(CausalConv1d(width, 2 * hidden, kernel, dilation))  # W and V
        self.match = match_channels(width, hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width, L) -> (B, hidden, L)."""
        # Channels last, as they lie in memory: a GLU's gradient is laid out as its shape says.
        gated = F.glu(self.gated(inputs).transpose(1, 2), 2)
        features = self.dropout(gated.transpose(1, 2))
        outputs: Tensor = features + self.match(inputs)
        return outputs
