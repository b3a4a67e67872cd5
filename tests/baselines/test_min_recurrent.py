"""minGRU and minLSTM against a loop over time, and the scan that computes them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.min_recurrent import MinGRULayer, MinLSTMLayer
from seqmem.baselines.recurrence import GatedSum
from seqmem.tests.recurrences import LENGTHS, SPREADS, agrees_with_loop, randomised

LAYERS = (MinGRULayer, MinLSTMLayer)


def loop(layer: MinGRULayer | MinLSTMLayer, features: Tensor) -> Tensor:
    """Feng et al. 2024, sections 3.1 and 3.2."""
    weights = layer.project.weight.split(features.shape[2])
    biases = layer.project.bias.split(features.shape[2])
    h, outputs = torch.zeros_like(features[:, 0]), []
    for x in features.unbind(1):
        new, *gates = (x @ weight.T + bias for weight, bias in zip(weights, biases, strict=True))
        if isinstance(layer, MinGRULayer):
            z = torch.sigmoid(gates[0])
            h = (1 - z) * h + z * new
        else:
            f, i = torch.sigmoid(gates[0]), torch.sigmoid(gates[1])
            h = f / (f + i) * h + i / (f + i) * new
        outputs.append(h @ layer.merge.weight.T + layer.merge.bias)
    return torch.stack(outputs, 1)


@settings(max_examples=15, deadline=None)
@given(
    length=LENGTHS,
    spread=SPREADS,
    kind=st.sampled_from(LAYERS),
    cuts=st.lists(st.integers(1, 97), max_size=3),
    seed=st.integers(0, 99),
)
def test_equals_a_loop(
    length: int,
    spread: float,
    kind: type[MinGRULayer | MinLSTMLayer],
    cuts: list[int],
    seed: int,
) -> None:
    with torch.random.fork_rng():
        layer = kind(5)
    randomised(layer, seed, spread, ["project"])
    agrees_with_loop(layer, lambda x: loop(layer, x), 5, length, cuts, seed)


@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize("length", [1, 2, 5, 11])
def test_gradients_of_the_scan(length: int, expanded: bool) -> None:
    source = torch.Generator().manual_seed(length)
    inputs, state = (
        torch.randn(2, *size, 3, 2, generator=source, dtype=torch.float64).requires_grad_()
        for size in ((length,), ())
    )
    # Of any sign and size; a decay of exactly zero is one of them.
    decay = torch.randn(2, length, 3, 1 if expanded else 2, generator=source, dtype=torch.float64)
    decay = (2 * decay).relu().requires_grad_()
    recurrence = GatedSum()

    def every(*parts: Tensor) -> Tensor:
        return recurrence.segment((parts[2],), parts[:2])[0]

    assert torch.autograd.gradcheck(every, (decay, inputs, state))


@torch.inference_mode()
def test_gates_that_are_shut_make_no_nan() -> None:
    """In float32 both gates of a minLSTM may be exactly zero."""
    with torch.random.fork_rng():
        layer = MinLSTMLayer(4)
    for bias in (-300.0, 300.0):
        layer.project.bias.fill_(bias)
        outputs, state = layer(torch.ones(1, 50, 4), None)
        assert outputs.isfinite().all()
        assert state is not None
        assert state[0].isfinite().all()
