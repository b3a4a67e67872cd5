"""AWD-LSTM: equal to the paper's equations, with and without its masks."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.baselines.awd_lstm import AWDLSTM
from seqmem.baselines.training.loop import seeded
from seqmem.tasks.task import Features, InputSpec, Tokens
from seqmem.testing import example_inputs

IDS = Tokens(11)


def made(inputs: InputSpec = IDS, **options: float) -> AWDLSTM:
    with seeded(3):
        model = AWDLSTM(inputs, 11, **{"hidden": 5, "layers": 2, **options})  # type: ignore[arg-type]
    return model.double()


def plain(
    model: AWDLSTM, vectors: Tensor, masks: list[Tensor], between: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Return features and states step by step and gate by gate, with the given masks."""
    states = []
    for layer, mask, dropped in zip(model.layers, masks, between, strict=True):
        own = dict(layer.named_parameters())
        u, v = own["weight_ih_l0"], own["weight_hh_l0"] * mask
        b = own["bias_ih_l0"] + own["bias_hh_l0"]
        size = v.shape[1]
        h = c = vectors.new_zeros(len(vectors), size)
        every = []
        for x in vectors.unbind(1):
            gate = [
                x @ u[n * size : (n + 1) * size].T
                + h @ v[n * size : (n + 1) * size].T
                + b[n * size : (n + 1) * size]
                for n in range(4)
            ]
            c = torch.sigmoid(gate[1]) * c + torch.sigmoid(gate[0]) * torch.tanh(gate[2])
            h = torch.sigmoid(gate[3]) * torch.tanh(c)
            every.append(h * dropped)
        vectors = torch.stack(every, 1)
        states += [h, c]
    return vectors, states


def test_equals_the_papers_equations_with_every_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(dropout=0.4, embedding=3, tied=True).train()
    masks: list[Tensor] = []
    usual = F.dropout

    def noted(tensor: Tensor, share: float, training: bool = True, _: bool = False) -> Tensor:
        if not training or share == 0:
            return tensor
        masks.append((usual(torch.ones_like(tensor), share)).detach())
        return tensor * masks[-1]

    monkeypatch.setattr(F, "dropout", noted)
    inputs = example_inputs(IDS, 3, 7)
    with seeded(0):
        features, state = model.hidden(inputs)
    words, locked, first, between, second, leaving = masks
    assert [tuple(mask.shape) for mask in masks] == [
        (11,), (3, 1, 3), (20, 5), (3, 1, 5), (12, 3), (3, 1, 3),
    ]  # fmt: skip
    for mask, share in zip(masks, (0.1, 0.4, 0.5, 0.4, 0.5, 0.4), strict=True):
        torch.testing.assert_close(
            mask[mask > 0], mask.new_tensor(1 / (1 - share)).expand_as(mask[mask > 0])
        )
    assert model.enter.embedding is not None
    vectors = (model.enter.embedding.weight * words[:, None])[inputs.long()] * locked
    expected, states = plain(model, vectors, [first, second], [between[:, 0], leaving[:, 0]])
    torch.testing.assert_close(features, expected, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(state, states, strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=1e-9, atol=1e-9)
    weights = [weight for weight in model.parameters() if weight is not model.leave.bias]
    draw = torch.randn(features.shape, generator=torch.Generator().manual_seed(1)).double()
    ours_, theirs_ = (
        torch.autograd.grad((each * draw).sum(), weights) for each in (features, expected)
    )
    for one, other in zip(ours_, theirs_, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@torch.inference_mode()
def test_nothing_is_dropped_in_measuring_and_the_state_carries_on() -> None:
    model = made(dropout=0.4).eval()
    inputs = example_inputs(IDS, 2, 9)
    assert model.enter.embedding is not None
    ones = [torch.ones(()), torch.ones(())]
    expected, _ = plain(model, model.enter.embedding.weight[inputs.long()], ones, ones)
    whole, _ = model.hidden(inputs)
    torch.testing.assert_close(whole, expected, rtol=1e-9, atol=1e-9)
    first, state = model.hidden(inputs[:, :4])
    second, _ = model.hidden(inputs[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-9, atol=1e-9)


def test_dropped_weights_get_no_gradient_and_the_weights_are_left_as_they_are() -> None:
    model = made(weight_dropout=0.5, word_dropout=0.0).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with seeded(5):
        model.hidden(example_inputs(IDS, 4, 6))[0].square().sum().backward()
    for layer in model.layers:
        gradient = layer.get_parameter("weight_hh_l0").grad
        assert gradient is not None
        assert 0.25 < (gradient == 0).double().mean() < 0.75
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_masks_depend_on_the_seed_alone() -> None:
    model, inputs = made(dropout=0.3).train(), example_inputs(IDS, 2, 5)
    features = []
    for seed in (1, 1, 2):
        with seeded(seed):
            features.append(model.hidden(inputs)[0])
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])


def test_a_tied_last_layer_has_the_embeddings_size() -> None:
    model = made(hidden=8, layers=3, embedding=3, tied=True)
    assert [layer.hidden_size for layer in model.layers] == [8, 8, 3]
    assert model.state_size(5) == 2 * (8 + 8 + 3)
    free = made(Features(4), hidden=8, layers=3, embedding=3)
    assert [layer.hidden_size for layer in free.layers] == [8, 8, 8]
    assert free.layers[0].input_size == 4
