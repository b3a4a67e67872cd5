"""Receptive fields by construction, planted faults, and what is reported of each."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError, NotFiniteError
from seqmem.probing.findings import Findings, by_octaves, report
from seqmem.probing.inputs import source_of, source_of_module
from seqmem.probing.probe import ProbeOptions, probe_network
from seqmem.tasks.task import Features, Tokens
from seqmem.tests.probe_faults import FAULTS, Planted, planted
from seqmem.tests.probe_networks import (
    Convolution,
    Recurrence,
    Stack,
    WindowAttention,
    random_network,
)

QUICK = ProbeOptions(longest=128, cost=False)


def probed(module: nn.Module, options: ProbeOptions = QUICK) -> Findings:
    return probe_network(module, source_of_module(module), "net", options)


def stack(*layers: nn.Module, ids: bool = False, width: int = 8) -> nn.Module:
    with seeded(0):
        return Stack(list(layers), width, ids=ids)


@settings(max_examples=15, deadline=None)
@given(
    kernels=st.lists(st.sampled_from([1, 2, 3, 5, 7]), min_size=1, max_size=3),
    dilation=st.integers(1, 5),
    delay=st.integers(0, 3),
    ids=st.booleans(),
)
def test_the_field_of_convolutions_is_exact(
    kernels: list[int], dilation: int, delay: int, ids: bool
) -> None:
    with seeded(1):
        layers = [Convolution(4, kernel, dilation, delay) for kernel in kernels]
    found = probed(stack(*layers, ids=ids, width=4), ProbeOptions(longest=256, cost=False))
    expected = 1 + sum((kernel - 1) * dilation + delay for kernel in kernels)
    assert found.receptive_field == expected
    assert found.faults == ()
    assert len(found.influence) == expected
    assert sum(found.influence) == pytest.approx(1)


@pytest.mark.parametrize("ids", [False, True])
def test_the_field_of_windowed_attention_is_exact(ids: bool) -> None:
    with seeded(2):
        layers = [WindowAttention(8, 2, 9), WindowAttention(8, 2, 4)]
    found = probed(stack(*layers, ids=ids))
    assert (found.receptive_field, found.faults) == (9 + 4 - 1, ())
    assert found.causality.methods == ("gradients", "replaced inputs")
    assert found.causality.outputs == found.causality.length == 128


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_random_networks_of_each_kind(seed: int) -> None:
    """As `benchmarks/probe.py`, which has 200."""
    made = random_network(seed)
    found = probed(made.module, ProbeOptions(longest=256, cost=False))
    assert (found.receptive_field, found.faults) == (made.field, ())


def test_a_recurrent_layer_is_unbounded_and_fades() -> None:
    with seeded(3):
        found = probed(stack(Recurrence(8, "GRU")))
    assert found.receptive_field is None
    assert 1 < found.within < 64
    assert "unbounded" in report(found)
    older = sum(found.influence[found.within :])
    assert older <= 0.01 < older + found.influence[found.within - 1]


class Decaying(nn.Module):
    """y_t = x_t + 0.01 y_{t-1}: gone from float64 after 160 inputs, and yet unbounded."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, 1) -> (B, L, 1)."""
        state, outputs = torch.zeros_like(x[:, 0]), []
        for step in self.enter(x).unbind(1):
            state = step + 0.01 * state
            outputs.append(state)
        return torch.stack(outputs, 1)


def test_what_leaves_the_range_of_floats_is_not_taken_for_an_end() -> None:
    with seeded(7):
        found = probed(Decaying(), ProbeOptions(longest=256, cost=False))
    assert found.looks[-1].field < 256
    assert found.receptive_field is None
    assert "lost in rounding" in report(found)


def test_a_connection_that_skips_far_is_found_at_the_last_length() -> None:
    with seeded(4):
        layer = Convolution(4, 2, 300)
    found = probed(stack(layer, width=4), ProbeOptions(cost=False))
    assert [look.field for look in found.looks] == [1, 1, 301]
    assert found.receptive_field == 301


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted_faults_are_caught(fault: Planted) -> None:
    found = probed(planted(fault), ProbeOptions(length=64, cost=False))
    assert fault.caught_as in {each.name for each in found.faults}, report(found)


def test_a_rare_leak_is_named_with_its_places() -> None:
    (fault,) = [each for each in FAULTS if "one position in fifty" in each.name]
    leak = probed(planted(fault), ProbeOptions(length=64, cost=False)).causality.leak
    assert leak is not None
    assert (leak.output, leak.input, leak.method) == (17, 18, "gradients")
    assert 0 < leak.size < 0.1


class Looked(nn.Module):
    """A lookup by the largest of all inputs so far, without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, 2) -> (B, L, 3)."""
        first = x[..., 0].detach()
        shifted = nn.functional.pad(first, (6, 0))[:, : x.shape[1]]  # six inputs ago
        outputs: Tensor = self.table(x) * (shifted > 0)[..., None]
        return outputs


