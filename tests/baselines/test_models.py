"""Properties of all baselines, and of each one."""

from inspect import signature

import pytest
import torch
from torch import nn

from seqmem.baselines import BASELINES
from seqmem.baselines.layers import InputLayer
from seqmem.baselines.recurrent import GRU, LSTM
from seqmem.baselines.spec import (
    ModelSpec,
    build_model,
    model_class,
    parse_model,
)
from seqmem.baselines.tcn import TCN
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Features, Task, Tokens
from seqmem.testing import check_model, example_inputs
from seqmem.tests.zoo import task_for

TASKS = ["copy-memory/T=5", "adding-problem/T=20"]
NEXT_TOKEN = "hidden-markov/dwell=2"
TRAINED = [name for name in BASELINES if not hasattr(model_class(name), "fit")]
# Their receptive field is set from the task and k_train.
FEED_FORWARD = [n for n in TRAINED if "context" in signature(model_class(n)).parameters]


def for_one_kind(name: str) -> bool:
    return model_class(name).next_token_only or model_class(name).needs_separator


def build(name: str, task: Task, k_train: int | str = "full") -> SequenceModel:
    with seeded(1):
        model, _ = build_model(ModelSpec(name), task, k_train, {"hidden": 6})  # type: ignore[arg-type]
    return model.eval()


PAIRS = [
    (name, task_id)
    for name in BASELINES
    for task_id in ([NEXT_TOKEN] if for_one_kind(name) else [*TASKS, NEXT_TOKEN])
]


@pytest.mark.parametrize(("name", "task_id"), PAIRS)
@torch.inference_mode()
def test_contract(name: str, task_id: str) -> None:
    task = task_for(name, task_id)
    model = build(name, task)
    if isinstance(model, ClosedForm):
        model.fit(task, 0)
    inputs = example_inputs(task.inputs)
    # In float32, sums in another order change an output of mlstm by 7e-5 on some processors.
    model.double()
    check_model(model, inputs.double() if inputs.is_floating_point() else inputs, task.outputs)
    assert model.state_size(10) is not None


@pytest.mark.parametrize("name", [n for n in BASELINES if model_class(n).stateful])
@torch.inference_mode()
def test_state_size_is_the_number_of_floats_of_a_state(name: str) -> None:
    task = load_task("copy-memory/T=5")
    model = build(name, task)
    inputs = example_inputs(task.inputs, 2, 30)
    _, state = model.hidden(inputs)
    parts = state if isinstance(state, tuple) else (state,)
    # A complex number is two floats; the batch is the second dimension.
    floats = sum(part[:, 0].numel() * (1 + part.is_complex()) for part in parts)
    assert model.state_size(30) == floats


@pytest.mark.parametrize("k_train", ["full", 1, 2, 3, 4, 7, 30, 64])
@pytest.mark.parametrize("task_id", TASKS)
@pytest.mark.parametrize("name", FEED_FORWARD)
@torch.inference_mode()
def test_depends_on_exactly_its_receptive_field(
    name: str, k_train: int | str, task_id: str
) -> None:
    task = load_task(task_id)
    with seeded(1):
        model, _ = build_model(ModelSpec(name), task, k_train, {"hidden": 16})  # type: ignore[arg-type]
    model.eval()
    field = model.receptive_field
    assert field is not None
    assert field >= task.longest_context if k_train == "full" else field <= int(k_train)
    length = field + 12
    inputs = example_inputs(task.inputs, 16, length)
    outputs = model(inputs)[:, -1]

    def changed_at(position: int) -> bool:
        other = inputs.clone()
        other[:, position] = (other[:, position] + 3) % 8
        # The furthest input has a single path through all layers: its effect is small, not zero.
        return not torch.equal(model(other)[:, -1], outputs)

    assert changed_at(length - field)
    assert not changed_at(length - field - 1)
    assert changed_at(length - 1)


