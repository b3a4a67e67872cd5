"""minGRU and minLSTM: gates that see only the input, so that a scan computes all steps."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone, MixerState, StatefulMixer
from seqmem.baselines.options import Count, Share
from seqmem.baselines.recurrence import GatedSum
from seqmem.tasks.task import InputSpec

__all__ = ["MinGRU", "MinGRULayer", "MinLSTM", "MinLSTMLayer"]


class _Minimal(Backbone):
    """Blocks of one of the minimal recurrent layers."""

    stateful = True
    layer: type["_MinimalLayer"]

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 2,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: number of features between layers, of units of a layer, and size of an id's
                embedding.
            layers: number of blocks.
            dropout: share of features dropped in training after the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        make = partial(self.layer, hidden)
        super().__init__(
            inputs, outputs, [make] * layers, hidden=hidden, dropout=dropout, tied=tied
        )


class _MinimalLayer(StatefulMixer):
    """h_t = a_t ⊙ h_{t−1} + (1 − a_t) ⊙ h̃_t with h̃_t = W x_t + b, and a linear map of h_t.

    The equations are those of the paper's section 3. Its appendix computes the same in logarithms,
    for which h̃_t must be positive; the scan of this package does not need that.

    The state is h, (B, hidden).
    """

    gates: int  # linear maps of the features that a depends on

    def __init__(self, hidden: int) -> None:
        """Create a layer of `hidden` units on as many features."""
        super().__init__()
        self.project = nn.Linear(hidden, (1 + self.gates) * hidden)
        self.recurrence = GatedSum()
        self.merge = nn.Linear(hidden, hidden)
        self.state_floats = hidden

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        """(B, L, hidden) -> (B, L, hidden), and the state after them."""
        candidate, *gates = self.project(features).chunk(1 + self.gates, -1)
        forget = self.forget_logits(*gates)
        # 1 − σ(x) = σ(−x), which is exact where σ(x) is almost 1.
        inputs = (torch.sigmoid(forget), torch.sigmoid(-forget) * candidate)
        states, state = self.recurrence(state, inputs)
        merged: Tensor = self.merge(states)
        return merged, state

    def forget_logits(self, *gates: Tensor) -> Tensor:
        """Return the logits of a, (B, L, hidden)."""
        raise NotImplementedError


class MinGRULayer(_MinimalLayer):
    """a_t = 1 − z_t with the update gate z_t = σ(W_z x_t + b_z)."""

    gates = 1

    def forget_logits(self, *gates: Tensor) -> Tensor:
        """Return the logits of 1 − z."""
        return -gates[0]


class MinLSTMLayer(_MinimalLayer):
    """a_t = f_t / (f_t + i_t) with f_t = σ(W_f x_t + b_f) and i_t = σ(W_i x_t + b_i)."""

    gates = 2

    def forget_logits(self, *gates: Tensor) -> Tensor:
        """Return log f − log i, whose sigmoid is f / (f + i)."""
        return F.logsigmoid(gates[0]) - F.logsigmoid(gates[1])


class MinGRU(_Minimal):
    """Blocks of minGRU (Feng et al. 2024, arXiv 2410.01201, section 3.1), see `MinGRULayer`."""

    layer = MinGRULayer


class MinLSTM(_Minimal):
    """Blocks of minLSTM (Feng et al. 2024, arXiv 2410.01201, section 3.2), see `MinLSTMLayer`."""

    layer = MinLSTMLayer
