"""WaveNet: gated dilated convolutions with residual and skip connections."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.convolutions import (
    CausalConv1d,
    Convolutional,
    Levels,
    Stack,
    fit_stack,
    match_channels,
)
from seqmem.baselines.dropout import Dropout
from seqmem.baselines.options import Count, Share
from seqmem.tasks.task import InputSpec

__all__ = ["WaveNet"]


class WaveNet(Convolutional):
    """WaveNet (van den Oord et al. 2016, arXiv 1609.03499, sections 2.1, 2.3 and 2.4).

    One convolution for each level; the dilation doubles from level to level. The receptive field
    is 1 + (kernel − 1)(2^levels − 1), a power of two with the paper's kernel. For this to hold, the
    first convolution (below the levels in figure 4) has width 1 here.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        covers: bool = True,
        hidden: Count = 64,
        kernel: Count = 2,
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
            hidden: channels of gates, residual and skip connections, and size of an embedding.
            kernel: width of a convolution.
            levels: number of layers; 0: chosen by `context` and `covers`.
            dropout: share of activations dropped in training; the paper uses none.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        stack = fit_stack(context, covers, kernel=kernel, levels=levels)
        super().__init__(
            inputs, outputs, stack, _GatedLayers, hidden=hidden, dropout=dropout, tied=tied
        )


class _GatedLayers(nn.Module):
    """A chain of gated layers; the sum of their skip connections passes ReLU → 1 × 1 → ReLU."""

    def __init__(self, channels: int, hidden: int, stack: Stack, dropout: float) -> None:
        super().__init__()
        self.match = match_channels(channels, hidden)
        self.gates = nn.ModuleList(_Gate(hidden, stack.kernel, d) for d in stack.dilations)
        self.skips = nn.ModuleList(CausalConv1d(hidden, hidden, 1, 1) for _ in stack.dilations)
        # The last layer has no residual connection: no layer follows it.
        self.residuals = nn.ModuleList(
            CausalConv1d(hidden, hidden, 1, 1) for _ in stack.dilations[1:]
        )
        self.dropout = Dropout(dropout)
        self.mix = CausalConv1d(hidden, hidden, 1, 1)
        self._start()

    def _start(self) -> None:
        """Draw weights that preserve the variance of their inputs (LeCun et al. 1998, section 4.6).

        torch's defaults reduce it to a third in each of match, gate, skip and mix. Without
        normalisation the outputs then hardly vary, and the smoke budget does not learn copy memory.
        """
        for part in self.modules():
            if isinstance(part, nn.Conv1d):
                nn.init.normal_(part.weight, std=(part.in_channels * part.kernel_size[0]) ** -0.5)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, L) -> (B, hidden, L)."""
        features = self.match(inputs)
        skipped = torch.zeros_like(features)
        for level, (gate, skip) in enumerate(zip(self.gates, self.skips, strict=True)):
            gated = self.dropout(gate(features))
            skipped = skipped + skip(gated)
            if level < len(self.residuals):
                features = features + self.residuals[level](gated)
        return F.relu(self.mix(F.relu(skipped)))


class _Gate(nn.Module):
    """tanh(W ∗ x) ⊙ σ(V ∗ x), both convolutions causal (equation 2)."""

    def __init__(self, hidden: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = CausalConv1d(hidden, 2 * hidden, kernel, dilation)  # W and V

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, hidden, L) -> (B, hidden, L)."""
        # Channels last, as in memory, so that the gradients of both halves join without a copy.
        filtered, gate = self.convolution(inputs).transpose(1, 2).chunk(2, 2)
        return (torch.tanh(filtered) * torch.sigmoid(gate)).transpose(1, 2)
