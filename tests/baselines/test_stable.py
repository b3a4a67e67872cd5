"""Stable networks: their sets of weights, and the projections onto them."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, minimize
from torch import Tensor

from seqmem.baselines.certificate import certificate
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.stable import (
    SLOWEST,
    StableLSTM,
    StableRNN,
    project_rows,
    project_spectral,
)
from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import CellError, InputError
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Features, Tokens
from seqmem.tests.stability import STABLE, Stable, assert_inside, draw
from seqmem.tests.trainings import Killed

AGGRESSIVE = Recipe(
    steps=15,
    batch=16,
    k_train="full",
    learning_rate=0.3,
    schedule="constant",
    clip=100.0,
    validate_every=5,
    validation_targets=64,
    options={"hidden": 12, "dropout": 0.2},
)


# The sets.


@pytest.mark.parametrize("name", ["rnn-stable", "lstm-stable"])
@pytest.mark.parametrize("task_id", ["adding-problem/T=10", "copy-memory/T=5"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_conditions_hold_after_training(
    name: str, task_id: str, layers: int, optimizer: Literal["adam", "sgd"]
) -> None:
    task = load_task(task_id)
    recipe = replace(AGGRESSIVE, optimizer=optimizer)
    steps = []
    with seeded(0):
        text = f"{name}:layers={layers}"
        model, _ = build_model(parse_model(text), task, "full", recipe.options)

    def check(step: int, _: float) -> None:
        assert_inside(model)
        steps.append(step)

    assert_inside(model)
    before = weights_sha256(model)
    train(model, task, recipe, k_train="full", seed=0, progress=check)
    assert_inside(model)
    assert steps == list(range(1, 16))
    assert weights_sha256(model) != before


@pytest.mark.parametrize("stable", STABLE)
def test_training_without_the_projection_leaves_the_set(
    stable: type[Stable], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task("adding-problem/T=10")
    with seeded(0):
        model = stable(task.inputs, task.outputs, hidden=12)
    monkeypatch.setattr(model, "constrain", lambda: None)
    train(model, task, AGGRESSIVE, k_train="full", seed=0)
    with pytest.raises(AssertionError):
        assert_inside(model)


@pytest.mark.parametrize("stable", STABLE)
@pytest.mark.parametrize(
    "options", [{}, {"lambda_max": 0.3, "forget_max": 0.2}, {"forget_slowest": 0.98}]
)
def test_new_models_are_inside(stable: type[Stable], options: dict[str, float]) -> None:
    if stable is StableRNN:
        options = {key: value for key, value in options.items() if key == "lambda_max"}
    with seeded(0):
        model = stable(Tokens(30), 5, hidden=64, layers=2, **options)  # type: ignore[arg-type]
    assert_inside(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.constrain()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=1e-7)


def test_the_budgets_are_those_of_the_authors_code() -> None:
    with seeded(0):
        model = StableLSTM(Tokens(5), 5, hidden=4, lambda_max=SLOWEST, forget_max=0.5999)
    # Theirs are 0.395, 0.155, 0.099 and 0.395, and 0.25 for the forget gate's inputs.
    theirs = np.repeat([0.4, 0.16, 0.1, 0.4], 4)
    np.testing.assert_allclose(model._recurrent, theirs, rtol=1e-3)
    np.testing.assert_allclose(model._forget, 0.25, atol=0.006)


def test_units_forget_at_their_own_rates() -> None:
    """Time constants are in geometric progression; each unit's budget is what its rate leaves."""
    with seeded(0):
        model = StableLSTM(Features(1), 1, hidden=3, forget_max=0.5, forget_slowest=0.98)
    bounds = np.array([0.5, 0.9, 0.98])  # 1/(1 − F) is 2, 10, 50
    with torch.no_grad():
        for parameter in model.layers.parameters():
            parameter.mul_(0).add_(9.0)
        model.constrain()
    weights = dict(model.layers.named_parameters())
    rows = weights["weight_hh_l0"].detach().double().abs().sum(1).view(4, 3)
    room = 0.99 - bounds
    np.testing.assert_allclose(rows, [room, room * (1 - bounds), room / 4, room], rtol=1e-5)
    proof = certificate(model)
    assert 0.98 < proof.rate <= 0.99
    with torch.no_grad():
        for parameter in model.layers.parameters():
            parameter.mul_(0)
        weights["bias_ih_l0"][3:6] = 9.0  # forget gates are as open as they may be
        model.constrain()
        state = (torch.zeros(1, 1, 3), torch.ones(1, 1, 3))
        _, (_, cell) = model.hidden(torch.zeros(1, 20, 1), state)
    gate = 1 / (1 + (1 - bounds) / bounds * np.exp(room * (1 - bounds)))  # with no recurrent part
    np.testing.assert_allclose(cell[0, 0], gate**20, rtol=1e-4)


