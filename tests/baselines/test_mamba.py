"""Mamba's structured form against a loop over time, and against transformers' Mamba-2."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.mamba import StateSpaceDual
from seqmem.tests.recurrences import LENGTHS, SPREADS, agrees_with_loop, convolved, randomised


def loop(layer: StateSpaceDual, features: Tensor, heads: int, numbers: int) -> Tensor:
    """Dao & Gu 2024, equation 1 with the scalar A of section 2.4, for each channel alone."""
    width = heads * -(-2 * features.shape[2] // heads)
    z_rows, xbc_rows = layer.project.weight.split([width, width + 2 * numbers])
    state = torch.zeros(len(features), width, numbers, dtype=features.dtype)
    assert layer.convolution.bias is not None
    seen, outputs = [], []
    head_of = torch.arange(width) // (width // heads)
    for u in features.unbind(1):
        seen.append(u @ xbc_rows.T)
        mixed = F.silu(convolved(seen, layer.convolution.weight) + layer.convolution.bias)
        x, b, c = mixed.split([width, numbers, numbers], 1)
        logits = u @ layer.decays.weight.T + layer.decays.bias
        delta = torch.logaddexp(logits, torch.zeros_like(logits))[:, head_of]
        alpha = torch.exp(-torch.exp(layer.decays.log_rate[head_of]) * delta)
        state = alpha[:, :, None] * state + (delta * x)[:, :, None] * b[:, None, :]
        y = (state * c[:, None, :]).sum(2) + layer.skip[head_of, 0] * x
        y = y * F.silu(u @ z_rows.T)
        y = y / (y.square().mean(1, keepdim=True) + 1e-5).sqrt() * layer.norm.weight
        outputs.append(y @ layer.merge.weight.T)
    return torch.stack(outputs, 1)


@settings(max_examples=12, deadline=None)
@given(
    length=LENGTHS,
    spread=SPREADS,
    heads=st.integers(1, 3),
    numbers=st.integers(1, 5),
    cuts=st.lists(st.integers(1, 97), max_size=3),
    seed=st.integers(0, 99),
)
def test_equals_a_loop(
    length: int, spread: float, heads: int, numbers: int, cuts: list[int], seed: int
) -> None:
    with torch.random.fork_rng():
        layer = StateSpaceDual(5, heads, numbers)
    randomised(layer, seed, spread, ["decays.weight"])
    agrees_with_loop(layer, lambda x: loop(layer, x, heads, numbers), 5, length, cuts, seed)


@pytest.mark.parametrize("length", [1, 31, 70])
def test_equals_transformers(length: int) -> None:
    """The mixer of its Mamba-2 without kernels, which computes in float32."""
    reason = "the reference needs transformers: pip install 'seqmem[hf]'"
    mamba2 = pytest.importorskip("transformers.models.mamba2.modeling_mamba2", reason=reason)
    hidden, heads, numbers = 6, 3, 4
    settings = mamba2.Mamba2Config(
        hidden_size=hidden, num_heads=heads, head_dim=4, state_size=numbers, n_groups=1, expand=2,
        chunk_size=16, use_conv_bias=True, use_bias=False, layer_norm_epsilon=1e-5,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(length)
        theirs = mamba2.Mamba2Mixer(settings, layer_idx=0)
        layer = StateSpaceDual(hidden, heads, numbers)
        features = torch.randn(2, length, hidden, requires_grad=True)
    randomised(layer, length, 1.0, ["decays.weight"])
    layer.float()
    with torch.no_grad():
        theirs.in_proj.weight.copy_(torch.cat([layer.project.weight, layer.decays.weight]))
        theirs.conv1d.weight.copy_(layer.convolution.weight.T[:, None])
        theirs.conv1d.bias.copy_(layer.convolution.bias)
        theirs.dt_bias.copy_(layer.decays.bias)
        theirs.A_log.copy_(layer.decays.log_rate)
        theirs.D.copy_(layer.skip[:, 0])
        theirs.norm.weight.copy_(layer.norm.weight)
        theirs.out_proj.weight.copy_(layer.merge.weight)
    expected, (ours, _) = theirs(features), layer(features, None)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=2e-5)
    exact, found = (
        torch.autograd.grad(each.square().sum(), features)[0] for each in (expected, ours)
    )
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-5 * float(exact.abs().max()))
