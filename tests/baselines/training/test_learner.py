"""One optimiser step: the readout's gradient, short floats, sparse embeddings, clipping."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqmem.baselines.layers import LinearReadout
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training import many_classes
from seqmem.baselines.training.batches import Batch, Step, batches
from seqmem.baselines.training.learner import Learner
from seqmem.baselines.training.loop import seeded, train
from seqmem.baselines.training.readout_gradient import ReadoutGradient
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import SequenceModel, State
from seqmem.tests.command import QUICK, Command, record_files

SGD = Recipe(
    steps=6,
    batch=8,
    k_train=5,
    learning_rate=4.0,
    optimizer="sgd",
    schedule="constant",
    clip=0.05,
    validate_every=6,
    validation_targets=64,
    options={"hidden": 8},
)


class Readout(LinearReadout):
    """A model that consists of a linear readout."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        with seeded(0):
            self.leave = nn.Linear(width, outputs)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        return inputs, None


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.to_dense().clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 40),
    width=st.integers(1, 9),
    outputs=st.integers(1, 150),
    numbers=st.integers(1, 5000),
    scale=st.sampled_from([1.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_the_fused_gradient_is_autograds(
    rows: int, width: int, outputs: int, numbers: int, scale: float, seed: int
) -> None:
    with seeded(seed), pytest.MonkeyPatch.context() as patch:
        patch.setitem(many_classes.CHUNK, "cpu", numbers)
        patch.setattr(many_classes, "PADDED", 64)  # padded outputs, and others
        model = Readout(width, outputs)
        features = (scale * torch.randn(rows, width)).requires_grad_()
        targets = torch.randint(outputs, (rows,), dtype=torch.int32)
        readout = ReadoutGradient(model, CrossEntropy(), torch.float32)
        for _ in range(2):  # memory of the first call must not affect the second
            model.zero_grad()
            features.grad = None
            total = readout.backward(features, targets, 7)
    assert features.grad is not None
    found = {**gradients(model), "features": features.grad.clone()}
    model.zero_grad()
    features.grad = None
    loss = F.cross_entropy(model(features), targets.long(), reduction="sum") / 7
    loss.backward()
    assert float(total) == pytest.approx(loss.item(), rel=1e-5, abs=1e-6)
    expected = {**gradients(model), "features": features.grad}
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * scale)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 40),
    outputs=st.integers(2, 150),
    numbers=st.integers(200, 5000),
    seed=st.integers(0, 1000),
)
def test_the_fused_gradient_in_bfloat16_is_near(
    rows: int, outputs: int, numbers: int, seed: int
) -> None:
    """Eight bits round a number by up to 2^-9 of it, before terms of a sum cancel."""
    with seeded(seed), pytest.MonkeyPatch.context() as patch:
        patch.setitem(many_classes.CHUNK, "cpu", numbers)
        patch.setattr(many_classes, "PADDED", 64)
        model = Readout(6, outputs)
        features = torch.randn(rows, 6).requires_grad_()
        targets = torch.randint(outputs, (rows,))
        readout = ReadoutGradient(model, CrossEntropy(), torch.bfloat16)
        total = readout.backward(features, targets, rows)
    assert features.grad is not None
    found = {**gradients(model), "features": features.grad.clone()}
    model.zero_grad()
    features.grad = None
    loss = F.cross_entropy(model(features), targets)
    loss.backward()
    assert float(total) == pytest.approx(loss.item(), abs=0.05)
    expected = {**gradients(model), "features": features.grad}
    sizes = {"leave.bias": 1.0, "leave.weight": float(features.detach().abs().max())}
    sizes["features"] = float(model.leave.weight.detach().abs().max()) / rows
    for name, gradient in expected.items():
        allowed = 0.015 * sizes[name]
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=allowed, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_several_passes_add_up(dtype: torch.dtype) -> None:
    model = Readout(4, 6)
    readout = ReadoutGradient(model, CrossEntropy(), dtype)

    def learn(first: int, last: int) -> None:
        features = torch.linspace(-2, 2, 24).view(6, 4)[first:last].requires_grad_()
        readout.backward(features, torch.tensor([0, 5, 3, 3, 1, 2])[first:last], 6)

    learn(0, 6)
    whole = gradients(model)
    model.zero_grad()
    learn(0, 2)
    learn(2, 6)
    rounding = 1e-6 if dtype == torch.float32 else 0.002
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, whole[name], rtol=0, atol=rounding, msg=name)


