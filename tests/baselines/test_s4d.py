"""S4D: chunks equal the recurrence of the paper, step by step."""

import pytest
import torch
from torch import Tensor

from seqmem.baselines.s4d import S4D, StateSpaces
from seqmem.baselines.training.loop import seeded
from seqmem.tasks.task import Tokens


def layer(hidden: int = 3, state: int = 4) -> StateSpaces:
    with seeded(2):
        made = StateSpaces(hidden, state)
        for weight in made.parameters():
            weight.data += 0.1 * torch.randn(weight.shape)
    return made.double()


def step_by_step(made: StateSpaces, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs (B, L, H) and the last state (B, H, N), feature by feature.

    A step is the solution of the differential equation by the exponential of [[ΔA, Δ], [0, 0]],
    of which Ā and B̄ are the upper row (Van Loan 1978).
    """
    outputs, states = [], []
    for feature in range(inputs.shape[2]):
        rate = torch.complex(-made.log_decay[feature].exp(), made.frequency[feature])
        step = made.log_step[feature].exp()
        write = torch.complex(made.write[feature, :, 0], made.write[feature, :, 1])
        kept, read = [], []
        for each in rate:
            zero = torch.zeros_like(each)
            one = step.to(each.dtype)
            block = torch.stack([torch.stack([step * each, one]), torch.stack([zero, zero])])
            exponential = torch.matrix_exp(block)
            kept.append(exponential[0, 0])
            read.append(exponential[0, 1])
        now, own = state[:, feature], []
        for value in inputs[:, :, feature].unbind(1):
            now = torch.stack(kept) * now + torch.stack(read) * value[:, None]
            own.append(2 * (now * write).sum(1).real + made.skip[feature] * value)
        outputs.append(torch.stack(own, 1))
        states.append(now)
    return torch.stack(outputs, 2), torch.stack(states, 1)


@pytest.mark.parametrize("length", [1, 5, 64, 150])
def test_outputs_states_and_gradients_are_those_of_the_recurrence(length: int) -> None:
    made, source = layer(), torch.Generator().manual_seed(length)
    inputs = torch.randn(2, length, 3, generator=source, dtype=torch.float64, requires_grad=True)
    state = torch.randn(2, 3, 4, generator=source, dtype=torch.complex128)
    weight = torch.randn(2, length, 3, generator=source, dtype=torch.float64)
    results = []
    for outputs, after in (made(inputs, state.flatten(1)), step_by_step(made, inputs, state)):
        summed = (outputs * weight).sum() + after.real.sum() + 2 * after.imag.sum()
        gradients = torch.autograd.grad(summed, [inputs, *made.parameters()])
        results.append((outputs, after.flatten(1), *gradients))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


@torch.inference_mode()
def test_a_long_pass_equals_its_pieces() -> None:
    with seeded(0):
        model = S4D(Tokens(8), 8, hidden=12, layers=2, state=5).eval()
    inputs = torch.randint(0, 8, (2, 1000), generator=torch.Generator().manual_seed(0))
    whole, last = model.hidden(inputs)
    state, pieces = None, []
    for one in inputs.split([1] * 100 + [37, 863], 1):
        features, state = model.hidden(one, state)
        pieces.append(features)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-5)
    assert model.state_size(7) == 2 * 2 * 12 * 5


def test_it_starts_as_the_paper_does() -> None:
    with seeded(0):
        made = StateSpaces(500, 3)
    torch.testing.assert_close(made.log_decay.exp(), torch.full((500, 3), 0.5))
    torch.testing.assert_close(made.frequency[7], torch.pi * torch.arange(3.0))
    steps = made.log_step.detach().exp()
    assert 0.001 <= steps.min() < 0.0012
    assert 0.08 < steps.max() <= 0.1
    assert float(steps.median()) == pytest.approx(0.01, rel=0.2)  # uniform in the logarithm
