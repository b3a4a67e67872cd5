"""WaveNet's stack: gated dilated convolutions, each of which speaks to the output directly."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.convolutions import (
    CausalConv1d,
    Convolutional,
    Stack,
    fit_stack,
    match_channels,
)
from seqmem.tasks.task import InputSpec

__all__ = ["WaveNet"]


class WaveNet(Convolutional):
    """WaveNet (van den Oord et al. 2016, arXiv 1609.03499, sections 2.1, 2.3 and 2.4).

    One convolution a level, the dilation doubling from level to level, with residual and skip
    connections. The receptive field is 1 + (kernel − 1)(2^levels − 1): a power of two with the
    paper's kernel. The convolution below the first level (figure 4) has width 1 here, so that this
    holds.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        covers: bool = True,
        hidden: int = 64,
        kernel: int = 2,
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
            hidden: channels of gates, residual and skip connections, and size of an embedding.
            kernel: width of a convolution.
            levels: layers; 0 for as many as `context` and `covers` say.
            dropout: share of activations dropped in training, which the paper has none of.
            tied: whether embedding and readout share weights; needs ids in and as many out.
        """
        stack = fit_stack(context, covers, kernel=kernel, levels=levels)

        def layers(channels: int) -> nn.Module:
            return _Layers(channels, hidden, stack, dropout)

        super().__init__(inputs, outputs, stack, layers, hidden=hidden, dropout=dropout, tied=tied)


class _Layers(nn.Module):
    """Gated layers one behind the other, and the sum of what each says: ReLU → 1 × 1 → ReLU."""

    def __init__(self, channels: int, hidden: int, stack: Stack, dropout: float) -> None:
        super().__init__()
        self.match = match_channels(channels, hidden)
        self.gates = nn.ModuleList(_Gate(hidden, stack.kernel, d) for d in stack.dilations)
        self.skips = nn.ModuleList(CausalConv1d(hidden, hidden, 1, 1) for _ in stack.dilations)
        # Behind the last layer there is no other.
        self.residuals = nn.ModuleList(
            CausalConv1d(hidden, hidden, 1, 1) for _ in stack.dilations[1:]
        )
        self.dropout = nn.Dropout(dropout)
        self.mix = CausalConv1d(hidden, hidden, 1, 1)
        self._start()

    def _start(self) -> None:
        """Draw weights that keep the variance of what they read (LeCun et al. 1998, section 4.6).

        The framework's own keep a third of it: behind match, gate, skip and mix little is left
        without normalisation, and the smoke budget learns nothing of copy memory.
        """
        for part in self.modules():
            if isinstance(part, nn.Conv1d):
                nn.init.normal_(part.weight, std=(part.in_channels * part.kernel_size[0]) ** -0.5)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, L) -> (B, hidden, L)."""
        features = self.match(inputs)
        spoken = torch.zeros_like(features)
        for level, (gate, skip) in enumerate(zip(self.gates, self.skips, strict=True)):
            gated = self.dropout(gate(features))
            spoken = spoken + skip(gated)
            if level < len(self.residuals):
                features = features + self.residuals[level](gated)
        return F.relu(self.mix(F.relu(spoken)))


class _Gate(nn.Module):
    """tanh(W ∗ x) ⊙ σ(V ∗ x), both convolutions causal (equation 2)."""

    def __init__(self, hidden: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = CausalConv1d(hidden, 2 * hidden, kernel, dilation)  # W and V

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, hidden, L) -> (B, hidden, L)."""
        # Channels last, as they lie in memory: the gradient of two parts is put together so.
        filtered, gate = self.convolution(inputs).transpose(1, 2).chunk(2, 2)
        return (torch.tanh(filtered) * torch.sigmoid(gate)).transpose(1, 2)
