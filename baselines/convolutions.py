"""What convolutional networks over time share: causal convolutions, and how far a stack sees."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = [
    "CausalConv1d",
    "Convolutional",
    "Stack",
    "chained",
    "fit_stack",
    "match_channels",
]


class CausalConv1d(nn.Conv1d):
    """A convolution whose output at t depends on inputs up to t; zeros before the start.

    It is computed as one in two dimensions, one of them of size 1: only those keep the channels of
    a step side by side in memory, as the layers around have them, and they are two to four times
    as fast on a CPU, forward and backward together.

    Attributes:
        reach: how many inputs before the current one it reads from.
    """

    def __init__(self, channels: int, outputs: int, kernel: int, dilation: int) -> None:
        """Take the numbers of channels, the kernel's width and the distance of its taps."""
        super().__init__(channels, outputs, kernel, dilation=dilation)
        self.reach = (kernel - 1) * dilation

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, L) -> (B, outputs, L)."""
        padded = F.pad(inputs.unsqueeze(2), (self.reach, 0))  # (B, channels, 1, reach + L)
        weight = self.weight.unsqueeze(2)  # (outputs, channels, 1, kernel)
        return F.conv2d(padded, weight, self.bias, dilation=(1, *self.dilation)).squeeze(2)


@dataclass(frozen=True)
class Stack:
    """Causal convolutions on top of each other.

    Attributes:
        kernel: width of each.
        levels: how many dilations there are.
        convolutions: how many convolutions have the same dilation.
        growth: how many times as large the dilation is from level to level; it starts at 1.
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
        """How many of the latest inputs an output depends on."""
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
    """Choose the least receptive field that covers `context`, or the most within it.

    Args:
        context: the context length asked for.
        covers: whether the field must reach `context` or must not exceed it.
        kernel: width of the convolutions; narrower where one level alone would see too much.
        levels: taken as they are unless 0, and `context` with them.
        convolutions: how many convolutions a level has.
        growth: of the dilation from level to level.

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
            raise ValueError(f"kernel=1 never sees {context} inputs; take a wider one")
        while stack(kernel, levels).receptive_field < context:
            levels += 1
        return stack(kernel, levels)
    kernel = min(kernel, 1 + (context - 1) // convolutions)
    while kernel > 1 and stack(kernel, levels + 1).receptive_field <= context:
        levels += 1
    return stack(kernel, levels)


def match_channels(channels: int, wanted: int) -> nn.Module:
    """Make a map (B, channels, L) -> (B, wanted, L): none where there is nothing to change."""
    return CausalConv1d(channels, wanted, 1, 1) if channels != wanted else nn.Identity()


def chained(
    block: Callable[[int, int, int, int, float], nn.Module],
    stack: Stack,
    hidden: int,
    dropout: float,
) -> Callable[[int], nn.Module]:
    """Tell how to make one block for each level, one behind the other.

    Args:
        block: called with channels that enter and leave, kernel, dilation and dropout.
        stack: gives kernel and dilations.
        hidden: channels that leave each block.
        dropout: handed to each block.
    """

    def layers(channels: int) -> nn.Module:
        entering = [channels] + [hidden] * (stack.levels - 1)
        return nn.Sequential(
            *(
                block(width, hidden, stack.kernel, dilation, dropout)
                for width, dilation in zip(entering, stack.dilations, strict=True)
            )
        )

    return layers


class Convolutional(LinearReadout):
    """Layers of causal convolutions between the input layer and a linear readout."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        stack: Stack,
        layers: Callable[[int], nn.Module],
        *,
        hidden: int,
        dropout: float,
        tied: bool,
    ) -> None:
        """Take what comes in, how many outputs go out, and the layers.

        Args:
            inputs: what one input is.
            outputs: numbers given for each position.
            stack: tells how far the layers see.
            layers: called with the channels that enter, makes (B, channels, L) -> (B, hidden, L).
            hidden: channels that the readout gets, and size of an id's embedding.
            dropout: share of the embedding dropped in training.
            tied: whether embedding and readout share weights; needs ids in and as many out.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        self.blocks = layers(self.enter.width)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self.receptive_field = stack.receptive_field

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden); no state."""
        features = self.dropout(self.enter(inputs)).transpose(1, 2)  # (B, channels, L)
        if torch.is_autocast_enabled(features.device.type):
            # Or residual connections would carry float32 past every convolution.
            features = features.to(torch.get_autocast_dtype(features.device.type))
        return self.blocks(features).transpose(1, 2), None

    def state_size(self, context: int) -> int:
        """Count the past activations that the next step needs: each convolution's own reach."""
        convolutions = [part for part in self.modules() if isinstance(part, CausalConv1d)]
        return sum(min(each.reach, context) * each.in_channels for each in convolutions)
