"""Gated linear attention, and RetNet as the case of constant gates."""

from functools import partial
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone, MixerState, StatefulMixer
from seqmem.baselines.options import Count, OneOf, Share
from seqmem.baselines.outer_product import NORM, GatedOuterProduct
from seqmem.tasks.task import InputSpec

__all__ = ["GLA", "GatedLinearAttention", "Gates"]

Gates = Literal["learned", "constant"]
TEMPERATURE = 16  # τ: decays start near 1 (section 4.4)
RANK = 16  # of the matrix from features to gates


class GLA(Backbone):
    """Blocks of gated linear attention (Yang et al. 2024, arXiv 2312.06635, section 4.4).

    With ``gates=constant`` this is retention (Sun et al. 2023, arXiv 2307.08621) without the
    rotation of queries and keys.
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
        gates: Annotated[Gates, OneOf(get_args(Gates))] = "learned",
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
            gates: whether decays depend on the features, or are a constant of each head.
        """
        make = partial(GatedLinearAttention, hidden, heads, gates)
        super().__init__(
            inputs, outputs, [make] * layers, hidden=hidden, dropout=dropout, tied=tied
        )


class GatedLinearAttention(StatefulMixer):
    """S_t = diag(α_t) S_{t−1} + k_t v_tᵀ and o_t = S_tᵀ q_t for each head, in chunks.

    Queries, keys and values are linear maps of the features x_t, queries are divided by √d.
    Learned decays are α_t = σ(W₂ W₁ x_t + b)^(1/τ), one for each key feature. Constant ones are
    1 − 2^(−5−i) for the i-th head, i from 0 on. The output is W_o (SiLU(W_r x_t) ⊙ norm(o_t)); the
    norm, of each head's own features, is that of root mean squares, as in the authors' code.

    The state is S, (B, heads, d, e).
    """

    def __init__(self, hidden: int, heads: int, gates: Gates = "learned") -> None:
        """Create a layer of `heads` heads on `hidden` features."""
        super().__init__()
        self.heads = heads
        self.sizes = [-(-hidden // (2 * heads)), -(-hidden // heads)]  # d of keys, e of values
        keys, values = (heads * size for size in self.sizes)
        self.project = nn.Linear(hidden, 2 * keys + 2 * values, bias=False)
        self.gate: nn.Module | None = None
        if gates == "learned":
            low = nn.Linear(hidden, min(RANK, hidden), bias=False)
            self.gate = nn.Sequential(low, nn.Linear(low.out_features, keys))
        self.recurrence = GatedOuterProduct()
        self.norm = nn.RMSNorm(self.sizes[1], eps=NORM, elementwise_affine=False)
        self.merge = nn.Linear(values, hidden, bias=False)
        self.state_floats = keys * self.sizes[1]

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        """(B, L, hidden) -> (B, L, hidden), and the state after them."""
        d, e = (self.heads * size for size in self.sizes)
        parts = [
            part.unflatten(-1, (self.heads, -1))
            for part in self.project(features).split([d, d, e, e], -1)
        ]  # (B, L, heads, …)
        query, key, value, read = parts
        query = query * self.sizes[0] ** -0.5
        mixed, state = self.recurrence(state, (query, key, value, self._log_decay(features)))
        merged: Tensor = self.merge((F.silu(read) * self.norm(mixed)).flatten(2))
        return merged, state

    def _log_decay(self, features: Tensor) -> Tensor:
        """Return log α, (B, L, heads, d), or (B, L, heads, 1) if it is constant."""
        if self.gate is not None:
            logits: Tensor = self.gate(features)
            learned: Tensor = F.logsigmoid(logits).unflatten(-1, (self.heads, -1))
            return learned / TEMPERATURE
        head = torch.arange(self.heads, device=features.device, dtype=features.dtype)
        decay = torch.log1p(-(2.0 ** (-5 - head)))
        return decay[:, None].expand(*features.shape[:2], -1, -1)
