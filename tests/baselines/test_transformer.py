"""The Transformer: attention in blocks, windows and the cache of keys and values."""

import math
from dataclasses import replace
from typing import get_args
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import recipe_for
from seqmem.baselines.transformer import (
    Positions,
    Transformer,
    WindowedAttention,
    window_widths,
)
from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.model import State
from seqmem.tasks.task import Features, Tokens

POSITIONS: tuple[Positions, ...] = get_args(Positions)


def attention(heads: int, width: int, positions: Positions = "rotary") -> WindowedAttention:
    with seeded(2):
        layer = WindowedAttention(6, heads, width, positions, min(width, 40))
        nn.init.normal_(layer.project.weight)  # logits of size 1: positions matter
        if positions == "learned":
            nn.init.normal_(layer.bias)
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
        turned = turn if layer.positions == "rotary" else torch.ones_like(turn)
        logits = torch.einsum("bqd,bkd,qkd->bqk", q, k.conj(), turned).real / math.sqrt(layer.size)
        if layer.positions == "alibi":
            logits = logits - distance / 2 ** (8 * (head + 1) / layer.heads)
        if layer.positions == "learned":
            last = layer.bias.shape[1] - 1
            logits = logits + layer.bias[head, distance.abs().clamp(max=last)]
        weights = logits.masked_fill(outside, -math.inf).softmax(-1)
        mixed.append(weights @ value[..., own])
    merged: Tensor = layer.merge(torch.cat(mixed, -1))
    return merged


# Blocks have 64 inputs, and 99 for the last width; lengths around one, two and several blocks.
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 127, 128, 129, 191, 197, 198, 200, 331, 500])
@pytest.mark.parametrize(
    ("heads", "width", "positions"),
    [
        (2, 1, "rotary"),
        (1, 2, "alibi"),
        (4, 5, "rotary"),
        (2, 64, "none"),
        (2, 65, "rotary"),
        (3, 100, "alibi"),
        (2, 5, "learned"),
        (3, 100, "learned"),
    ],
)
def test_blocks_equal_dense_attention(
    length: int, heads: int, width: int, positions: Positions
) -> None:
    layer = attention(heads, width, positions)
    source = torch.Generator().manual_seed(length)
    features = torch.randn(2, length, 6, generator=source, requires_grad=True)
    weight = torch.randn(2, length, 6, generator=source)
    learned = [features, *layer.parameters()]
    results = [
        (outputs, *torch.autograd.grad((outputs * weight).sum(), learned))
        for outputs in (layer(features), dense(layer, features))
    ]
    for blocked, plain in zip(*results, strict=True):
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


@pytest.mark.parametrize("positions", POSITIONS)
@torch.inference_mode()
def test_absolute_positions_have_no_effect(
    positions: Positions,
) -> None:
    """The same inputs have the same outputs at every position, near the start as well."""
    with seeded(3):
        model = Transformer(Tokens(9), 4, context=150, hidden=8, positions=positions).eval()
        for name, weight in model.named_parameters():
            if name.endswith(".bias") and weight.ndim == 2:
                nn.init.normal_(weight)
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


def test_a_longer_test_context_is_read_and_not_trained() -> None:
    task = load_task("hidden-markov/dwell=10")
    spec = parse_model("transformer:positions=alibi,test_context=50,hidden=8")
    with seeded(0):
        model, _ = build_model(spec, task, 16, {})
    assert model.receptive_field == 50
    recipe = replace(recipe_for("hidden-markov", "smoke"), steps=3, validate_every=3)
    lengths = []
    usual = model.hidden

    def hidden(inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        if model.training:
            lengths.append(inputs.shape[1])
        return usual(inputs, state)

    with patch.object(model, "hidden", hidden):
        train(model, task, recipe, k_train=16, seed=0)
    assert 0 < max(lengths) <= 16
    inputs = torch.randint(0, 4, (1, 60), generator=torch.Generator().manual_seed(0))
    changed = inputs.clone()
    changed[0, 10] = 5  # 49 before the last
    with torch.inference_mode():
        assert not torch.equal(model.eval()(inputs)[0, 59], model(changed)[0, 59])


def test_distances_beyond_training_share_the_last_number() -> None:
    with seeded(0):
        model = Transformer(
            Tokens(9), 4, context=16, hidden=8, positions="learned", test_context=50
        )
    tables = [each.bias for each in model.modules() if isinstance(each, WindowedAttention)]
    assert model.widths == [7, 44]
    assert [table.shape for table in tables] == [(4, 7), (4, 16)]
    with torch.no_grad():
        tables[1][:, -1] = 100.0  # all attention on what training did not reach
    inputs = torch.randint(0, 9, (1, 50), generator=torch.Generator().manual_seed(0))
    changed = inputs.clone()
    changed[0, -10] = (inputs[0, -10] + 1) % 9
    features = model.hidden(inputs)[0][0, -1], model.hidden(changed)[0][0, -1]
    torch.testing.assert_close(*features)


def test_a_test_context_that_is_not_longer_is_refused() -> None:
    task = load_task("hidden-markov/dwell=10")
    with pytest.raises(InputError, match="test_context=16 does not exceed the 16 inputs of train"):
        build_model(parse_model("transformer:test_context=16"), task, 16, {})
