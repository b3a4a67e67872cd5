"""Certificates: no input violates the bound, and the search finds violations where they exist."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from seqmem.baselines.certificate import Certificate, certificate, guaranteed_context_facts
from seqmem.baselines.recurrent import LSTM, RNN, Recurrent
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.stable import StableLSTM, StableRNN
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Features, Tokens
from seqmem.tests.stability import STABLE, Stable, assert_inside, draw

PAST, WIDTH = 40, 3


def boundary(kind: type[Recurrent], layers: int, seed: int, scale: float) -> Recurrent:
    """Return a model with scaled random weights, which the stable kinds project onto their set."""
    with seeded(seed):
        model = kind(Features(WIDTH), 2, hidden=5, layers=layers)
    with torch.no_grad():
        for parameter in model.layers.parameters():
            parameter.mul_(scale)
    model.constrain()
    return model.double().eval()


def truncation(model: Recurrent, inputs: Tensor, k: int, norm: str) -> Tensor:
    """Return ‖h_full − h_k‖ at the last input, (B,)."""
    difference = model.hidden(inputs)[0][:, -1] - model.hidden(inputs[:, -k:])[0][:, -1]
    error: Tensor = difference.norm(2 if norm == "euclidean" else math.inf, dim=1)
    return error


def worst(model: Recurrent, k: int, norm: str, seed: int) -> float:
    """Return the largest error over inputs in [−1, 1], by random search and ascent."""
    hidden = torch.randn(
        24, PAST + k, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    hidden[:8] *= 5  # saturated; the others are not
    hidden[8:12, PAST:] = 0  # zeros after a random past
    hidden.requires_grad_()
    optimizer = torch.optim.Adam([hidden], lr=0.2)
    found = 0.0
    for _ in range(25):
        error = truncation(model, torch.tanh(hidden), k, norm)
        found = max(found, float(error.detach().max()))
        optimizer.zero_grad()
        (-(error + 1e-30).log().sum()).backward()
        optimizer.step()
    return found


@pytest.mark.parametrize("stable", STABLE)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_no_input_violates_the_bound(stable: type[Stable], layers: int, scale: float) -> None:
    model = boundary(stable, layers, 7, scale)
    proof = certificate(model)
    for k in (1, 5, 20):
        assert worst(model, k, proof.norm, seed=k) <= proof.bound(k) + 1e-12


def test_inputs_without_a_bound_leave_a_proof_to_tanh_layers_alone() -> None:
    task = load_task("long-memory/d=0.4")
    assert float(task.split("valid").inputs.abs().max()) > 1
    with seeded(0):
        lstm, _ = build_model(parse_model("lstm-stable"), task, 64, {"hidden": 4})
        rnn, _ = build_model(parse_model("rnn-stable"), task, 64, {"hidden": 4})
    with pytest.raises(InputError, match=r"no certificate .* inputs have no bound"):
        certificate(lstm)
    assert guaranteed_context_facts(lstm) is None
    assert isinstance(rnn, RNN)
    proof, source = certificate(rnn), torch.Generator().manual_seed(0)
    inputs = 9 * torch.randn(64, 60, 1, generator=source, dtype=torch.float64)
    errors = {k: truncation(rnn.double().eval(), inputs, k, proof.norm).max() for k in (1, 5, 20)}
    assert errors[1] > 0.01
    assert all(error <= proof.bound(k) + 1e-12 for k, error in errors.items())


@pytest.mark.parametrize(("stable", "ordinary"), [(StableRNN, RNN), (StableLSTM, LSTM)])
def test_an_unconstrained_network_violates_the_bound(
    stable: type[Stable], ordinary: type[Recurrent]
) -> None:
    """The search finds violations of the bound where they exist."""
    proof = certificate(boundary(stable, 1, 7, 30.0))
    model = boundary(ordinary, 1, 7, 8.0)
    assert worst(model, 60, proof.norm, seed=0) > 10 * proof.bound(60)
    with pytest.raises(InputError, match="layer 1 need not contract"):
        certificate(model)


@torch.no_grad()
def slowest(stable: type[Stable], layers: int) -> Recurrent:
    """Return a model with one unit at the slowest decay; a second layer passes its value on."""
    model: Recurrent = boundary(stable, layers, 0, 0.0)
    for value in model.layers.parameters():
        value.zero_()
    parameters = dict(model.layers.named_parameters())
    if stable is StableRNN:
        parameters["weight_hh_l0"][0, 0] = 0.95
        parameters["weight_ih_l0"][0, 0] = 1e-3  # tanh is nearly linear
        if layers == 2:
            parameters["weight_ih_l1"][0, 0] = 1.0
        return model
    for name, value in parameters.items():
        if "bias_ih" in name:
            value[:5] = value[15:] = 20.0  # input and output gates are open
    parameters["bias_ih_l0"][5:10] = 0.4  # the forget gate's
    parameters["weight_ih_l0"][10, 0] = 30.0  # z is 1, or 0 for zero inputs
    if layers == 2:
        parameters["bias_ih_l1"][5:10] = -20.0
        parameters["weight_ih_l1"][10, 0] = 0.5
    return model


@pytest.mark.parametrize("stable", STABLE)
@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_the_bound_is_nearly_reached(stable: type[Stable], layers: int) -> None:
    model = slowest(stable, layers)
    assert_inside(model)
    proof = certificate(model)
    k = 12
    inputs = torch.zeros(1, 300, WIDTH, dtype=torch.float64)
    inputs[:, :-k, 0] = 1.0  # the past saturates the unit, then inputs are zero
    ratio = float(truncation(model, inputs, k, proof.norm)) / proof.bound(k)
    # The RNN's certificate assumes three features of 1, of which one has an effect here.
    assert ratio <= 1
    assert ratio * (math.sqrt(WIDTH) if stable is StableRNN else 1) > 0.99


@pytest.mark.parametrize("stable", STABLE)
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_guaranteed_contexts_are_the_smallest(stable: type[Stable], layers: int) -> None:
    proof = certificate(boundary(stable, layers, 3, 5.0))
    for error in (3.0, 0.3, 1e-3):
        k = proof.guaranteed_context(error)
        assert all(proof.bound(j) <= error for j in range(k, k + 200, 11))
        assert k == 1 or proof.bound(k - 1) > error


def test_one_layer_has_the_bound_of_the_theorem() -> None:
    with seeded(0):
        model = StableRNN(Tokens(9), 4, hidden=16, lambda_max=0.9)
    proof = certificate(model)
    (layer,) = proof.layers
    assert proof.bound(7) == pytest.approx(layer.rate**7 * layer.radius[0])
    expected = math.ceil(math.log(layer.radius[0] / 0.01) / math.log(1 / layer.rate))
    assert proof.guaranteed_context(0.01) == expected
    assert proof.rate == layer.rate


@pytest.mark.parametrize("stable", STABLE)
@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_the_features_after_any_two_states_approach_each_other(
    stable: type[Stable], layers: int
) -> None:
    model = boundary(stable, layers, 11, 10.0)
    proof = certificate(model)
    # Two states from different inputs, then the same inputs. Each state is within the radius of
    # zero, so that their difference is at most twice that which `bound` starts from.
    inputs = torch.rand(64, 60, WIDTH, generator=torch.Generator().manual_seed(0)).double()
    _, first = model.hidden(inputs[:32, :30])
    _, second = model.hidden(inputs[32:, :30])
    same = inputs[:32, 30:]
    difference = model.hidden(same, first)[0] - model.hidden(same, second)[0]
    order = 2 if proof.norm == "euclidean" else math.inf
    largest = difference.norm(order, dim=2).amax(0)  # after 1, 2, … inputs
    assert 0 < proof.rate < 1
    for k, change in enumerate(largest.tolist(), 1):
        assert change <= 2 * proof.bound(k) + 1e-12


@pytest.mark.parametrize("stable", STABLE)
@torch.no_grad()
def test_readouts_change_no_more_than_the_bound(stable: type[Stable]) -> None:
    model = boundary(stable, 1, 2, 3.0)
    proof = certificate(model)
    one, two = draw(0, 500, 5), draw(1, 500, 5)
    change = (model.readout(one) - model.readout(two)).abs().amax(1)
    difference = (one - two).norm(2 if proof.norm == "euclidean" else math.inf, dim=1)
    assert bool((change <= proof.readout * difference + 1e-12).all())
    assert float((change / difference).max()) > 0.5 * proof.readout


def _unconstrained(name: str) -> SequenceModel:
    with seeded(0):
        return build_model(parse_model(name), load_task("copy-memory/T=5"), "full", {})[0]


@pytest.mark.parametrize(
    ("prove", "says"),
    [
        (lambda: certificate(_unconstrained("tcn")), "no certificate for TCN"),
        (lambda: certificate(_unconstrained("gru")), "no certificate for GRU"),
        (lambda: certificate(_unconstrained("lstm")), "this LSTM: layer 1 need not contract"),
        (lambda: certificate(boundary(StableRNN, 1, 0, 1)).guaranteed_context(0), "error=0"),
    ],
)
def test_refusals_are_explained(prove: Callable[[], Certificate], says: str) -> None:
    with pytest.raises(InputError, match=says):
        prove()


def test_every_network_that_satisfies_the_conditions_has_a_certificate() -> None:
    assert certificate(boundary(LSTM, 1, 0, 0.1)).rate < 1
    assert certificate(boundary(RNN, 1, 0, 0.5)).rate < 1
