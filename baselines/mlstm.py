"""mLSTM, xLSTM's matrix memory: an LSTM whose cell stores values under keys."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone, MixerState, StatefulMixer
from seqmem.baselines.options import Count, Share
from seqmem.baselines.outer_product import NORM, GatedOuterProduct
from seqmem.baselines.recurrence import Recurrence, States
from seqmem.tasks.task import InputSpec

__all__ = ["MLSTM", "MLSTMLayer", "MatrixMemory"]

FIRST, LAST = 3.0, 6.0  # biases of the forget gates of the first and the last head at the start


class MLSTM(Backbone):
    """Blocks of xLSTM's mLSTM (Beck et al. 2024, arXiv 2405.04517, section 2.3).

    The memory is that of the paper. Around it is the block of xLSTM 7B (Beck et al. 2025,
    arXiv 2503.13427, section 3), a layer without convolution and expansion, and then a network,
    as in all models of this backbone.
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
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: number of features between layers, and size of an id's embedding.
            layers: number of blocks.
            heads: heads of each block, with keys of size hidden / (2 heads) and values of size
                hidden / heads, rounded up.
            dropout: share of features dropped in training after the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        make = partial(MLSTMLayer, hidden, heads)
        super().__init__(
            inputs, outputs, [make] * layers, hidden=hidden, dropout=dropout, tied=tied
        )


class MLSTMLayer(StatefulMixer):
    """C_t = f_t C_{t−1} + i_t k_t v_tᵀ, n_t = f_t n_{t−1} + i_t k_t, and what a query reads.

    For each head h_t = C_tᵀ q_t / max(|n_t·q_t|, 1), with the gates i_t = exp(w_i·x_t + b_i) and
    f_t = σ(w_f·x_t + b_f). Queries, keys and values are linear maps of the features x_t, keys are
    divided by √d. The output is W_h (σ(W_o x_t + b_o) ⊙ norm(h_t)), with the root mean square norm
    of each head's own features.

    The state is C with n, (B, heads, d, e + 1), and the stabiliser m, (B, heads).
    """

    def __init__(self, hidden: int, heads: int) -> None:
        """Create a layer of `heads` heads on `hidden` features."""
        super().__init__()
        self.heads = heads
        self.sizes = [-(-hidden // (2 * heads)), -(-hidden // heads)]  # d of keys, e of values
        keys, values = (heads * size for size in self.sizes)
        self.project = nn.Linear(hidden, 2 * keys + values, bias=False)
        self.gates = nn.Linear(hidden, 2 * heads)
        self.read = nn.Linear(hidden, values)
        with torch.no_grad():
            self.gates.bias[:heads] = 0.0
            self.gates.bias[heads:] = torch.linspace(FIRST, LAST, heads)
        self.recurrence = MatrixMemory()
        self.norm = nn.RMSNorm(self.sizes[1], eps=NORM)
        self.merge = nn.Linear(values, hidden, bias=False)
        self.state_floats = heads * (self.sizes[0] * (self.sizes[1] + 1) + 1)

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        """(B, L, hidden) -> (B, L, hidden), and the state after them."""
        d, e = (self.heads * size for size in self.sizes)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1))
            for part in self.project(features).split([d, d, e], -1)
        )  # (B, L, heads, …)
        key = key * self.sizes[0] ** -0.5
        write, keep = self.gates(features).chunk(2, -1)  # (B, L, heads)
        mixed, state = self.recurrence(state, (query, key, value, write, F.logsigmoid(keep)))
        gated = torch.sigmoid(self.read(features)) * self.norm(
            mixed.to(self.norm.weight.dtype)
        ).flatten(2)
        merged: Tensor = self.merge(gated)
        return merged, state


class MatrixMemory(Recurrence):
    """The memory of `MLSTMLayer`, divided by exp(m_t), so that no exponential overflows.

    Inputs are q and k, (B, L, heads, d); v, (B, L, heads, e); and log i and log f ≤ 0,
    (B, L, heads). The state is C and n / exp(m), (B, heads, d, e + 1), and m, (B, heads).

    m_t = max(log f_t + m_{t−1}, log i_t) (the paper's equation 15). The memory is then the gated
    outer product with decays f_t exp(m_{t−1} − m_t) and keys i_t exp(−m_t) k_t, and n is its column
    for a value of 1. As outputs do not depend on m, it has no gradient.
    """

    def __init__(self) -> None:
        """Create the recurrence."""
        super().__init__()
        self.memory = GatedOuterProduct()

    def start(self, inputs: States) -> States:
        """Return zeros."""
        _, key, value, write, _ = inputs
        sizes = (len(value), key.shape[2], key.shape[3], value.shape[3] + 1)
        return value.new_zeros(sizes), torch.zeros_like(write[:, 0])

    def step(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the output (B, heads, e), and the next state."""
        write, keep = inputs[3:]
        largest = torch.maximum(keep + state[1], write).detach()
        parts = self._outer_product(inputs, state[1], largest)
        read, (memory,) = self.memory.step(state[:1], parts)
        return self._normalised(read, largest), (memory, largest)

    def segment(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the outputs (B, L, heads, e), and the last state."""
        write, keep = (part.detach() for part in inputs[3:])
        kept = keep.cumsum(1)
        # Rounding of the sums only moves m, which all that follows uses alike.
        largest = kept + torch.maximum((write - kept).cummax(1).values, state[1].detach()[:, None])
        before = torch.cat([state[1].detach()[:, None], largest[:, :-1]], 1)
        parts = self._outer_product(inputs, before, largest)
        read, (memory,) = self.memory.segment(state[:1], parts)
        return self._normalised(read, largest), (memory, largest[:, -1])

    def _outer_product(self, inputs: States, before: Tensor, largest: Tensor) -> States:
        """Return q, k, v and log α of the gated outer product, with m before and after."""
        query, key, value, write, keep = inputs
        scaled = key * (write - largest).exp()[..., None]
        decay = (keep + before - largest)[..., None]
        return query, scaled, torch.cat([value, torch.ones_like(value[..., :1])], -1), decay

    def _normalised(self, read: Tensor, largest: Tensor) -> Tensor:
        values, total = read[..., :-1], read[..., -1:]
        return values / torch.maximum(total.abs(), (-largest).exp()[..., None])
