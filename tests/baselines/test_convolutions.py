"""Stacks of causal convolutions: receptive fields, equations and state sizes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqmem.baselines.convolutions import CausalConv1d, Stack, fit_stack
from seqmem.baselines.gcnn import GCNN
from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.wavenet import WaveNet
from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Features

SIZES = {
    "context": st.integers(1, 1200),
    "kernel": st.integers(2, 7),
    "convolutions": st.integers(1, 3),
    "growth": st.integers(1, 3),
}


@settings(deadline=None)
@given(**SIZES)
def test_the_least_field_that_covers(
    context: int, kernel: int, convolutions: int, growth: int
) -> None:
    stack = fit_stack(context, True, kernel=kernel, convolutions=convolutions, growth=growth)
    assert stack.kernel == kernel
    assert stack.receptive_field >= context
    fewer = Stack(kernel, stack.levels - 1, convolutions, growth)
    assert stack.levels == 1 or fewer.receptive_field < context


@settings(deadline=None)
@given(**SIZES)
def test_the_largest_field_within(
    context: int, kernel: int, convolutions: int, growth: int
) -> None:
    stack = fit_stack(context, False, kernel=kernel, convolutions=convolutions, growth=growth)
    assert stack.receptive_field <= context
    if stack.kernel == kernel:
        more = Stack(kernel, stack.levels + 1, convolutions, growth)
    else:  # one level of the requested kernel would exceed it, and so would one more tap
        assert Stack(kernel, 1, convolutions, growth).receptive_field > context
        more = Stack(stack.kernel + 1, 1, convolutions, growth)
    assert more.receptive_field > context


@pytest.mark.parametrize("name", ["tcn", "gcnn", "wavenet"])
def test_a_kernel_of_width_one_covers_nothing(name: str) -> None:
    task = load_task("copy-memory/T=5")
    with pytest.raises(InputError, match="kernel=1 never sees 16 inputs"):
        build_model(parse_model(f"{name}:kernel=1"), task, "full", {})


def test_receptive_fields_are_those_of_the_papers() -> None:
    with seeded(0):
        for n in (1, 3, 9):
            gated = GCNN(Features(2), 1, context=1, hidden=2, levels=n)
            assert gated.receptive_field == 1 + 3 * (2**n - 1)
            # Dauphin et al.: kernels of 4, not dilated.
            plain = GCNN(Features(2), 1, context=1, hidden=2, levels=n, dilation=1)
            assert plain.receptive_field == 1 + 3 * n
            wavenet = WaveNet(Features(2), 1, context=1, hidden=2, levels=n)
            assert wavenet.receptive_field == 2**n


@pytest.mark.parametrize("text", ["tcn", "gcnn", "gcnn:dilation=1", "wavenet", "wavenet:kernel=3"])
def test_state_is_what_the_convolutions_read(text: str) -> None:
    """The past inputs of each convolution are found from its gradient."""
    task = load_task("adding-problem/T=20")
    with seeded(0):
        model, _ = build_model(parse_model(text), task, "full", {"hidden": 3})
    reads: list[tuple[int, int]] = []  # inputs before the current one, channels

    def look(_: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        (gradient,) = torch.autograd.grad(outputs[..., -1].sum(), inputs[0], retain_graph=True)
        used = gradient.abs().sum((0, 1)).nonzero().flatten()
        reads.append((gradient.shape[2] - 1 - int(used[0]), gradient.shape[1]))

    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv1d)]
    for part in convolutions:
        part.register_forward_hook(look)
    with seeded(1):
        model(torch.randn(4, 60, 2).requires_grad_())
    assert len(reads) == len(convolutions)
    assert max(past for past, _ in reads) > 2
    for context in (1, 4, 60):
        expected = sum(min(past, context) * channels for past, channels in reads)
        assert model.state_size(context) == expected


def taps(inputs: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """Return a causal convolution (channels, L) -> (outputs, L), computed tap by tap."""
    length, kernel = inputs.shape[1], weight.shape[2]
    outputs = bias[:, None].repeat(1, length)
    for now in range(length):
        for tap in range(kernel):
            then = now - (kernel - 1 - tap) * dilation
            if then >= 0:
                outputs[:, now] += weight[:, :, tap] @ inputs[:, then]
    return outputs


def small_model(kind: type[GCNN] | type[WaveNet]) -> tuple[SequenceModel, Tensor]:
    """Return a model of three levels with five channels, and 20 inputs (20, 2)."""
    with seeded(4):
        model = kind(Features(2), 3, context=1, hidden=5, levels=3).eval()
        return model, torch.randn(20, 2)


@torch.no_grad()
def test_gcnn_computes_its_equations() -> None:
    model, inputs = small_model(GCNN)
    at = dict(model.named_modules())
    features = inputs.T
    for level in range(3):
        gated = at[f"blocks.{level}.gated"]
        assert isinstance(gated, nn.Conv1d)
        assert gated.bias is not None
        linear, gate = taps(features, gated.weight, gated.bias, 2**level).split(5)
        if level == 0:
            match = at["blocks.0.match"]
            assert isinstance(match, nn.Conv1d)
            features = match(features)
        features = features + linear * torch.sigmoid(gate)
    torch.testing.assert_close(model(inputs[None])[0], model.readout(features.T))


@torch.no_grad()
def test_wavenet_computes_its_equations() -> None:
    model, inputs = small_model(WaveNet)
    at = {name: part for name, part in model.named_modules() if isinstance(part, nn.Conv1d)}
    features, skipped = at["blocks.match"](inputs.T), torch.zeros(5, 20)
    for level in range(3):
        gate = at[f"blocks.gates.{level}.convolution"]
        assert gate.bias is not None
        both = taps(features, gate.weight, gate.bias, 2**level)
        gated = torch.tanh(both[:5]) * torch.sigmoid(both[5:])
        skipped = skipped + at[f"blocks.skips.{level}"](gated)
        if level < 2:
            features = features + at[f"blocks.residuals.{level}"](gated)
    expected = F.relu(at["blocks.mix"](F.relu(skipped)))
    torch.testing.assert_close(model(inputs[None])[0], model.readout(expected.T))


@pytest.mark.parametrize("text", ["tcn", "gcnn", "wavenet"])
@pytest.mark.parametrize("task_id", ["copy-memory/T=5", "adding-problem/T=5"])
def test_with_autocast_all_activations_are_in_bfloat16(text: str, task_id: str) -> None:
    """A residual connection in float32 would make every convolution round its inputs again."""
    task = load_task(task_id)
    with seeded(0):
        model, _ = build_model(parse_model(f"{text}:hidden=6"), task, "full", {})
    read: list[torch.dtype] = []
    for part in model.modules():
        if isinstance(part, CausalConv1d):
            part.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        features, _ = model.hidden(task.train(0, 0).inputs[None, :12])
    assert set(read) == {features.dtype} == {torch.bfloat16}
    read.clear()
    assert model.hidden(task.train(0, 0).inputs[None, :12])[0].dtype == torch.float32
    assert set(read) == {torch.float32}
