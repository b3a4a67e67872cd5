"""Layers with a state against plain loops over time, which tests write from the equations."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor

from seqmem.baselines.backbone import StatefulMixer

__all__ = ["LENGTHS", "SPREADS", "agrees_with_loop", "convolved", "randomised"]

# Around the borders of chunks of 8 and 32 steps, and of the square roots of the chunks' number.
LENGTHS = st.integers(1, 20) | st.sampled_from([31, 32, 33, 40, 63, 64, 65, 72, 97])
SPREADS = st.sampled_from([0.3, 1.0, 5.0, 60.0])  # of the weights: the last makes decays vanish

Loop = Callable[[Tensor], Tensor]  # features (B, L, hidden) -> (B, L, hidden)


def randomised(layer: StatefulMixer, seed: int, spread: float, gates: Sequence[str]) -> None:
    """Draw all weights, those of gates with another spread, and compute in float64."""
    source = torch.Generator().manual_seed(seed)
    layer.double()
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            scale = spread if name.startswith(tuple(gates)) else 0.5
            weight.copy_(scale * torch.randn(weight.shape, generator=source, dtype=weight.dtype))


def agrees_with_loop(
    layer: StatefulMixer, loop: Loop, hidden: int, length: int, cuts: Sequence[int], seed: int
) -> None:
    """Outputs and gradients are those of the loop, as a whole and in pieces with state."""
    source = torch.Generator().manual_seed(seed + 1)
    features = torch.randn(2, length, hidden, generator=source, dtype=torch.float64)
    features.requires_grad_()
    weight = torch.randn(2, length, hidden, generator=source, dtype=torch.float64)

    def pieces() -> Tensor:
        state, outputs = None, []
        edges = [0, *sorted({cut for cut in cuts if 0 < cut < length}), length]
        for begin, end in pairwise(edges):
            output, state = layer(features[:, begin:end], state)
            outputs.append(output)
        assert state is not None
        assert sum(part[0].numel() for part in state) == layer.state_floats
        return torch.cat(outputs, 1)

    wanted = [features, *layer.parameters()]
    found = []
    for outputs in (loop(features), layer(features, None)[0], pieces()):
        gradients = torch.autograd.grad((outputs * weight).sum(), wanted, allow_unused=True)
        found.append((outputs.detach(), *gradients))
    for other in found[1:]:
        for one, exact in zip(other, found[0], strict=True):
            if one is None or exact is None:
                assert one is exact
                continue
            scale = float(exact.abs().max())
            torch.testing.assert_close(one, exact, rtol=1e-6, atol=1e-6 * max(scale, 1e-3))


def convolved(inputs: list[Tensor], weight: Tensor) -> Tensor:
    """The last inputs (B, features) times weights (4, features), the latest with the last."""
    recent = inputs[-4:]
    return sum((x * w for x, w in zip(recent, weight[-len(recent) :], strict=True)), torch.zeros(1))