@given(
    st.lists(
        st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    )
)
def test_the_maximum_of_bfloat16_is_found_from_bits(numbers: list[list[float]]) -> None:
    rows = torch.tensor(numbers).to(torch.bfloat16)
    found = many_classes._highest(rows)
    torch.testing.assert_close(found, rows.amax(1, keepdim=True), rtol=0, atol=0)


def test_sampled_classes_have_the_gradient_of_an_unbiased_sum() -> None:
    """Of Σ exp over all classes; the gradient is autograd's, of the loss with the same sample."""
    model, outputs = Readout(3, 40), 40
    frequency = torch.arange(outputs, dtype=torch.float32)
    readout = ReadoutGradient(model, CrossEntropy(), torch.float32, (12, frequency))
    features = torch.linspace(-2, 2, 6).view(2, 3).requires_grad_()
    targets = torch.tensor([1, 38])
    scores = model(features)
    expected = scores.detach().exp().sum(1)  # (2,)
    sums = []
    for seed in range(4000):
        model.zero_grad()
        features.grad = None
        with seeded(seed):
            # With a count of 1 the loss is a sum; one target at a time shows each Σ exp.
            loss = readout.backward(features[:1], targets[:1], 1)
        sums.append(float((loss + scores[0, targets[0]]).detach().exp()))
    error = np.std(sums) / math.sqrt(len(sums))
    assert abs(np.mean(sums) - float(expected[0])) < 4 * error
    assert error < 0.01 * float(expected[0])

    model.zero_grad()
    features.grad = None
    with seeded(0):
        total = readout.backward(features, targets, 2)
    assert features.grad is not None
    found = {**gradients(model), "features": features.grad.clone()}
    summed = found["leave.bias"].nonzero()[:, 0]
    assert len(summed) == 12
    assert {1, *range(34, 40)} <= set(summed.tolist())
    correction = torch.zeros(outputs)
    correction[[each for each in summed.tolist() if each not in (1, *range(34, 40))]] = math.log(
        33 / 5
    )
    model.zero_grad()
    features.grad = None
    raised = (model(features) + correction)[:, summed]
    places = torch.searchsorted(summed, targets)
    loss = F.cross_entropy(raised, places)
    loss.backward()
    assert float(total) == pytest.approx(loss.item(), rel=1e-6)
    assert features.grad is not None
    for name, gradient in {**gradients(model), "features": features.grad}.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_target_of_probability_zero_has_its_true_loss(dtype: torch.dtype) -> None:
    """Its probability is rounded to zero, but its loss is finite."""
    model = Readout(1, 3)
    with torch.no_grad():
        model.leave.weight.copy_(torch.tensor([[0.0], [1.0], [2.0]]))
        model.leave.bias.zero_()
    features = torch.tensor([[500.0]], requires_grad=True)
    readout = ReadoutGradient(model, CrossEntropy(), dtype)
    assert float(readout.backward(features, torch.tensor([0]), 1)) == pytest.approx(1000.0)
    assert features.grad is not None
    assert features.grad.item() == pytest.approx(2.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_outputs_that_are_not_finite_show_in_the_loss(dtype: torch.dtype, wrong: float) -> None:
    """Whether all outputs are not finite, or one of many."""
    model = Readout(2, 1500)
    readout = ReadoutGradient(model, CrossEntropy(), dtype)
    features = torch.tensor([[wrong, 0.0]], requires_grad=True)
    assert math.isnan(float(readout.backward(features, torch.tensor([0]), 1)))
    with torch.no_grad():
        model.leave.bias[700] = wrong
    features = torch.ones(1, 2, requires_grad=True)
    assert math.isnan(float(readout.backward(features, torch.tensor([0]), 1)))


def test_an_overridden_readout_is_used() -> None:
    class Doubled(Readout):
        def readout(self, hidden: Tensor) -> Tensor:
            return 2 * super().readout(hidden)

    model = Doubled(4, 6)
    features = torch.linspace(-2, 2, 20).view(5, 4).requires_grad_()
    targets = torch.tensor([0, 5, 3, 3, 1])
    total = ReadoutGradient(model, CrossEntropy(), torch.float32).backward(features, targets, 5)
    assert float(total) == pytest.approx(F.cross_entropy(model(features), targets).item())


@pytest.mark.parametrize("name", ["lstm:tied=true", "tcn", "transformer"])
def test_a_step_in_bfloat16_is_nearly_the_same(name: str) -> None:
    task = HiddenMarkov(2)
    found = {}
    for dtype in ("float32", "bfloat16"):
        with seeded(0):
            model, _ = build_model(parse_model(name), task, 16, {"hidden": 32})
        recipe = Recipe(steps=1, batch=8, k_train=16, learning_rate=0.0, clip=1e9, dtype=dtype)
        batch = next(batches(task.train(0, 0), 8, 16, 0, torch.Generator().manual_seed(0)))
        step = Step(len(batch.targets), (batch,))
        loss, _ = Learner(model, task.loss, recipe, "cpu").learn(step, None, taken=0, scale=1.0)
        assert loss is not None
        found[dtype] = float(loss), torch.cat([g.flatten() for g in gradients(model).values()])
        assert all(p.dtype == torch.float32 for p in model.parameters())
    (value, gradient), (short_value, short) = found["float32"], found["bfloat16"]
    assert short_value == pytest.approx(value, abs=0.01)
    assert short_value != value
    assert float((gradient - short).norm() / gradient.norm()) < 0.03


def test_training_in_bfloat16_learns_as_much() -> None:
    task = HiddenMarkov(100)
    best = {}
    for dtype in ("float32", "bfloat16"):
        recipe = Recipe(
            steps=200,
            batch=16,
            k_train=32,
            learning_rate=1e-2,
            validate_every=100,
            validation_targets=2048,
            dtype=dtype,
            options={"hidden": 32},
        )
        with seeded(0):
            model, _ = build_model(parse_model("lstm"), task, 32, recipe.options)
        best[dtype] = train(model, task, recipe, k_train=32, seed=0).best_validation
    gain, short_gain = (task.chance() - best[dtype] for dtype in ("float32", "bfloat16"))
    assert gain > 0.02
    assert short_gain == pytest.approx(gain, rel=0.3)
    assert short_gain != gain


@pytest.mark.parametrize("recipe", [SGD, replace(SGD, optimizer="adam", learning_rate=1e-2)])
@pytest.mark.parametrize("name", ["lstm", "tcn", "lstm:tied=true"])
def test_sparse_embeddings_and_scaled_rates_take_the_plain_steps(name: str, recipe: Recipe) -> None:
    task = HiddenMarkov(2)
    with seeded(0):
        plain, _ = build_model(parse_model(name), task, 5, recipe.options)
    with seeded(0):
        model, _ = build_model(parse_model(name), task, 5, recipe.options)
    embeddings = [each for each in model.modules() if isinstance(each, nn.Embedding)]
    learner = Learner(model, task.loss, recipe, "cpu")
    assert [each.sparse for each in embeddings] == [recipe is SGD or name == "lstm:tied=true"]
    plainly = torch.optim.SGD if recipe is SGD else torch.optim.Adam
    optimizer = plainly(plain.parameters(), lr=recipe.learning_rate)
    cut = batches(task.train(0, 0), 8, 5, 0, torch.Generator().manual_seed(0))
    states: list[State] = [None, None]
    for taken, batch in zip(range(6), cut, strict=False):
        step = Step(len(batch.targets), (batch,))
        fresh = batch.fresh or not model.stateful
        _, states[0] = learner.learn(step, states[0], taken=taken, scale=1.0)
        states[1] = plain_step(plain, batch, None if fresh else states[1], optimizer, task)
    for (name, found), (_, expected) in zip(
        model.named_parameters(), plain.named_parameters(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6, msg=name)


def plain_step(
    model: SequenceModel,
    batch: Batch,
    state: State,
    optimizer: torch.optim.Optimizer,
    task: HiddenMarkov,
) -> State:
    """Take the same step with plain torch code; return the state."""
    optimizer.zero_grad()
    features, state = model.hidden(batch.inputs, state)
    outputs = model.readout(features)[batch.rows, batch.columns]
    task.loss(outputs, batch.targets).mean().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), SGD.clip)
    optimizer.step()
    return None if state is None else tuple(part.detach() for part in state)


def test_training_in_bfloat16_is_a_separate_setting(seqmem_: Command, tmp_path: Path) -> None:
    usual = seqmem_("eval", "rnn", *QUICK, "--results", str(tmp_path))
    short = seqmem_("eval", "rnn", *QUICK, "--results", str(tmp_path), "--train-dtype", "bfloat16")
    assert (usual.status, short.status) == (0, 0)
    assert "smoke, bfloat16" in short.out
    records = [json.loads(path.read_text()) for path in record_files(tmp_path / "records")]
    assert {record["training"]["recipe"]["dtype"] for record in records} == {"float32", "bfloat16"}
    board = seqmem_("leaderboard", "--records", str(tmp_path / "records"))
    assert len([line for line in board.out.splitlines() if line.startswith("rnn")]) == 2
    refused = seqmem_("eval", "lru", *QUICK, "--train-dtype", "bfloat16")
    assert refused.status == 2
    assert "lru computes in float32 only" in refused.err
