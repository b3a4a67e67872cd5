"""The training loop: batches, gradients, seeds, and resuming."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import seqmem.baselines.training.loop as training_module
from seqmem.baselines.spec import ModelSpec, build_model, parse_model
from seqmem.baselines.training import many_classes
from seqmem.baselines.training.batches import Step, batches
from seqmem.baselines.training.checkpoint import Checkpoint, load_weights, save_weights
from seqmem.baselines.training.learner import Learner, Optimizer
from seqmem.baselines.training.loop import Trained, seeded, train
from seqmem.baselines.training.readout_gradient import ReadoutGradient
from seqmem.baselines.training.recipes import BUDGETS, Recipe, recipe_for
from seqmem.errors import CellError
from seqmem.measuring.curve import measure
from seqmem.tasks import FAMILIES, load_task
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Split, Task
from seqmem.tests.trainings import Killed, StreamOfSymbols

FEED_FORWARD = ["tcn", "gcnn", "wavenet", "transformer"]
QUICK = Recipe(
    steps=12,
    batch=8,
    k_train="full",
    learning_rate=1e-2,
    validate_every=5,
    validation_targets=64,
    options={"hidden": 8, "state": 4, "dropout": 0.2},
)


def fit(
    model: str,
    task: Task,
    recipe: Recipe = QUICK,
    k_train: int | str = "full",
    seed: int = 0,
    **options: object,
) -> tuple[SequenceModel, Trained]:
    with seeded(seed):
        built, _ = build_model(parse_model(model), task, k_train, recipe.options)  # type: ignore[arg-type]
    trained = train(built, task, recipe, k_train=k_train, seed=seed, **options)  # type: ignore[arg-type]
    return built, trained


# Batches.


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=7),
    size=st.integers(1, 4),
    segment=st.one_of(st.none(), st.integers(1, 9)),
    overlap=st.integers(0, 5),
    pool=st.integers(0, 3),
    seed=st.integers(0, 50),
)
def test_every_target_comes_once_after_its_own_inputs(
    lengths: list[int], size: int, segment: int | None, overlap: int, pool: int, seed: int
) -> None:
    total = sum(lengths)
    starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    inputs = torch.arange(total, dtype=torch.int32)  # an input is its own index
    positions = torch.arange(total)[torch.arange(total) % 3 != 1]
    split = Split(inputs, starts, positions, positions * 10, positions)
    if len(positions) == 0:
        return
    seen = []
    runs: list[list[int]] = []
    order = torch.Generator().manual_seed(seed)
    for batch in batches(split, size, segment, overlap, order, pool):
        assert torch.equal(batch.inputs[batch.rows, batch.columns].long() * 10, batch.targets)
        seen += batch.targets.tolist()
        if segment is not None:
            assert batch.inputs.shape[1] <= segment + overlap
        if overlap > 0:  # only rows with targets are read
            assert batch.rows.unique().tolist() == list(range(len(batch.inputs)))
        if overlap == 0:
            # Without overlap the segments of a row are contiguous, as a carried state needs.
            if batch.fresh:
                runs = [[] for _ in batch.inputs]
            for run, row in zip(runs, batch.inputs.tolist(), strict=True):
                run += row
                assert run == list(range(run[0], run[0] + len(run))) or run[-1] == total - 1
    expected = (positions * 10).tolist()
    if len(lengths) == 1 and total % size and total >= size:
        # A stream is cut into equal lanes, without its remainder.
        expected = [y for y in expected if y < total // size * size * 10]
    assert sorted(seen) == expected


def test_sequences_of_a_pool_stand_beside_their_like() -> None:
    lengths = torch.randperm(60, generator=torch.Generator().manual_seed(1)) + 1
    total = int(lengths.sum())
    every = torch.arange(total)
    split = Split(every, torch.cat([torch.tensor([0]), lengths.cumsum(0)]), every, every, every)

    def padded(pool: int) -> list[int]:
        cut = batches(split, 4, None, 0, torch.Generator().manual_seed(0), pool)
        return [batch.inputs.numel() for batch in cut]

    # 1–4, 5–8, … 57–60 side by side: each of the 15 batches is as long as its longest.
    assert sorted(padded(15)) == [4 * longest for longest in range(4, 61, 4)]
    assert padded(15) != sorted(padded(15))
    assert total < sum(padded(15)) < sum(padded(5)) < sum(padded(0))


def test_sequences_come_in_another_order_for_another_seed() -> None:
    split = load_task("adding-problem/T=2").split("valid")
    firsts = {
        float(next(batches(split, 4, None, 0, torch.Generator().manual_seed(s))).targets[0])
        for s in range(5)
    }
    assert len(firsts) == 5


# Gradients.


@pytest.mark.parametrize(
    "model_text", ["lstm:tied=true", "rnn", *(f"{name}:tied=true" for name in FEED_FORWARD)]
)
def test_the_chunked_readout_has_the_plain_gradient(
    model_text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = HiddenMarkov(2)
    monkeypatch.setitem(many_classes.CHUNK, "cpu", 100)  # one to three rows at a time
    with seeded(0):
        model, _ = build_model(parse_model(model_text), task, "full", {"hidden": 8})
    split = task.split("valid")
    batch = next(batches(split, 2, 20, 0, torch.Generator()))
    model.zero_grad()
    features, _ = model.hidden(batch.inputs)
    chosen = features[batch.rows, batch.columns]
    readout = ReadoutGradient(model, task.loss, torch.float32)
    mean = readout.backward(chosen, batch.targets, len(batch.targets))
    chunked = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss = task.loss(model(batch.inputs)[batch.rows, batch.columns], batch.targets).mean()
    loss.backward()
    assert float(mean) == pytest.approx(loss.item(), rel=1e-5)
    assert set(chunked) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(chunked[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_clipping_bounds_the_step() -> None:
    """Clipping before the backward pass, as in some published scripts, would have no effect."""
    task = load_task("adding-problem/T=5")
    recipe = replace(QUICK, steps=1, optimizer="sgd", schedule="constant", learning_rate=1.0)
    distances = []
    for clip in (1e-3, 1e-2):
        with seeded(0):
            model, _ = build_model(parse_model("lstm"), task, "full", recipe.options)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        train(model, task, replace(recipe, clip=clip), k_train="full", seed=0)
        steps = [(p.detach() - before[name]).flatten() for name, p in model.named_parameters()]
        distances.append(float(torch.cat(steps).norm()))
    assert distances == pytest.approx([1e-3, 1e-2], rel=1e-2)


def test_truncation_cuts_the_gradient_but_carries_the_state() -> None:
    task = load_task("adding-problem/T=6")
    split = task.split("valid")
    with seeded(0):
        model, _ = build_model(parse_model("lstm"), task, 2, {"hidden": 4})
    parts = list(batches(split, 3, 2, 0, torch.Generator().manual_seed(0)))[:3]
    assert [p.fresh for p in parts] == [True, False, False]
    assert [len(p.targets) for p in parts] == [0, 0, 3]
    learner = Learner(model, task.loss, replace(QUICK, learning_rate=0.0), "cpu")
    state = None
    for part in parts:
        step = Step(len(part.targets), (part,))
        loss, state = learner.learn(step, state, taken=0, scale=1.0)
    whole = torch.cat([p.inputs for p in parts], 1)
    with torch.no_grad():
        expected = task.loss(model(whole)[:, -1], parts[-1].targets).mean()
    assert loss is not None
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


# Seeds, and resuming.


def same_weights(a: SequenceModel, b: SequenceModel) -> bool:
    return weights_sha256(a) == weights_sha256(b)


@pytest.mark.parametrize("model", ["lstm", *FEED_FORWARD, "lru"])
def test_a_seed_gives_the_same_weights(model: str) -> None:
    task = load_task("copy-memory/T=3")
    first, second, other = (fit(model, task, seed=seed)[0] for seed in (4, 4, 5))
    assert same_weights(first, second)
    assert not same_weights(first, other)


@pytest.mark.parametrize("model", ["lstm", "rnn", "tcn", "lru"])
@pytest.mark.parametrize(
    ("task", "k_train", "recipe"),
    [
        # Several epochs of fresh data: one epoch has 8,192 sequences.
        (load_task("adding-problem/T=20"), "full", replace(QUICK, batch=3000)),
        (load_task("copy-memory/T=5"), 6, QUICK),
        (StreamOfSymbols(2), 16, replace(QUICK, batch=50)),
        (StreamOfSymbols(2), 16, replace(QUICK, batch=2, classes=6)),
    ],
    ids=["sequences", "truncated", "stream", "sampled classes"],
)
def test_resumed_is_uninterrupted(
    model: str, task: Task, k_train: int | str, recipe: Recipe, tmp_path: Path
) -> None:
    uninterrupted, fitted = fit(model, task, recipe, k_train)
    for killed_at in (1, 6, 11):
        checkpoint = Checkpoint(tmp_path / f"{killed_at}.pt", every_seconds=0)

        def kill(step: int, _: float, at: int = killed_at) -> None:
            if step == at + 1:  # the checkpoint of the previous step exists
                raise Killed

        with pytest.raises(Killed):
            fit(model, task, recipe, k_train, checkpoint=checkpoint, progress=kill)
        steps: list[int] = []
        resumed, refitted = fit(
            model,
            task,
            recipe,
            k_train,
            checkpoint=checkpoint,
            progress=lambda step, _, steps=steps: steps.append(step),
        )
        assert steps[0] == killed_at + 1
        assert same_weights(resumed, uninterrupted)
        assert replace(refitted, seconds=0) == replace(fitted, seconds=0)


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    task = load_task("copy-memory/T=3")
    model, _ = fit("lstm", task, checkpoint=Checkpoint(path, every_seconds=1e9))
    assert same_weights(model, fit("lstm", task)[0])


def test_a_changed_byte_in_a_checkpoint_or_in_weights_is_seen(tmp_path: Path) -> None:
    task = load_task("adding-problem/T=5")
    with seeded(0):
        model, other = (
            build_model(parse_model("lstm"), task, "full", {"hidden": 8})[0] for _ in range(2)
        )
    weights, checkpoint = tmp_path / "weights.safetensors", Checkpoint(tmp_path / "c.pt")
    save_weights(model, weights, {"step": 12345})
    checkpoint.save({"step": 12345, "weights": model.state_dict()})
    before = {name: value.clone() for name, value in other.state_dict().items()}
    name = weights.read_bytes().index(b'"sha256"') + 1  # a file without this name has no hash
    rng = np.random.default_rng(0)
    for path in (weights, tmp_path / "c.pt"):
        content = path.read_bytes()
        for place in [content.find(b"12345"), name, *rng.integers(0, len(content), 60)]:
            changed = bytearray(content)
            changed[max(place, 0)] ^= 1
            path.write_bytes(changed)
            assert load_weights(other, path) is None
            assert checkpoint.load("cpu") is None or path == weights
        path.write_bytes(content)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    found = checkpoint.load("cpu")
    assert found is not None
    assert found["step"] == 12345
    assert load_weights(other, weights) == {"step": 12345}


def test_training_ends_by_patience_with_the_best_weights() -> None:
    """With a learning rate that ruins the model, the first validation stays the best."""
    task = load_task("adding-problem/T=5")
    recipe = replace(
        QUICK,
        steps=500,
        optimizer="sgd",
        learning_rate=3.0,
        schedule="constant",
        validate_every=1,
        patience=4,
        clip=10.0,
        options={"hidden": 8},
    )
    model, fitted = fit("rnn", task, recipe)
    assert fitted.stopped == "patience"
    assert fitted.steps == fitted.best_step + 4
    valid = task.split("valid").subset(torch.arange(64))
    loss = measure(model, task, valid, ["full"]).at("full").losses.mean()
    assert loss == pytest.approx(fitted.best_validation, rel=1e-6)


def test_divergence_ends_the_cell() -> None:
    task = load_task("adding-problem/T=5")
    recipe = replace(QUICK, steps=300, learning_rate=1e38, optimizer="sgd", clip=1e38)
    with pytest.raises(CellError, match="diverged"):
        fit("rnn", task, recipe)


def test_learning_rates_follow_the_schedule() -> None:
    with seeded(0):
        model, _ = build_model(parse_model("rnn"), load_task("adding-problem/T=5"), "full", {})
    weight = next(model.parameters())

    def rate(schedule: str, step: int, scale: float = 1.0, warmup: int = 0) -> float:
        recipe = replace(QUICK, steps=100, learning_rate=2.0, optimizer="sgd", warmup=warmup,
                         schedule=schedule)  # type: ignore[arg-type]  # fmt: skip
        optimizer = Optimizer(model, recipe)
        optimizer.zero_grad()
        with torch.no_grad():
            weight.zero_()
        weight.grad = torch.full_like(weight, 1e-4)
        optimizer.step(step, scale)
        return -weight.flatten()[0].item() / 1e-4

    assert [rate("cosine", s) for s in (0, 50, 100)] == pytest.approx([2.0, 1.0, 0.0])
    assert rate("constant", 70) == pytest.approx(2.0)
    assert rate("plateau", 70, 0.25) == pytest.approx(0.5)
    warm = [rate("constant", step, warmup=4) for step in (0, 1, 3, 4)]
    assert warm == pytest.approx([0.5, 1.0, 2.0, 2.0])
    # A warm-up made for a longer training does not use up a short one.
    assert rate("constant", 4, warmup=1000) == pytest.approx(1.0)
    assert rate("cosine", 10, warmup=1000) == pytest.approx(rate("cosine", 10))


def test_records_of_recipes_without_newer_settings_stay_as_they_were() -> None:
    """Else the identity of every finished training would change."""
    assert {"classes", "warmup"}.isdisjoint(recipe_for("copy-memory", "small").facts())
    facts = recipe_for("wikitext-2", "medium").facts()
    assert (facts["classes"], facts["warmup"]) == (2048, 1000)


def test_closed_forms_are_not_trained() -> None:
    task = load_task("hidden-markov/dwell=2")
    with seeded(0):
        model, _ = build_model(ModelSpec("marginal"), task, "full", {})
        lstm, _ = build_model(ModelSpec("lstm"), task, "full", {})
    assert isinstance(model, training_module.ClosedForm)
    assert not isinstance(lstm, training_module.ClosedForm)


def test_every_family_has_a_recipe_for_every_budget() -> None:
    for family in FAMILIES:
        assert all(recipe_for(family, budget).steps > 0 for budget in BUDGETS)


def test_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    task = load_task("hidden-markov/dwell=2")
    path = tmp_path / "weights.safetensors"
    with seeded(0):
        model, other = (
            build_model(parse_model("lstm:tied=true"), task, "full", {"hidden": 8})[0]
            for _ in range(2)
        )
    save_weights(model, path, {"note": [1, "two"]})
    assert not same_weights(model, other)
    assert load_weights(other, path) == {"note": [1, "two"]}
    assert same_weights(model, other)
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]


# Real training.


@pytest.mark.slow
def test_lstm_solves_the_adding_problem() -> None:
    task = load_task("adding-problem/T=50")
    model, _ = fit("lstm", task, recipe_for("adding-problem", "small"))
    loss = measure(model, task, task.split("test"), ["full"]).at("full").losses.mean()
    assert loss < 0.01


@pytest.mark.slow
def test_tcn_recalls_copy_memory() -> None:
    task = load_task("copy-memory/T=30")
    # A fifth of the steps: all symbols are recalled by then.
    model, _ = fit("tcn", task, replace(recipe_for("copy-memory", "small"), steps=800))
    correct = measure(model, task, task.split("test"), ["full"]).at("full").correct
    assert correct is not None
    assert correct.mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", FEED_FORWARD)
def test_feed_forward_models_learn_from_context(name: str) -> None:
    task = load_task("hidden-markov/dwell=10")
    recipe = recipe_for("hidden-markov", "smoke")
    model, _ = fit(name, task, replace(recipe, validation_targets=2048), recipe.k_train)
    split = task.split("test").prefix(16_384)
    losses = torch.from_numpy(measure(model, task, split, ["full"]).at("full").losses)
    constant = task.constant().expand(len(split), -1)
    gain = task.loss(constant, split.targets).double() - losses
    assert gain.mean() > 4 * gain.std() / len(split) ** 0.5
