"""A mixer: ``Class(d_model)``, from features (B, L, d_model) to features of the same shape.

It takes the place of attention in the suite's Transformer; everything else is the same for all
mixers: embedding, pre-norm residual blocks with a ReLU network, readout.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone
from seqmem.baselines.own.outputs import main_tensor
from seqmem.tasks.task import InputSpec

__all__ = ["MixerModel"]


class MixerModel(Backbone):
    """The Transformer's backbone with a user's mixer in each block."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        make: Callable[..., nn.Module],
        arguments: Mapping[str, Any],
        *,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            make: the user's class.
            arguments: its keyword arguments after the number of features.
            hidden: number of features.
            layers: number of blocks.
            dropout: as in the Transformer.
            tied: whether embedding and readout share weights.
        """
        mixers = [lambda: _Mixer(make(hidden, **arguments))] * layers
        super().__init__(inputs, outputs, mixers, hidden=hidden, dropout=dropout, tied=tied)
        fields = [
            getattr(each.module, "receptive_field", None)
            for each in self.modules()
            if isinstance(each, _Mixer)
        ]
        if all(isinstance(field, int) for field in fields):
            self.receptive_field = 1 + sum(int(field or 1) - 1 for field in fields)


class _Mixer(nn.Module):
    """The user's module; of a tuple or mapping that it returns, the features."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, hidden) -> (B, L, hidden)."""
        name = type(self.module).__name__
        return main_tensor(self.module(features), tuple(features.shape), name)