def test_what_has_no_gradient_is_seen_by_replacing() -> None:
    with seeded(7):
        found = probed(Looked())
    assert found.receptive_field == 7
    assert found.looks[-1].method == "replaced inputs"
    assert found.causal


class ByFourier(nn.Module):
    """A causal convolution with a kernel of twelve, by Fourier transforms with enough zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(3, 3)
        self.kernel = nn.Parameter(torch.rand(12, 3) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, 3) -> (B, L, 3)."""
        size = 2 * max(x.shape[1], 12)
        spectrum = torch.fft.rfft(self.enter(x), size, 1) * torch.fft.rfft(self.kernel, size, 0)
        features: Tensor = torch.fft.irfft(spectrum, size, 1)[:, : x.shape[1]]
        return features


def test_rounding_is_no_leak_and_no_past() -> None:
    with seeded(8):
        net = ByFourier()
    found = probed(net)
    assert 0 < found.causality.noise < 1e-12
    assert (found.receptive_field, found.faults) == (12, ())
    assert "what they move is rounding" in report(found)


def test_a_module_is_left_as_it_is() -> None:
    with seeded(7):
        net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert probed(net).faults == ()
    assert net.training
    assert net[1].training
    assert net[0].weight.dtype == torch.float32
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_same_seed_finds_the_same() -> None:
    net = planted(FAULTS[0])
    options = ProbeOptions(length=32, cost=False)
    assert probed(net, options) == probed(net, options)


def test_quadratic_and_linear_costs_are_distinguished() -> None:
    with seeded(5):
        square, line = WindowAttention(8, 2, None), Convolution(8, 3, 1)
    options = ProbeOptions(length=64)
    cost = probed(stack(square), options).cost
    assert (cost.time_grows, cost.memory_grows) == ("quadratically", "quadratically")
    cost = probed(stack(line), options).cost
    assert (cost.time_grows, cost.memory_grows) == ("linearly", "linearly")
    assert cost.lengths == (16, 32, 64)


class TwoInOne(nn.Module):
    """Reads ids, as code with its own table does, and returns a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(7, 4))

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        """(B, L) -> (B, L, 4)."""
        vectors = self.table[ids.long()]
        shifted = nn.functional.pad(vectors, (0, 0, 2, 0))[:, : ids.shape[1]]
        return {"ids": ids, "logits": vectors + shifted}


def test_ids_without_an_embedding_are_replaced() -> None:
    with seeded(6):
        net = TwoInOne()
    found = probe_network(net, source_of(Tokens(7), net), "net", QUICK)
    assert (found.receptive_field, found.faults) == (3, ())
    assert found.causality.methods == ("replaced inputs",)
    assert sum(found.influence) == pytest.approx(1)


def test_channels_first() -> None:
    with seeded(7):
        net = nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(3, 2, 3, dilation=2))
    found = probe_network(
        net, source_of(Features(3), net), "net", ProbeOptions(longest=128, time=2, cost=False)
    )
    assert (found.receptive_field, found.faults) == (5, ())


@pytest.mark.parametrize(
    ("module", "inputs", "says"),
    [
        (nn.Identity(), None, "no layer shows what it reads; give an example"),
        (nn.Linear(3, 2), torch.zeros(4), "there is no time axis"),
        (nn.Linear(3, 2), torch.zeros(2, 9, 4), "raised RuntimeError"),
        (nn.Sequential(nn.Linear(3, 3), nn.Flatten()), None, "it must return floats with one out"),
        (nn.Linear(3, 2), "ids", "give a tensor"),
    ],
)
def test_mistakes_are_explained(module: nn.Module, inputs: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        probe_network(module, source_of(inputs, module), "net", QUICK)  # type: ignore[arg-type]


def test_outputs_that_are_not_finite_are_an_error() -> None:
    class Bad(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / 0

    with seeded(7), pytest.raises(NotFiniteError, match="not finite"):
        probed(Bad(3, 2))


def test_inputs_given_are_what_is_read() -> None:
    source = source_of(torch.arange(12.0).reshape(2, 6, 1), nn.Identity())
    drawn = source.draw(5, 4, 0)
    assert set(drawn.flatten().tolist()) <= set(range(12))
    assert (drawn.diff(dim=1) % 12 == 1).all()
    assert (source.other(drawn, 1) != drawn).all()


def test_octaves_add_up() -> None:
    parts = [0.4, 0.3, 0.1, 0.1, 0.05, 0.05]
    assert [name for name, _ in by_octaves(parts)] == ["0", "1", "2–3", "4–5"]
    assert sum(share for _, share in by_octaves(parts)) == pytest.approx(1)
    assert by_octaves([]) == []