def test_with_a_free_bias_only_weights_are_bounded_and_there_is_no_certificate() -> None:
    """The budgets are those of the bounded set at a bias of 0; the bias is as in the plain LSTM."""
    made = [parse_model(f"lstm-stable:forget_bias={kind}") for kind in ("bounded", "free")]
    task = load_task("copy-memory/T=5")
    with seeded(0):
        bounded, free = (build_model(each, task, "full", {"layers": 2})[0] for each in made)
    assert isinstance(free, StableLSTM)
    with torch.no_grad():
        for parameter in free.layers.parameters():
            parameter.add_(draw(0, *parameter.shape))
    biases = [free._forget_gate(layer)[1].clone() for layer in range(2)]
    free.constrain()
    for layer, bias in enumerate(biases):
        row, after, _ = free._forget_gate(layer)
        assert torch.equal(after, bias)
        assert row.abs().sum(1).max() <= 0.24947  # logit(0.6) − 0.39 × 0.4
        recurrent = getattr(free.layers, f"weight_hh_l{layer}").abs().sum(1).view(4, -1).amax(1)
        assert (recurrent <= torch.tensor([0.39, 0.156, 0.0975, 0.39]) + 1e-6).all()
    assert certificate(bounded).rate < 1
    with pytest.raises(InputError, match="no certificate"):
        certificate(free)


@pytest.mark.parametrize("name", ["rnn-stable", "lstm-stable"])
def test_resumed_is_uninterrupted(name: str, tmp_path: Path) -> None:
    def fit(**options: object) -> SequenceModel:
        with seeded(0):
            model, _ = build_model(parse_model(name), task, "full", AGGRESSIVE.options)
        train(model, task, AGGRESSIVE, k_train="full", seed=0, **options)  # type: ignore[arg-type]
        return model

    def kill(step: int, _: float) -> None:
        if step == 8:
            raise Killed

    task = load_task("adding-problem/T=10")
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", every_seconds=0)
    with pytest.raises(Killed):
        fit(checkpoint=checkpoint, progress=kill)
    resumed = fit(checkpoint=checkpoint)
    assert_inside(resumed)
    assert weights_sha256(resumed) == weights_sha256(fit())


