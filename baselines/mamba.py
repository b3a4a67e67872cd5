"""Mamba in its structured form, SSD: a selective state space model with one decay for each head."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone, MixerState, StatefulMixer
from seqmem.baselines.options import Count, Share
from seqmem.baselines.outer_product import Decays, GatedOuterProduct
from seqmem.baselines.short_convolution import ShortConvolution
from seqmem.tasks.task import InputSpec

__all__ = ["Mamba", "StateSpaceDual"]

EXPANSION = 2  # channels of the recurrence for each feature


class Mamba(Backbone):
    """Blocks of Mamba-2's layer (Dao & Gu 2024, arXiv 2405.21060, section 7).

    Its form is SSD, where all states of a head decay alike, and not S6, the layer of the first
    Mamba (Gu & Dao 2023, arXiv 2312.00752), where each has a decay of its own. SSD is the gated
    outer product of the other models here, and consists of matrix products within chunks; S6 needs
    a scan over all channels and states, which is slow without a kernel of its own. A ReLU network
    follows each layer, as in the paper's hybrid with networks (section 9.2.3).
    """

    stateful = True

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 2,
        heads: Count = 4,
        state: Count = 32,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: number of features between layers, and size of an id's embedding.
            layers: number of blocks.
            heads: heads of each block, with 2 hidden / heads channels, rounded up.
            state: numbers in the state of one channel.
            dropout: share of features dropped in training after the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        make = partial(StateSpaceDual, hidden, heads, state)
        super().__init__(
            inputs, outputs, [make] * layers, hidden=hidden, dropout=dropout, tied=tied
        )


class StateSpaceDual(StatefulMixer):
    """h_t = α_t h_{t−1} + Δ_t B_t x_tᵀ and y_t = h_tᵀ C_t + D x_t for each head, in chunks.

    x (of 2 hidden channels), B and C (of `state` numbers, shared by the heads) are linear maps of
    the features, through a short convolution and SiLU. Δ_t = softplus(w·u_t + b) is a number for
    each head, with the features u_t, and α_t = exp(−exp(a) Δ_t). The output is
    W_o norm(y_t ⊙ SiLU(W_z u_t)), with the root mean square norm of all channels.

    The state is the last 3 inputs of the convolution, and h, (B, heads, state, channels of a head).
    """

    def __init__(self, hidden: int, heads: int, state: int) -> None:
        """Create a layer of `heads` heads on `hidden` features."""
        super().__init__()
        self.heads, self.state = heads, state
        self.channels = heads * -(-EXPANSION * hidden // heads)
        self.project = nn.Linear(hidden, 2 * self.channels + 2 * state, bias=False)
        self.convolution = ShortConvolution(self.channels + 2 * state)
        self.decays = Decays(hidden, heads)
        self.recurrence = GatedOuterProduct()
        self.skip = nn.Parameter(torch.ones(heads, 1))  # D
        self.norm = nn.RMSNorm(self.channels, eps=1e-5)
        self.merge = nn.Linear(self.channels, hidden, bias=False)
        self.state_floats = self.convolution.state_floats + self.channels * state

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        """(B, L, hidden) -> (B, L, hidden), and the state after them."""
        last, memory = (None, None) if state is None else (state[0], state[1:])
        width, own = self.channels, self.state
        read, mixed = self.project(features).split([width, width + 2 * own], -1)
        mixed, last = self.convolution(mixed, last)
        values, key, query = F.silu(mixed).split([width, own, own], -1)
        values = values.unflatten(-1, (self.heads, -1))  # (B, L, heads, channels of a head)
        step, decay = self.decays(features)
        parts = (query[:, :, None], key[:, :, None], values * step, decay)
        outputs, memory = self.recurrence(memory, parts)
        outputs = (outputs + self.skip * values).flatten(2)
        merged: Tensor = self.merge(self.norm(outputs * F.silu(read)))
        return merged, (last, *memory)
