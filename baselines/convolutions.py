"""Shared parts of convolutional networks: causal convolutions, and their receptive field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.baselines.options import Range
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = [
    "CausalConv1d",
    "Convolutional",
    "Levels",
    "Stack",
    "chained",
    "fit_stack",
    "match_channels",
]

Levels = Annotated[int, Range(0, 20)]


class CausalConv1d(nn.Conv1d):
    """A convolution whose output at t depends on inputs up to t, with zeros before the start.

    It is computed as a 2d convolution with one dimension of size 1. Only 2d convolutions keep the
    channels-last memory layout of the neighbouring layers; forward and backward together are two
    to four times as fast on a CPU.

    Attributes:
        reach: how many inputs before the current one it depends on.
    """

    def __init__(self, channels: int, outputs: int, kernel: int, dilation: int) -> None:
        """Create a convolution from `channels` to `outputs` channels, `kernel` taps wide."""
        super().__init__(channels, outputs, kernel, dilation=dilation)
        self.reach = (kernel - 1) * dilation

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, L) -> (B, outputs, L)."""
        padded = F.pad(inputs.unsqueeze(2), (self.reach, 0))  # (B, channels, 1, reach + L)
        weight = self.weight.unsqueeze(2)  # (outputs, channels, 1, kernel)
        return F.conv2d(padded, weight, self.bias, dilation=(1, *self.dilation)).squeeze(2)


@dataclass(frozen=True)
class Stack:
    """The shape of a stack of dilated causal convolutions.

    Attributes:
        kernel: width of each convolution.
        levels: number of different dilations.
        convolutions: number of convolutions with the same dilation.
        growth: factor of the dilation from level to level; the first dilation is 1.
    """

    kernel: int
    levels: int
    convolutions: int = 1
    growth: int = 2

    @property
    def dilations(self) -> tuple[int, ...]:
        """The dilation of each level, the lowest first."""
        return tuple(self.growth**level for level in range(self.levels))

    @property
    def receptive_field(self) -> int:
        """The number of latest inputs that an output depends on."""
        return 1 + self.convolutions * (self.kernel - 1) * sum(self.dilations)


def fit_stack(
    context: int,
    covers: bool,
    *,
    kernel: int,
    levels: int = 0,
    convolutions: int = 1,
    growth: int = 2,
) -> Stack:
    """Return the smallest stack that covers `context`, or the largest within it.

    Args:
        context: the requested context length.
        covers: whether the receptive field must reach `context` or must not exceed it.
        kernel: width of the convolutions; reduced if one level alone would exceed `context`.
        levels: a fixed number of levels, whatever `context` is; 0 to choose it.
        convolutions: number of convolutions in a level.
        growth: factor of the dilation from level to level.

    Raises:
        ValueError: no number of levels covers `context`.
    """

    def stack(kernel: int, levels: int) -> Stack:
        return Stack(kernel, levels, convolutions, growth)

    if levels:
        return stack(kernel, levels)
    levels = 1
    if covers:
        if kernel == 1 and context > 1:
            raise ValueError(f"kernel=1 never sees {context} inputs; use a wider kernel")
        while stack(kernel, levels).receptive_field < context:
            levels += 1
        return stack(kernel, levels)
    kernel = min(kernel, 1 + (context - 1) // convolutions)
    while kernel > 1 and stack(kernel, levels + 1).receptive_field <= context:
        levels += 1
    return stack(kernel, levels)


def match_channels(channels: int, wanted: int) -> nn.Module:
    """Return a linear map (B, channels, L) -> (B, wanted, L), the identity if they are equal."""
    return CausalConv1d(channels, wanted, 1, 1) if channels != wanted else nn.Identity()


def chained(
    block: Callable[[int, int, int, int, float], nn.Module],
    channels: int,
    hidden: int,
    stack: Stack,
    dropout: float,
) -> nn.Module:
    """Return a chain of one block for each level, (B, channels, L) -> (B, hidden, L).

    Args:
        block: called with input channels, output channels, kernel, dilation and dropout.
        channels: input channels of the first block.
        hidden: output channels of each block.
        stack: kernel and dilations.
        dropout: passed to each block.
    """
    entering = [channels] + [hidden] * (stack.levels - 1)
    return nn.Sequential(
        *(
            block(width, hidden, stack.kernel, dilation, dropout)
            for width, dilation in zip(entering, stack.dilations, strict=True)
        )
    )


class Convolutional(LinearReadout):
    """A model of causal convolutions between the input layer and a linear readout."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        stack: Stack,
        layers: Callable[[int, int, Stack, float], nn.Module],
        *,
        hidden: int,
        dropout: float,
        tied: bool,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            stack: defines the receptive field of the layers.
            layers: builds a module (B, channels, L) -> (B, hidden, L), given channels, hidden,
                stack and dropout.
            hidden: input channels of the readout, and size of an id's embedding.
            dropout: share of the embedding, and of activations, dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden, dropout)
        self.blocks = layers(self.enter.width, hidden, stack, dropout)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self.receptive_field = stack.receptive_field

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden); no state."""
        features = self.enter(inputs).transpose(1, 2)  # (B, channels, L)
        if torch.is_autocast_enabled(features.device.type):
            # Otherwise residual connections would carry float32 past every convolution.
            features = features.to(torch.get_autocast_dtype(features.device.type))
        return self.blocks(features).transpose(1, 2), None

    def state_size(self, context: int) -> int:
        """Return the number of past activations that the convolutions read at the next step."""
        convolutions = [part for part in self.modules() if isinstance(part, CausalConv1d)]
        return sum(min(each.reach, context) * each.in_channels for each in convolutions)