def test_divergence_is_reported_as_such() -> None:
    task = load_task("adding-problem/T=5")
    recipe = replace(AGGRESSIVE, steps=300, learning_rate=1e38, optimizer="sgd", clip=1e38)
    for stable in STABLE:
        with seeded(0):
            model = stable(task.inputs, task.outputs, hidden=4)
        with pytest.raises(CellError, match="diverged"):
            train(model, task, recipe, k_train="full", seed=0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rnn-stable:lambda_max=1", "lambda_max=1 is out of range: above 0 and ≤ 0.99999"),
        ("rnn-stable:lambda_max=0", "lambda_max=0 is out of range: above 0"),
        ("rnn-stable:lambda_max=0.999999", "lambda_max=0.999999 is out of range: .* ≤ 0.99999$"),
        ("rnn-stable:forget_max=0.5", "unknown option 'forget_max'"),
        (
            "lstm-stable:forget_max=0.9,lambda_max=0.9",
            "forget_max=0.9 must be below lambda_max=0.9",
        ),
        (
            "lstm-stable:forget_bias=none",
            "forget_bias=none is unknown: it may be bounded or free",
        ),
        (
            "lstm-stable:forget_bias=free,forget_max=0.4",
            "forget_max=0.4 leaves no weights for the inputs of a forget gate",
        ),
        ("lstm-stable:forget_max=0", "forget_max=0 is out of range: above 0"),
        ("lstm-stable:lambda_max=0.999999", "lambda_max=0.999999 is out of range: above 0"),
    ],
)
def test_wrong_options_are_explained(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        build_model(parse_model(text), load_task("copy-memory/T=5"), "full", {})


# The projections.

NUMBERS = st.floats(-5, 5, allow_subnormal=False)


@settings(max_examples=80, deadline=None)
@given(
    row=st.lists(NUMBERS, min_size=1, max_size=6),
    bias=st.lists(NUMBERS, min_size=0, max_size=2),
    budget=st.floats(0.01, 4),
    seed=st.integers(0, 1000),
)
def test_rows_are_projected(row: list[float], bias: list[float], budget: float, seed: int) -> None:
    point = torch.tensor([row], dtype=torch.float64)
    biases = [torch.tensor([b], dtype=torch.float64) for b in bias]
    limit = torch.tensor([budget], dtype=torch.float64)

    def spent(parts: tuple[Tensor, ...]) -> float:
        return float(parts[0].abs().sum() + sum(b.sum() for b in parts[1:]))

    projected = project_rows(point, limit, biases)
    assert spent(projected) <= budget + 1e-12
    if spent((point, *biases)) <= budget - 1e-12:  # on the boundary, sums are rounded
        assert all(map(torch.equal, projected, (point, *biases)))
    assert bool((projected[0].abs() <= point.abs()).all())  # no norm of a row grows
    again = project_rows(projected[0], limit, projected[1:])
    for first, second in zip(projected, again, strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=1e-12)
    # The nearest point of a convex set: no direction into the set points towards the given point.
    flat = torch.cat([p.flatten() for p in projected])
    given = torch.cat([point.flatten(), *biases])
    for i in range(20):
        other = draw(seed * 20 + i, len(flat), scale=3)
        over = float(other[: len(row)].abs().sum() + other[len(row) :].sum()) - budget
        if over > 0 and bias:
            other[len(row) :] -= over / len(bias)
        elif over > 0:
            other *= budget / (over + budget)
        assert float((given - flat) @ (other - flat)) <= 1e-9


@pytest.mark.parametrize("biases", [0, 2])
def test_rows_are_projected_as_a_solver_does(biases: int) -> None:
    for seed in range(5):
        point = draw(seed, 4 + biases).numpy()
        row, rest = torch.from_numpy(point[None, :4]), torch.from_numpy(point[4:])
        found = project_rows(row, torch.tensor([0.7]), [b[None] for b in rest])

        # With row = p − q and p, q ≥ 0 the constraint is linear.
        def distance(
            v: npt.NDArray[np.float64], point: npt.NDArray[np.float64] = point
        ) -> tuple[float, npt.NDArray[np.float64]]:
            difference = np.concatenate([v[:4] - v[4:8], v[8:]]) - point
            return float(difference @ difference), 2 * np.concatenate(
                [difference[:4], -difference[:4], difference[4:]]
            )

        solution = minimize(
            distance,
            np.zeros(8 + biases),
            jac=True,  # numerical derivatives of rounded distances mislead it on some processors
            method="SLSQP",
            bounds=Bounds(np.array([0.0] * 8 + [-np.inf] * biases), np.inf),
            constraints=LinearConstraint(np.ones((1, 8 + biases)), -np.inf, 0.7),
            options={"ftol": 1e-12, "maxiter": 500},
        )
        assert solution.success
        solved = solution.x
        best = np.concatenate([solved[:4] - solved[4:8], solved[8:]])
        assert torch.cat([f.flatten() for f in found]).numpy() == pytest.approx(best, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 6), scale=st.floats(0.01, 10), seed=st.integers(0, 1000))
def test_singular_values_are_clipped(size: int, scale: float, seed: int) -> None:
    matrix = draw(seed, size, size, scale=scale)
    matrix[:, 0] *= seed % 2  # every other one is singular
    projected = project_spectral(matrix, 0.9)
    left, values, right = np.linalg.svd(matrix.numpy())
    assert projected.numpy() == pytest.approx(left * values.clip(max=0.9) @ right, abs=1e-9)
    if values.max() <= 0.9:
        assert torch.equal(projected, matrix)
    assert bool((projected.norm(dim=1) <= matrix.norm(dim=1) + 1e-12).all())
    torch.testing.assert_close(project_spectral(projected, 0.9), projected, rtol=0, atol=1e-9)


def test_single_precision_is_enough() -> None:
    matrix = draw(0, 200, 200, scale=3).float()
    projected = project_spectral(matrix, 0.95)
    # Rounded inwards, as are rows below; then unchanged by another projection.
    assert 0.9499 < np.linalg.svd(projected.double().numpy())[1].max() <= 0.95
    assert torch.equal(project_spectral(projected, 0.95), projected)
    for scale in (1.0, 1e4):  # in double precision the rounding of the products matters
        exact = project_spectral(matrix.double() * scale, 0.95)
        assert 0.9499 < np.linalg.svd(exact.numpy())[1].max() <= 0.95
    rows, first, second = project_rows(matrix, torch.full((200,), 0.2), [matrix[0], matrix[1]])
    # Rounded inwards, although adjacent floats of this size differ by 1e-6.
    spent = rows.double().abs().sum(1) + first.double() + second.double()
    assert 0.1999 < float(spent.max()) <= 0.2
    assert torch.equal(project_rows(rows, torch.full((200,), 0.2), [first, second])[0], rows)
    assert rows.dtype == first.dtype == torch.float32
    assert torch.equal(project_spectral(torch.zeros(3, 3), 0.5), torch.zeros(3, 3))
