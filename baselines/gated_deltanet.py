"""Gated DeltaNet: a state that overwrites what a key stored, and forgets all keys by a gate."""

from functools import partial
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone, MixerState, StatefulMixer
from seqmem.baselines.options import Count, OneOf, Share
from seqmem.baselines.outer_product import NORM, Decays
from seqmem.baselines.recurrence import Recurrence, States, in_chunks, sums_between
from seqmem.baselines.short_convolution import ShortConvolution
from seqmem.tasks.task import InputSpec

__all__ = ["Eigenvalues", "GatedDelta", "GatedDeltaLayer", "GatedDeltaNet"]

Eigenvalues = Literal["positive", "signed"]
CHUNK = 16  # steps of a chunk


class GatedDeltaNet(Backbone):
    """Blocks of the gated delta rule (Yang et al. 2025, arXiv 2412.06464, section 3).

    With ``eigenvalues=signed`` the eigenvalues of a step's transition are in [−1, 1] instead of
    [0, 1], so that states can change their sign with each input, which parity needs (Grazzi et al.
    2025, arXiv 2411.12537).
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
        eigenvalues: Annotated[Eigenvalues, OneOf(get_args(Eigenvalues))] = "positive",
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: number of features between layers, and size of an id's embedding.
            layers: number of blocks.
            heads: heads of each block, with keys and values of size hidden / heads, rounded up.
            dropout: share of features dropped in training after the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
            eigenvalues: of a step's transition, besides the decay: in [0, 1] or in [−1, 1].
        """
        make = partial(GatedDeltaLayer, hidden, heads, eigenvalues)
        super().__init__(
            inputs, outputs, [make] * layers, hidden=hidden, dropout=dropout, tied=tied
        )


class GatedDeltaLayer(StatefulMixer):
    """S_t = α_t (I − β_t k_t k_tᵀ) S_{t−1} + β_t k_t v_tᵀ and o_t = S_tᵀ q_t for each head.

    Queries, keys and values are linear maps of the features, through a short convolution and SiLU;
    queries and keys then have length 1, and queries are divided by √d. For each head
    α_t = exp(−exp(a) softplus(w·x_t + b)), as in Mamba-2, and β_t = σ(u·x_t), or twice that with
    signed eigenvalues. The output is W_o (SiLU(W_g x_t) ⊙ norm(o_t)), with the root mean square
    norm of each head's own features.

    The state is the last 3 inputs of the convolution, and S, (B, heads, d, d).
    """

    def __init__(self, hidden: int, heads: int, eigenvalues: Eigenvalues = "positive") -> None:
        """Create a layer of `heads` heads on `hidden` features."""
        super().__init__()
        self.heads, self.size = heads, -(-hidden // heads)
        self.largest_step = 2.0 if eigenvalues == "signed" else 1.0  # of β
        width = heads * self.size
        self.project = nn.Linear(hidden, 4 * width + heads, bias=False)
        self.convolution = ShortConvolution(3 * width, bias=False)
        self.decays = Decays(hidden, heads)
        self.recurrence = GatedDelta()
        self.norm = nn.RMSNorm(self.size, eps=NORM)
        self.merge = nn.Linear(width, hidden, bias=False)
        self.state_floats = self.convolution.state_floats + width * self.size

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        """(B, L, hidden) -> (B, L, hidden), and the state after them."""
        last, memory = (None, None) if state is None else (state[0], state[1:])
        width = self.heads * self.size
        mixed, read, step = self.project(features).split([3 * width, width, self.heads], -1)
        mixed, last = self.convolution(mixed, last)
        query, key, value = F.silu(mixed).unflatten(-1, (3, self.heads, -1)).unbind(2)
        query = F.normalize(query, dim=-1) * self.size**-0.5
        step = self.largest_step * torch.sigmoid(step)
        parts = (query, F.normalize(key, dim=-1), value, self.decays(features)[1], step)
        outputs, memory = self.recurrence(memory, parts)
        gated = F.silu(read).unflatten(-1, (self.heads, -1)) * self.norm(
            outputs.to(self.norm.weight.dtype)
        )
        merged: Tensor = self.merge(gated.flatten(2))
        return merged, (last, *memory)


class GatedDelta(Recurrence):
    """The gated delta rule of `GatedDeltaLayer` in chunks (section 3.3 and appendix A).

    Inputs are q and k, (B, L, heads, d); v, (B, L, heads, e); log α ≤ 0, (B, L, heads, 1); and β,
    (B, L, heads). The state is S, (B, heads, d, e).

    Each step adds k_t u_tᵀ to the decayed state, with u_t = β_t (v_t − α_t S_{t−1}ᵀ k_t). Within a
    chunk, the u_t depend linearly on earlier ones: (I + A) U = β (V − Γ K S), where
    A_ts = β_t (k_t·k_s) α_{s+1} … α_t for s < t, and Γ_t is the decay since the chunk's start, at
    which the state is S. One triangular system for each chunk therefore gives all of them, U for
    S = 0 and what S changes; the rest is as in the gated outer product of k_t and u_t.
    """

    def start(self, inputs: States) -> States:
        """Return zeros."""
        key, value = inputs[1:3]
        return (value.new_zeros(len(value), *key.shape[2:], value.shape[-1]),)

    def step(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the output (B, heads, e), and the next S."""
        query, key, value, decay, rate = inputs
        kept = decay.exp()[..., None] * state[0]
        change = rate[..., None] * (value - (key[..., None, :] @ kept).squeeze(-2))
        after = kept + key[..., None] * change[..., None, :]
        return (query[..., None, :] @ after).squeeze(-2), (after,)

    def segment(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the outputs (B, L, heads, e), and the last S."""
        length, size = inputs[2].shape[1], inputs[2].shape[-1]
        chunk = min(CHUNK, length)
        parts = (*inputs[:4], inputs[4][..., None])
        # (B, chunks, heads, chunk, …)
        query, key, value, decay, rate = (in_chunks(x, chunk).transpose(2, 3) for x in parts)
        passed = sums_between(decay)[..., 0].exp()  # (…, t, s)
        since = decay.cumsum(-2).exp()
        depends = (rate * (key @ key.transpose(-1, -2)) * passed).tril(-1)  # A
        solved = torch.linalg.solve_triangular(
            depends, rate * torch.cat([value, since * key], -1), upper=False, unitriangular=True
        )
        change, of_state = solved.split([size, key.shape[-1]], -1)  # U of S = 0, and its part in S
        scores = (query @ key.transpose(-1, -2)) * passed
        reads = query * since
        writes = (key * passed[..., -1, :, None]).transpose(-1, -2)  # what is left at the end
        kept = since[..., -1:, :]
        memory, outputs = state[0], []
        for i in range(query.shape[1]):
            added = change[:, i] - of_state[:, i] @ memory
            outputs.append(reads[:, i] @ memory + scores[:, i] @ added)
            memory = kept[:, i] * memory + writes[:, i] @ added
        return torch.stack(outputs, 1).transpose(2, 3).flatten(1, 2)[:, :length], (memory,)
