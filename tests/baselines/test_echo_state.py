"""The echo state network: its states step by step, and its readout against other solvers."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from seqmem.baselines import ridge
from seqmem.baselines.echo_state import EchoState, Reservoir
from seqmem.baselines.ridge import ridge_readout
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.tasks import load_task
from seqmem.tasks.adding_problem import AddingProblem
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.losses import Bernoulli
from seqmem.tasks.task import Features, Split, Task, Tokens
from seqmem.testing import example_inputs


class Small(AddingProblem):
    """The adding problem with few sequences."""

    def train(self, seed: int, epoch: int) -> Split:
        return super().train(seed, epoch).prefix(300)


class Keys(HiddenMarkov):
    """Four of the symbols as keys that are pressed or not."""

    def __init__(self) -> None:
        super().__init__(4)
        self.outputs, self.loss = 4, Bernoulli()

    def train(self, seed: int, epoch: int) -> Split:
        return _pressed(super().train(seed, epoch).prefix(20_000))

    def split(self, name: Literal["valid", "test"]) -> Split:  # type: ignore[override]
        return _pressed(super().split(name).prefix(3000))

    def constant(self) -> Tensor:
        share = self.split("valid").targets.double().mean(0)
        return torch.logit(share).float()


def _pressed(split: Split) -> Split:
    keys = (split.targets[:, None] == torch.arange(4)).to(torch.uint8)
    return Split(split.inputs, split.starts, split.positions, keys, split.blocks)


def made(task: Task, **options: float) -> EchoState:
    with seeded(0):
        return EchoState(task.inputs, task.outputs, **{"units": 12, **options}).eval()  # type: ignore[arg-type]


def plain_states(model: EchoState, inputs: Tensor, leak: float) -> Tensor:
    """Return the states, unit by unit, step by step: (B, L, units)."""
    read, bias, weights = (each.tolist() for each in (model.read, model.bias, recurrent(model)))
    units, result = len(bias), []
    for sequence in inputs.tolist():
        state, states = [0.0] * units, []
        for entry in sequence:
            given = [float(i == entry) for i in range(len(read))] if model.ids else entry
            new = []
            for unit in range(units):
                total = bias[unit]
                total += sum(given[i] * read[i][unit] for i in range(len(read)))
                total += sum(weights[unit][i] * state[i] for i in range(units))
                new.append((1 - leak) * state[unit] + leak * float(np.tanh(total)))
            state = new
            states.append(state)
        result.append(states)
    return torch.tensor(result, dtype=torch.float64)


def recurrent(model: EchoState) -> Tensor:
    return model.reservoir.recurrent


@pytest.mark.parametrize("leak", [0.3, 1.0])
@pytest.mark.parametrize("spec", [Tokens(7), Features(3)])
def test_states_are_those_of_the_equation(spec: Tokens | Features, leak: float) -> None:
    with seeded(1):
        model = EchoState(spec, 4, units=9, leak=leak, radius=1.2, input_scale=0.7).double()
    inputs = example_inputs(spec, 2, 8)
    inputs = inputs if model.ids else inputs.double()
    expected = plain_states(model, inputs, leak)
    states, last = model.hidden(inputs)
    torch.testing.assert_close(states, expected, rtol=1e-10, atol=1e-10)
    first, state = model.hidden(inputs[:, :3])
    second, after = model.hidden(inputs[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), states)
    torch.testing.assert_close(after, last)
    assert model.state_size(3) == 9


@pytest.mark.parametrize(("units", "connections"), [(1, 10), (5, 10), (60, 3)])
def test_the_weights_have_the_radius_and_the_connections(units: int, connections: int) -> None:
    with seeded(2):
        weights = Reservoir(units, 0.8, 1.0, connections).recurrent
    assert (weights != 0).sum(1).tolist() == [min(units, connections)] * units
    assert abs(np.linalg.eigvals(weights.double().numpy())).max() == pytest.approx(0.8, rel=1e-4)


@pytest.mark.parametrize("damping", [1e-6, 0.3])
def test_the_readout_is_ridge_regression(monkeypatch: pytest.MonkeyPatch, damping: float) -> None:
    """Against least squares with rows √(n λ v) I for the penalty, by numpy."""
    monkeypatch.setattr(ridge, "RIDGES", (damping,))
    task = Small(5)
    model = made(task)
    weight, bias = ridge_readout(model, task, 0)
    split = task.train(0, 0)
    sequences = [split.inputs[a:b] for a, b in zip(split.starts, split.starts[1:], strict=False)]
    with torch.no_grad():
        features = torch.cat([model.hidden(s[None])[0][0, -1:] for s in sequences]).double().numpy()
    targets = split.targets.double().numpy()
    assert len(features) == len(targets) == 300
    centred = features - features.mean(0)
    penalty = np.sqrt(len(features) * damping * centred.var(0).mean()) * np.eye(12)
    stacked = np.concatenate([centred, penalty])
    wanted = np.concatenate([targets - targets.mean(), np.zeros(12)])
    solved = np.linalg.lstsq(stacked, wanted, rcond=None)[0]
    # The number s is that of the least squared error on validation data.
    valid = task.split("valid").prefix(ridge.MOST_VALIDATED)
    ends = [model.hidden(valid.inputs[a:b][None])[0][0, -1] for a, b in
            zip(valid.starts, valid.starts[1:], strict=False)]  # fmt: skip
    change = (torch.stack(ends).detach().double().numpy() - features.mean(0)) @ solved
    missing = valid.targets.double().numpy() - float(task.constant())
    scale = change @ missing / (change @ change)
    np.testing.assert_allclose(weight[0], scale * solved, rtol=2e-3, atol=1e-5)
    mean = float(task.constant()) - scale * features.mean(0) @ solved
    assert float(bias) == pytest.approx(mean, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("task", [HiddenMarkov(4), Keys(), Small(5)], ids=lambda task: task.id)
def test_no_other_scale_has_a_smaller_loss_on_validation_data(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge, "MOST_READ", 20_000)
    model = made(task, units=20)
    model.fit(task, 0)
    valid = task.split("valid").prefix(ridge.MOST_VALIDATED)
    with torch.no_grad():
        read = list(ridge._read(model, valid, ridge.VALIDATION_LANES, 0))
        outputs = torch.cat([model.readout(features) for features, _ in read])
        targets = torch.cat([part for _, part in read])
    constant = task.constant()

    def loss(scale: float) -> float:
        return float(task.loss(constant + scale * (outputs - constant), targets).double().mean())

    best = loss(1.0)
    assert best < loss(0.0)
    for scale in (0.5, 0.9, 0.97, 1.03, 1.1, 2.0):
        assert best < loss(scale)


def test_a_fit_depends_on_its_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge, "MOST_READ", 5000)
    task = load_task("hidden-markov/dwell=10")
    weights = []
    for seed in (0, 0, 1):
        model = made(task)
        assert isinstance(model, ClosedForm)
        model.fit(task, seed)
        weights.append(model.leave.weight.detach().clone())
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_equals_reservoirpy() -> None:
    nodes = pytest.importorskip("reservoirpy.nodes", reason="reservoirpy is not installed")
    with seeded(4):
        model = EchoState(Features(3), 2, units=25, leak=0.4, radius=1.1).double()
    inputs = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reservoir = nodes.Reservoir(
        units=25, lr=0.4, W=recurrent(model).numpy(), Win=model.read.T.numpy(),
        bias=model.bias.numpy(), input_scaling=1.0,
    )  # fmt: skip
    theirs = reservoir.run(inputs[0].numpy())
    np.testing.assert_allclose(model.hidden(inputs)[0][0].numpy(), theirs, rtol=1e-5, atol=1e-6)
    targets = np.random.default_rng(0).normal(size=(40, 2))
    centred = theirs - theirs.mean(0)
    node = nodes.Ridge(ridge=40 * 0.1 * centred.var(0).mean())
    node.fit(theirs, targets)
    axes = np.linalg.solve(
        np.cov(theirs.T, bias=True) + 0.1 * centred.var(0).mean() * np.eye(25),
        centred.T @ (targets - targets.mean(0)) / 40,
    )
    np.testing.assert_allclose(
        np.asarray(node.Wout).reshape(axes.shape), axes, rtol=1e-5, atol=1e-8
    )
