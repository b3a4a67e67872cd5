"""Gated DeltaNet against a loop over time, and the delta rule against transformers'."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.gated_deltanet import Eigenvalues, GatedDelta, GatedDeltaLayer
from seqmem.tests.recurrences import LENGTHS, SPREADS, agrees_with_loop, convolved, randomised


def loop(layer: GatedDeltaLayer, features: Tensor, heads: int, signed: bool) -> Tensor:
    """Yang et al. 2025, equation 10, transposed; section 3.4; Grazzi et al. 2025, section 4."""
    d = -(-features.shape[2] // heads)
    inner = heads * d
    qkv, gate, beta = layer.project.weight.split([3 * inner, inner, heads])
    states = torch.zeros(heads, len(features), d, d, dtype=features.dtype)  # values × keys
    seen, outputs = [], []
    for x in features.unbind(1):
        seen.append(x @ qkv.T)
        q, k, v = F.silu(convolved(seen, layer.convolution.weight)).split(inner, -1)
        rate = torch.sigmoid(x @ beta.T) * (2 if signed else 1)
        delta = F.softplus(x @ layer.decays.weight.T + layer.decays.bias)
        alpha = torch.exp(-torch.exp(layer.decays.log_rate) * delta)
        read, after = [], []
        for i, state in enumerate(states):
            own = slice(i * d, (i + 1) * d)
            key, query = (t[:, own] / t[:, own].norm(dim=1, keepdim=True) for t in (k, q))
            a, b = alpha[:, i, None, None], rate[:, i, None, None]
            turn = torch.eye(d, dtype=x.dtype) - b * key[:, :, None] * key[:, None, :]
            state = a * state @ turn + b * v[:, own, None] * key[:, None, :]
            o = (state @ query[:, :, None]).squeeze(2) / d**0.5
            size = (o.square().mean(1, keepdim=True) + 1e-3).sqrt()
            read.append(o / size * layer.norm.weight * F.silu(x @ gate[own].T))
            after.append(state)
        states = torch.stack(after)
        outputs.append(torch.cat(read, 1) @ layer.merge.weight.T)
    return torch.stack(outputs, 1)


@settings(max_examples=12, deadline=None)
@given(
    length=LENGTHS,
    spread=SPREADS,
    heads=st.integers(1, 3),
    eigenvalues=st.sampled_from(["positive", "signed"]),
    cuts=st.lists(st.integers(1, 97), max_size=3),
    seed=st.integers(0, 99),
)
def test_equals_a_loop(
    length: int, spread: float, heads: int, eigenvalues: Eigenvalues, cuts: list[int], seed: int
) -> None:
    with torch.random.fork_rng():
        layer = GatedDeltaLayer(6, heads, eigenvalues)
    randomised(layer, seed, spread, ["decays.weight"])
    signed = eigenvalues == "signed"
    agrees_with_loop(layer, lambda x: loop(layer, x, heads, signed), 6, length, cuts, seed)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 70])
@pytest.mark.parametrize("name", ["chunk", "recurrent"])
def test_equals_transformers(length: int, name: str) -> None:
    """The functions of Qwen3-Next without its kernels, which compute in float32."""
    reference = pytest.importorskip(
        "transformers.models.qwen3_next.modeling_qwen3_next",
        reason="the reference needs transformers: pip install 'seqmem[hf]'",
    )
    source = torch.Generator().manual_seed(length)
    query, key, value = torch.randn(3, 2, length, 3, 4, generator=source).unbind()
    state = torch.randn(2, 3, 4, 4, generator=source)
    key = F.normalize(key, dim=-1)
    decay = -5 * torch.rand(2, length, 3, generator=source) ** 4
    rate = torch.rand(2, length, 3, generator=source)
    inputs = [x.requires_grad_() for x in (query, key, value, decay, rate, state)]
    outputs, after = getattr(reference, f"torch_{name}_gated_delta_rule")(
        query, key, value, g=decay, beta=rate, initial_state=state, output_final_state=True
    )
    ours, (memory,) = GatedDelta()((state,), (query / 2, key, value, decay[..., None], rate))
    torch.testing.assert_close(ours, outputs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(memory, after, rtol=1e-5, atol=1e-5)
    theirs, own = (
        torch.autograd.grad(one.square().sum() + other.sum(), inputs)
        for one, other in ((outputs, after), (ours, memory))
    )
    for exact, found in zip(theirs, own, strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-5, atol=1e-5 * float(exact.abs().max()))