@pytest.mark.parametrize("kernel", [2, 3, 6])
def test_tcn_receptive_field_is_the_papers(kernel: int) -> None:
    for levels in (1, 4, 8):
        with seeded(0):
            model = TCN(Features(2), 1, context=1, hidden=2, kernel=kernel, levels=levels)
        assert model.receptive_field == 1 + 2 * (kernel - 1) * (2**levels - 1)
        past = sum(2 * (kernel - 1) * 2**i * 2 for i in range(levels))
        assert model.state_size(10**6) == past
        assert model.state_size(1) == 4 * levels


def test_trained_at_k_uses_most_of_k() -> None:
    task = load_task("copy-memory/T=30")
    fields = {k: build("tcn", task, k).receptive_field for k in (1, 2, 3, 8, 16, 32, 64, 128)}
    assert fields == {1: 1, 2: 1, 3: 3, 8: 5, 16: 13, 32: 29, 64: 61, 128: 125}


def test_lstm_starts_by_remembering() -> None:
    with seeded(0):
        model = LSTM(Tokens(10), 10, hidden=4, layers=2)
    for layer in range(2):
        bias = getattr(model.layers, f"bias_ih_l{layer}") + getattr(
            model.layers, f"bias_hh_l{layer}"
        )
        assert bias.tolist() == [0] * 4 + [1] * 4 + [0] * 8  # input, forget, cell, output


def test_gru_resets_after_the_matrix_product() -> None:
    """The equations of the docstring for one step from a nonzero state."""
    with seeded(0):
        model = GRU(Features(2), 1, hidden=3)
    weights = {name: value.detach() for name, value in model.layers.named_parameters()}
    inputs = example_inputs(Features(2), 1, 2)
    with torch.no_grad():
        before, after = model.hidden(inputs)[0][0]
    read = weights["weight_ih_l0"] @ inputs[0, 1] + weights["bias_ih_l0"]
    kept = weights["weight_hh_l0"] @ before + weights["bias_hh_l0"]
    reset, update = torch.sigmoid(read[:6] + kept[:6]).split(3)
    new = torch.tanh(read[6:] + reset * kept[6:])
    torch.testing.assert_close(after, (1 - update) * new + update * before)


def test_ids_become_an_embeddings_vectors_and_gradients() -> None:
    with seeded(0):
        layer = InputLayer(Tokens(7), 3)
        gradient = torch.randn(4, 11, 3)
    assert layer.embedding is not None
    ids = torch.randint(7, (4, 11), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    ours, usual = layer(ids), layer.embedding(ids)
    assert torch.equal(ours, usual)
    of_ours, of_usual = (
        torch.autograd.grad(each, layer.embedding.weight, gradient)[0] for each in (ours, usual)
    )
    torch.testing.assert_close(of_ours, of_usual)
    with pytest.raises(IndexError):
        layer(ids + 1)


@pytest.mark.parametrize("name", TRAINED)
def test_tied_weights_are_one(name: str) -> None:
    task = task_for(name, NEXT_TOKEN)
    spec = parse_model(f"{name}:tied=true,hidden=8")
    with seeded(0):
        model, _ = build_model(spec, task, "full", {})
    assert isinstance(model.enter, InputLayer)
    assert isinstance(model.leave, nn.Linear)
    assert model.enter.embedding is not None
    assert model.leave.weight is model.enter.embedding.weight


@pytest.mark.parametrize("name", TRAINED)
def test_dropout_acts_in_training_only(name: str) -> None:
    task = task_for(name, "copy-memory/T=5")
    with seeded(1):
        model, _ = build_model(parse_model(f"{name}:dropout=0.5"), task, "full", {})
        inputs = example_inputs(task.inputs, 2, 9)
        model.train()
        assert not torch.equal(model(inputs), model(inputs))
        model.eval()
        assert torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize("name", [name for name in TRAINED if not for_one_kind(name)])
def test_dropout_hides_no_feature_of_the_task(name: str) -> None:
    task = load_task("adding-problem/T=10")
    with seeded(2):
        model, _ = build_model(parse_model(f"{name}:dropout=0.5"), task, "full", {})
        inputs = example_inputs(task.inputs, 16, 10).requires_grad_()
        model.train()(inputs).sum().backward()
    assert inputs.grad is not None
    assert torch.all(inputs.grad != 0)
