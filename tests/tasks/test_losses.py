"""The losses, against torch's own and against arithmetic."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.tasks.losses import Bernoulli, CrossEntropy, Loss, SquaredError


@settings(deadline=None)
@given(rows=st.integers(1, 9), classes=st.integers(1, 40), scale=st.sampled_from([1.0, 1e4]))
def test_cross_entropy_is_torchs_for_few_classes_and_many(
    rows: int, classes: int, scale: float
) -> None:
    rng = torch.Generator().manual_seed(rows)
    outputs = (scale * torch.randn(rows, classes, generator=rng)).requires_grad_()
    targets = torch.randint(classes, (rows,), generator=rng, dtype=torch.int32)
    found = CrossEntropy()(outputs, targets)
    right = F.cross_entropy(outputs.double(), targets.long(), reduction="none")
    torch.testing.assert_close(found.double(), right, rtol=1e-5, atol=1e-5)
    of_found, of_right = (torch.autograd.grad(each.sum(), outputs)[0] for each in (found, right))
    torch.testing.assert_close(of_found, of_right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_bernoulli_is_torchs_summed_over_the_keys(kind: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(0)
    outputs = 4 * torch.randn(50, 88, generator=rng, dtype=torch.float64)
    targets = (torch.rand(50, 88, generator=rng) < 0.3).to(kind)
    losses = Bernoulli()(outputs, targets)
    right = F.binary_cross_entropy_with_logits(outputs, targets.double(), reduction="none").sum(-1)
    assert losses.shape == (50,)
    assert torch.allclose(losses, right, rtol=1e-12)


def test_bernoulli_is_exact_at_extreme_outputs() -> None:
    outputs = torch.tensor([[1e4], [1e4], [-1e4], [-1e4], [30.0], [-30.0], [0.0]])
    targets = torch.tensor([[1], [0], [1], [0], [1], [0], [1]], dtype=torch.uint8)
    losses = Bernoulli()(outputs, targets)
    tiny = math.log1p(math.exp(-30))
    assert torch.isfinite(losses).all()
    assert losses.tolist() == pytest.approx([0, 1e4, 1e4, 0, tiny, tiny, math.log(2)], rel=1e-6)
    assert (losses >= 0).all()


def test_bernoulli_adds_small_losses_without_cancelling() -> None:
    # 88 keys that rest, each at odds of e⁻¹²: in single precision a formula that takes 12 from
    # 12 loses most digits.
    losses = Bernoulli()(torch.full((1, 88), -12.0), torch.zeros(1, 88, dtype=torch.uint8))
    assert losses.item() == pytest.approx(88 * math.log1p(math.exp(-12)), rel=1e-5)


def test_bernoulli_gradient_is_probability_minus_target() -> None:
    outputs = torch.tensor([[-1e4, -2.0, 0.0, 2.0, 1e4]], requires_grad=True)
    targets = torch.tensor([[1, 0, 1, 0, 1]], dtype=torch.uint8)
    Bernoulli()(outputs, targets).sum().backward()
    assert outputs.grad is not None
    assert torch.allclose(outputs.grad, torch.sigmoid(outputs.detach()) - targets)


def test_bernoulli_of_nan_is_nan() -> None:
    assert Bernoulli()(torch.full((1, 2), math.nan), torch.ones(1, 2)).isnan().all()


@pytest.mark.parametrize("loss", [CrossEntropy(accuracy=True), SquaredError(), Bernoulli()])
def test_targets_may_share_a_row_of_outputs(loss: Loss) -> None:
    rng = torch.Generator().manual_seed(1)
    width = 1 if isinstance(loss, SquaredError) else 5
    outputs = torch.randn(3, width, generator=rng)
    rows = torch.tensor([0, 0, 2, 1, 2, 0])
    targets: torch.Tensor = {
        CrossEntropy: torch.randint(0, 5, (6,), generator=rng),
        SquaredError: torch.rand(6, generator=rng),
        Bernoulli: torch.randint(0, 2, (6, 5), generator=rng).byte(),
    }[type(loss)]
    own = torch.arange(6)
    torch.testing.assert_close(loss(outputs, targets, rows), loss(outputs[rows], targets))
    shared, apart = (
        loss.correct(outputs, targets, rows),
        loss.correct(outputs[rows], targets, own),
    )
    assert (shared is None) == (apart is None)
    assert shared is None or apart is None or torch.equal(shared, apart)


def test_bernoulli_counts_nothing_correct() -> None:
    assert Bernoulli().correct(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1).long()) is None
