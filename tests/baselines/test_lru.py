"""The linear recurrence, in chunks and step by step, and the LRU."""

import pytest
import torch
from torch import Tensor

from seqmem.baselines.lru import (
    LARGEST,
    LRU,
    SMALLEST,
    _DiagonalRecurrence,
    _LRUBlock,
    linear_recurrence,
)
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.tasks import load_task
from seqmem.tasks.task import Tokens


def drawn(
    batch: int, length: int, size: int, dtype: torch.dtype = torch.complex64
) -> tuple[Tensor, Tensor, Tensor]:
    """Return eigenvalues from almost zero to almost one, inputs, and a state."""
    source = torch.Generator().manual_seed(length)
    magnitude = torch.linspace(1e-4, 0.9999, size, dtype=torch.float64)
    phase = 6 * torch.rand(size, generator=source, dtype=torch.float64)
    inputs = torch.randn(batch, length, size, generator=source, dtype=torch.complex128)
    state = torch.randn(batch, size, generator=source, dtype=torch.complex128)
    return torch.polar(magnitude, phase).to(dtype), inputs.to(dtype), state.to(dtype)


def only_recurrence(hidden: int, state: int) -> _DiagonalRecurrence:
    with seeded(0):
        model = LRU(Tokens(8), 8, hidden=hidden, layers=1, state=state)
    (block,) = model.blocks
    assert isinstance(block, _LRUBlock)
    return block.recurrence


def step_by_step(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    states = []
    for step in inputs.unbind(1):
        state = decay * state + step
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 35, 100, 101, 3000])
def test_chunks_equal_single_steps(length: int) -> None:
    decay, inputs, state = drawn(3, length, 16)
    exact = step_by_step(*drawn(3, length, 16, torch.complex128))
    found = linear_recurrence(decay, inputs, state).to(torch.complex128)
    error = (found - exact).abs().amax((0, 1)) / exact.abs().amax((0, 1))
    # The unavoidable error of 32 bits: rounding λ changes λ^t, more so for slow decay.
    assert (error < 1e-5 / (1 - decay.abs().double()).clamp(min=0.01)).all()
    plain = step_by_step(decay, inputs, state).to(torch.complex128)
    lost = (plain - exact).abs().amax((0, 1)) / exact.abs().amax((0, 1))
    assert (error < 3 * lost + 1e-6).all()


@pytest.mark.parametrize("length", [1, 2, 5, 9, 11])
def test_gradients(length: int) -> None:
    arguments = [a.requires_grad_() for a in drawn(2, length, 3, torch.complex128)]
    assert torch.autograd.gradcheck(linear_recurrence, arguments)


@torch.inference_mode()
def test_a_long_pass_equals_its_steps() -> None:
    """3,000 inputs one by one, as measuring reads them, and in one pass, as training does."""
    with seeded(0):
        model = LRU(Tokens(8), 8, hidden=12, layers=2, state=10).eval()
    inputs = torch.randint(0, 8, (2, 3000), generator=torch.Generator().manual_seed(0))
    whole, last = model.hidden(inputs)
    state, steps = None, []
    for one in inputs.split(1, 1):
        features, state = model.hidden(one, state)
        steps.append(features)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-5)


def test_it_starts_on_the_ring_with_states_of_the_variance_of_inputs() -> None:
    recurrence = only_recurrence(64, 500)
    size = (-recurrence.log_decay.exp()).exp()
    assert SMALLEST < size.min() < SMALLEST + 0.003
    assert LARGEST - 0.003 < size.max() < LARGEST
    # Uniform by area: half of them are within the radius that halves the ring's area.
    middle = ((SMALLEST**2 + LARGEST**2) / 2) ** 0.5
    assert (size < middle).float().mean() == pytest.approx(0.5, abs=0.06)
    assert recurrence.log_phase.exp().max() < 6.2832
    white = torch.randn(2, 3000, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        _, state = recurrence(white, None)
    assert state.abs().square().mean() == pytest.approx(1, abs=0.1)


def test_eigenvalues_stay_within_the_unit_circle() -> None:
    recurrence = only_recurrence(8, 16)
    with torch.no_grad():
        recurrence.log_decay.copy_(torch.linspace(-30, 30, 16))
        features, state = recurrence(torch.ones(1, 5000, 8), None)
    assert torch.isfinite(features).all()
    assert torch.isfinite(state.abs()).all()


def test_state_size_counts_both_parts() -> None:
    task = load_task("adding-problem/T=5")
    with seeded(0):
        model, _ = build_model(parse_model("lru:state=5,layers=3,hidden=4"), task, "full", {})
    assert model.state_size(1) == model.state_size(1000) == 30
