"""mLSTM against a loop over time without a stabiliser, and against one with large gates."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.mlstm import MatrixMemory, MLSTMLayer
from seqmem.tests.recurrences import LENGTHS, SPREADS, agrees_with_loop, randomised


def loop(layer: MLSTMLayer, features: Tensor, heads: int) -> Tensor:
    """Beck et al. 2024, equations 19 to 27: exponentials as they are, in float64."""
    d, e = -(-features.shape[2] // (2 * heads)), -(-features.shape[2] // heads)
    weights = layer.project.weight.split([heads * d, heads * d, heads * e])
    cells = torch.zeros(heads, len(features), e, d, dtype=features.dtype)
    totals = torch.zeros(heads, len(features), d, dtype=features.dtype)
    outputs = []
    for x in features.unbind(1):
        q, k, v = (x @ weight.T for weight in weights)
        logits = x @ layer.gates.weight.T + layer.gates.bias
        i, f = logits[:, :heads].exp(), torch.sigmoid(logits[:, heads:])
        o = torch.sigmoid(x @ layer.read.weight.T + layer.read.bias)
        read, after, sums = [], [], []
        for h in range(heads):
            key, query = k[:, h * d : (h + 1) * d] / d**0.5, q[:, h * d : (h + 1) * d]
            value = v[:, h * e : (h + 1) * e]
            cell = f[:, h, None, None] * cells[h]
            cell = cell + i[:, h, None, None] * value[:, :, None] * key[:, None, :]
            total = f[:, h, None] * totals[h] + i[:, h, None] * key
            norm = (total * query).sum(1, keepdim=True).abs().clamp(min=1)
            hidden = (cell @ query[:, :, None]).squeeze(2) / norm
            size = (hidden.square().mean(1, keepdim=True) + 1e-3).sqrt()
            read.append(hidden / size * layer.norm.weight)
            after.append(cell)
            sums.append(total)
        cells, totals = torch.stack(after), torch.stack(sums)
        outputs.append((o * torch.cat(read, 1)) @ layer.merge.weight.T)
    return torch.stack(outputs, 1)


@settings(max_examples=12, deadline=None)
@given(
    length=LENGTHS,
    spread=SPREADS,
    heads=st.integers(1, 3),
    cuts=st.lists(st.integers(1, 97), max_size=3),
    seed=st.integers(0, 99),
)
def test_equals_a_loop(length: int, spread: float, heads: int, cuts: list[int], seed: int) -> None:
    with torch.random.fork_rng():
        layer = MLSTMLayer(6, heads)
    randomised(layer, seed, min(spread, 10.0), ["gates"])  # exponentials of up to 100
    agrees_with_loop(layer, lambda x: loop(layer, x, heads), 6, length, cuts, seed)


@torch.inference_mode()
def test_gates_beyond_the_range_of_exponentials() -> None:
    """In float32 as in float64, one step at a time as together; exp(89) overflows in float32."""
    source = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 70, 2, 3, generator=source).double().unbind()
    write, keep = (200 * torch.randn(2, 2, 70, 2, generator=source).double()).unbind()
    inputs = (query, key, value, write, -keep.abs())
    memory = MatrixMemory()
    exact, _ = memory(None, inputs)
    short = tuple(part.float() for part in inputs)
    whole, _ = memory(None, short)
    state, steps = None, []
    for t in range(70):
        output, state = memory(state, tuple(part[:, t : t + 1] for part in short))
        steps.append(output)
    for found in (whole, torch.cat(steps, 1)):
        assert found.isfinite().all()
        # n·q may cancel; then few outputs are imprecise.
        error = (found - exact).abs() / exact.abs().clamp(min=1)
        assert error.quantile(0.95) < 1e-4
