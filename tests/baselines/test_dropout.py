"""Dropout: shares, scale, gradient and independence of its own random numbers."""

import math

import pytest
import torch

from seqmem.baselines.dropout import Dropout
from seqmem.baselines.training.loop import seeded


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.99])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_dropped_and_the_mean_kept(share: float, dtype: torch.dtype) -> None:
    n = 400_003  # not a multiple of the elements that share a random number
    with seeded(1):
        found = Dropout(share)(torch.ones(n, dtype=dtype)).float()
    kept = found != 0
    error = 5 * math.sqrt(share * (1 - share) / n) + 2**-16
    assert abs(float(kept.logical_not().double().mean()) - share) < error
    assert found[kept].unique().tolist() == pytest.approx([1 / (1 - share)], rel=5e-3)


def test_elements_are_dropped_independently() -> None:
    with seeded(2):
        dropped = (Dropout(0.4)(torch.ones(200_000)) == 0).double() - 0.4
    for lag in (1, 2, 3, 4, 8):  # four elements share a random number
        correlation = float((dropped[lag:] * dropped[:-lag]).mean()) / (0.4 * 0.6)
        assert abs(correlation) < 5 / math.sqrt(200_000)


def test_the_gradient_is_dropped_and_scaled_alike() -> None:
    with seeded(3):
        features = torch.randn(7, 11, 3, requires_grad=True)
        found = Dropout(0.5)(features)
    found.sum().backward()
    assert features.grad is not None
    torch.testing.assert_close(found, features * features.grad)
    assert sorted(features.grad.unique().tolist()) == [0.0, 2.0]


def test_only_the_seed_decides_and_nothing_is_dropped_outside_of_training() -> None:
    ones = torch.ones(100)
    found = []
    for seed in (4, 4, 5):
        with seeded(seed):
            found.append(Dropout(0.5)(ones))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(Dropout(0.5).eval()(ones), ones)
    assert torch.equal(Dropout(0.0)(ones), ones)
    with seeded(4):
        assert torch.equal(Dropout(1.0)(ones), torch.zeros(100))
