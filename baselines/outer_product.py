"""The gated outer product, the recurrence that linear attention and SSD share, in chunks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.recurrence import GatedSum, Recurrence, States, in_chunks, sums_between

__all__ = ["NORM", "Decays", "GatedOuterProduct"]

# Steps of a chunk: where decays differ between keys their products need memory of O(L c d), where
# they are the same O(L c), and the states of chunks O(L d² / c).
CHUNK_OF_KEYS, CHUNK = 8, 32
# Added to mean squares of outputs before their root. Where outputs cancel, their norm enlarges
# rounding errors; with the usual 1e-5, outputs of few features would depend on how inputs are cut.
NORM = 1e-3


class GatedOuterProduct(Recurrence):
    """S_t = diag(α_t) S_{t−1} + k_t v_tᵀ with outputs S_tᵀ q_t, for each head.

    Inputs are q and k, (B, L, heads or 1, d); v, (B, L, heads, e); and log α ≤ 0,
    (B, L, heads, d), or (B, L, heads, 1) where all keys decay alike. The state is
    S, (B, heads, d, e).

    Within a chunk this is masked attention, y_t = Σ_{s ≤ t} (q_tᵀ diag(α_{s+1} … α_t) k_s) v_s, and
    what the state at the chunk's start contributes (Yang et al. 2024, arXiv 2312.06635, section 4;
    Dao & Gu 2024, arXiv 2405.21060, section 6). Products of decays are exponentials of sums of
    log α, and nothing is divided by them: decays may be as strong as they want.
    """

    def __init__(self) -> None:
        """Create the recurrence."""
        super().__init__()
        self.between_chunks = GatedSum()

    def start(self, inputs: States) -> States:
        """Return zeros."""
        _, key, value, decay = inputs
        return (value.new_zeros(len(value), *decay.shape[2:3], key.shape[-1], value.shape[-1]),)

    def step(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the output (B, heads, e), and the next S."""
        query, key, value, decay = inputs
        after = decay.exp()[..., None] * state[0] + key[..., None] * value[..., None, :]
        return (query[..., None, :] @ after).squeeze(-2), (after,)

    def segment(self, state: States, inputs: States) -> tuple[Tensor, States]:
        """Return the outputs (B, L, heads, e), and the last S."""
        length, alike = inputs[2].shape[1], inputs[3].shape[-1] == 1
        chunk = min(CHUNK if alike else CHUNK_OF_KEYS, length)
        # (B, chunks, heads, chunk, …)
        query, key, value, decay = (in_chunks(x, chunk).transpose(2, 3) for x in inputs)
        sums = sums_between(decay)  # (…, t, s, d or 1)
        passed = sums.exp()
        if alike:
            scores = (query @ key.transpose(-1, -2)) * passed[..., 0]
        else:
            scores = (passed * key[..., None, :, :] @ query[..., None]).squeeze(-1)
        within = scores @ value

        since = decay.cumsum(-2).exp()  # from the chunk's start, its own decay included
        kept = key * passed[..., -1, :, :]  # what is left at the chunk's end
        added = kept.transpose(-1, -2) @ value  # (B, chunks, heads, d, e)
        states, after = self.between_chunks.segment(state, (since[..., -1, :, None], added))
        before = torch.cat([state[0][:, None], states[:, :-1]], 1)
        outputs = within + (query * since) @ before
        return outputs.transpose(2, 3).flatten(1, 2)[:, :length], after


class Decays(nn.Module):
    """log α_t = −exp(a) Δ_t with Δ_t = softplus(w·x_t + b), for each head, as in Mamba-2.

    At the start exp(a) is uniform in [1, 16] and softplus(b) is uniform in its logarithm, from
    0.001 to 0.1 (Gu & Dao 2023, arXiv 2312.00752, section 3.6, and the authors' code of Mamba-2).
    """

    def __init__(self, hidden: int, heads: int) -> None:
        """Create the gates of `heads` heads on `hidden` features."""
        super().__init__()
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1, 16).log())
        start = torch.empty(heads).uniform_(math.log(0.001), math.log(0.1)).exp()
        self.bias = nn.Parameter(start + (-(-start).expm1()).log())  # the inverse of softplus
        self.weight = nn.Parameter(torch.empty(heads, hidden).uniform_(-1, 1) / hidden**0.5)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return Δ and log α, (B, L, heads, 1) each, of features (B, L, hidden)."""
        step = F.softplus(F.linear(features, self.weight, self.bias))[..., None]
        return step, -self.log_rate.exp()[:, None] * step
