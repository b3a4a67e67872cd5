"""Gated linear attention against a loop over time."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.gla import GatedLinearAttention, Gates
from seqmem.tests.recurrences import LENGTHS, SPREADS, agrees_with_loop, randomised


def loop(layer: GatedLinearAttention, features: Tensor, heads: int, gates: Gates) -> Tensor:
    """Yang et al. 2024, section 4.4, and Sun et al. 2023, section 2."""
    d, e = -(-features.shape[2] // (2 * heads)), -(-features.shape[2] // heads)
    weights = layer.project.weight.split([heads * d, heads * d, heads * e, heads * e])
    states = torch.zeros(heads, len(features), d, e, dtype=features.dtype)
    outputs = []
    for x in features.unbind(1):
        q, k, v, r = (x @ weight.T for weight in weights)
        if gates == "learned":
            low, high = layer.gate  # type: ignore[misc]
            logits = x @ low.weight.T @ high.weight.T + high.bias
            alpha = (F.logsigmoid(logits) / 16).exp()  # σ(…)^(1/16)
        after, read = [], []
        for i, state in enumerate(states):
            keys, values = slice(i * d, (i + 1) * d), slice(i * e, (i + 1) * e)
            decay = alpha[:, keys, None] if gates == "learned" else 1 - 2.0 ** (-5 - i)
            state = decay * state + torch.einsum("bd,be->bde", k[:, keys], v[:, values])
            o = torch.einsum("bd,bde->be", q[:, keys] / d**0.5, state)
            size = (o.square().mean(1, keepdim=True) + 1e-3).sqrt()
            read.append(o / size * F.silu(r[:, values]))
            after.append(state)
        states = torch.stack(after)
        outputs.append(torch.cat(read, 1) @ layer.merge.weight.T)
    return torch.stack(outputs, 1)


@settings(max_examples=12, deadline=None)
@given(
    length=LENGTHS,
    spread=SPREADS,
    heads=st.integers(1, 3),
    gates=st.sampled_from(["learned", "constant"]),
    cuts=st.lists(st.integers(1, 97), max_size=3),
    seed=st.integers(0, 99),
)
def test_equals_a_loop(
    length: int, spread: float, heads: int, gates: Gates, cuts: list[int], seed: int
) -> None:
    hidden = 6
    with torch.random.fork_rng():
        layer = GatedLinearAttention(hidden, heads, gates)
    randomised(layer, seed, spread, ["gate"])
    agrees_with_loop(layer, lambda x: loop(layer, x, heads, gates), hidden, length, cuts, seed)
