"""The Transformer: attention in blocks, windows and the cache of keys and values."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.training.loop import seeded
from seqmem.baselines.transformer import (
    Transformer,
    WindowedAttention,
    window_widths,
)
from seqmem.tasks.task import Features, Tokens


def attention(heads: int, width: int) -> WindowedAttention:
    with seeded(2):
        layer = WindowedAttention(6, heads, width)
        nn.init.normal_(layer.project.weight)  # logits of size 1: positions matter
    return layer


def dense(layer: WindowedAttention, features: Tensor) -> Tensor:
    """Return the same with one L × L mask, computed head by head."""
    length, inner = features.shape[1], layer.heads * layer.size
    distance = torch.arange(length)[:, None] - torch.arange(length)
    outside = (distance < 0) | (distance >= layer.width)
    query, key, value = layer.project(features).split(inner, -1)
    half = layer.size // 2
    speed = 10_000.0 ** (-torch.arange(half) / half)
    turn = torch.polar(torch.ones(length, length, half), distance[..., None] * speed)
    mixed = []
    for head in range(layer.heads):
        own = slice(head * layer.size, (head + 1) * layer.size)
        # Pairs as complex numbers, rotated in proportion to the distance of a key.
        q, k = (torch.complex(*part[..., own].split(half, -1)) for part in (query, key))
        logits = torch.einsum("bqd,bkd,qkd->bqk", q, k.conj(), turn).real / math.sqrt(layer.size)
        weights = logits.masked_fill(outside, -math.inf).softmax(-1)
        mixed.append(weights @ value[..., own])
    merged: Tensor = layer.merge(torch.cat(mixed, -1))
    return merged


# Blocks have 64 inputs, and 99 for the last width; lengths around one, two and several blocks.
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 127, 128, 129, 191, 197, 198, 200, 331, 500])
@pytest.mark.parametrize(("heads", "width"), [(2, 1), (1, 2), (4, 5), (2, 64), (2, 65), (3, 100)])
def test_blocks_equal_dense_attention(length: int, heads: int, width: int) -> None:
    layer = attention(heads, width)
    source = torch.Generator().manual_seed(length)
    features = torch.randn(2, length, 6, generator=source, requires_grad=True)
    weight = torch.randn(2, length, 6, generator=source)
    gradients = []
    for outputs in (layer(features), dense(layer, features)):
        layer.zero_grad()
        (outputs * weight).sum().backward()
        assert layer.project.weight.grad is not None
        assert features.grad is not None
        gradients += [outputs.detach(), features.grad.clone(), layer.project.weight.grad.clone()]
        features.grad = None
    for blocked, plain in zip(gradients[:3], gradients[3:], strict=True):
        torch.testing.assert_close(blocked, plain, rtol=1e-4, atol=1e-3)
    with torch.inference_mode():  # other kernels than with gradients
        torch.testing.assert_close(layer(features), dense(layer, features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3, 6])
def test_windows_add_up_to_the_context(layers: int) -> None:
    for context in range(1, 1200):
        widths = window_widths(context, layers)
        assert len(widths) == layers
        assert min(widths) >= 1
        assert 1 + sum(width - 1 for width in widths) == context
    assert window_widths(1000, layers)[-1] == max(window_widths(1000, layers))


@torch.inference_mode()
def test_absolute_positions_have_no_effect() -> None:
    """The same inputs have the same outputs at every position, near the start as well."""
    with seeded(3):
        model = Transformer(Tokens(9), 4, context=150, hidden=8).eval()
    inputs = torch.randint(0, 9, (1, 700), generator=torch.Generator().manual_seed(0))
    whole = model(inputs)
    for begin in (1, 77, 300):
        shifted = model(inputs[:, begin:])
        torch.testing.assert_close(shifted[:, 149:], whole[:, begin + 149 :])
        assert (shifted[:, :100] - whole[:, begin : begin + 100]).abs().max() > 1e-4


def test_state_is_the_cache_of_keys_and_values() -> None:
    with seeded(0):
        model = Transformer(Features(2), 1, context=64, hidden=10, heads=4, layers=2)
    assert model.widths == [8, 57]
    # Four heads of size four: ten is not divisible by four, and sizes are even.
    for context, cached in ((0, 0), (1, 2), (7, 14), (20, 7 + 20), (56, 63), (10_000, 63)):
        assert model.state_size(context) == cached * 2 * 4 * 4


@pytest.mark.parametrize("width", [3, 200])
@torch.inference_mode()
def test_the_cost_of_long_inputs_is_linear(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no mask of all pairs, and few keys outside a query's window are computed."""
    pairs, masks = 0, []
    plain = F.scaled_dot_product_attention

    def counting(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Tensor:
        nonlocal pairs
        pairs += query.shape[0] * query.shape[2] * key.shape[2]
        masks.append(attn_mask)
        return plain(query, key, value, attn_mask=attn_mask)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counting)
    length, layer = 40_000, attention(2, width)
    layer(torch.zeros(1, length, 6))
    assert length * width < pairs < length * (2 * width + 70)
    # Fewer dimensions would disable the kernels that do not store the logits.
    assert all(mask.ndim == 4 and mask[0, 0].numel() < 4 * (width + 64) ** 2 for mask in masks)
