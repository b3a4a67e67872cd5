"""Equivalent forms of the baselines that the ONNX exporter can write for all lengths.

The exporter traces a model once, at one length, and writes the operations that it saw. A loop over
time becomes as many copies of a step as there were inputs, and a condition on the length becomes
the branch taken. A copy of such a model is changed here: recurrent layers become ONNX operators,
other recurrences one step in ONNX's Scan, and attention reads all keys at once, in time and memory
O(L²).

Models with state are written with it: each tensor of the state is one of the file's states, of
shape (layers, B, size).
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from seqmem.baselines.awd_lstm import AWDLSTM
from seqmem.baselines.echo_state import EchoState, Reservoir
from seqmem.baselines.lru import LRU
from seqmem.baselines.ngram import KneserNey
from seqmem.baselines.recurrence import Recurrence
from seqmem.baselines.recurrent import Recurrent
from seqmem.baselines.s4d import StateSpaces
from seqmem.baselines.seq2seq import Seq2Seq
from seqmem.baselines.source_target import SourceTarget
from seqmem.baselines.transformer import WindowedAttention
from seqmem.errors import InputError
from seqmem.tasks.model import SequenceModel, State

__all__ = ["exportable"]

SATURATED = 50.0  # sigmoid is 1 there in 32 bits, and 2e-22 at its negative


def exportable(model: SequenceModel) -> SequenceModel:
    """Return a copy, in evaluation mode on the CPU, that computes the same and can be exported.

    With state it needs one from the start on; a complex number of a state is two floats there.

    Raises:
        InputError: the model cannot be written as ONNX.
    """
    if isinstance(model, KneserNey):
        raise InputError(
            "kneser-ney cannot be written as ONNX: it looks n-grams up in sorted tables, for which "
            "ONNX has no operator; submit its weights.safetensors"
        )
    if isinstance(model, SourceTarget):
        name = "seq2seq" if isinstance(model, Seq2Seq) else "conv-s2s"
        raise InputError(
            f"{name} cannot be written as ONNX: where a source ends depends on the ids, and so do "
            "the shapes of what it computes, which the file would fix; submit its "
            "weights.safetensors"
        )
    form = copy.deepcopy(model).cpu().float().eval()
    for part in list(form.modules()):
        if isinstance(part, WindowedAttention):
            part.block = 1 << 40  # so that any number of queries is in the first block
        elif isinstance(recurrence := getattr(part, "recurrence", None), Recurrence):
            setattr(part, "recurrence", _StepByStep(recurrence))  # noqa: B010 - of another type
    if isinstance(form, Recurrent):
        setattr(form, "layers", _RecurrentLayers(form.layers))  # noqa: B010 - replaces torch's
    if isinstance(form, AWDLSTM):
        for i, layer in enumerate(form.layers):
            assert isinstance(layer, nn.LSTM)
            form.layers[i] = _RecurrentLayers(layer)
    if isinstance(form, EchoState):
        setattr(form, "reservoir", _ExportedReservoir(form.reservoir))  # noqa: B010
    if isinstance(form, LRU):  # and S4D, which has the same blocks
        for block in form.blocks:
            own = block.get_submodule("recurrence")
            if isinstance(own, StateSpaces):
                block.recurrence = _ExportedSpaces(own)
            else:
                block.recurrence = _ExportedLinearRecurrence(own)
    return form


@dataclass(frozen=True)
class _Operator:
    """The ONNX operator for a recurrent layer of torch.

    Attributes:
        name: the operator's name.
        gates: the indices of torch's gates in the order of ONNX.
        settings: the operator's attributes.
        states: the number of its states.
    """

    name: str
    gates: tuple[int, ...]
    settings: Mapping[str, Any]
    states: int = 1


_OPERATORS: Mapping[type[nn.Module], _Operator] = {
    nn.RNN: _Operator("RNN", (0,), {"activations": ["Tanh"]}),
    nn.GRU: _Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),  # r z n -> z r n
    nn.LSTM: _Operator("LSTM", (0, 3, 1, 2), {}, states=2),  # i f z o -> i o f z
}
# h_t = W x_t + R h_{t−1}: ONNX has the identity as Affine with slope 1.
_LINEAR = _Operator(
    "RNN", (0,), {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}
)


class _Recurrence(nn.Module):
    """One recurrent layer; it runs in the exported graph only."""

    weight: Tensor  # (1, gates H, D)
    recurrent: Tensor  # (1, gates H, H)
    bias: Tensor  # (1, 2 gates H), first for the inputs, then for the state

    def __init__(
        self,
        operator: _Operator,
        weight: Tensor,
        recurrent: Tensor,
        biases: tuple[Tensor, Tensor],
    ) -> None:
        """Convert the weights from torch's order of gates to the operator's."""
        super().__init__()

        def ordered(rows: Tensor) -> Tensor:
            parts = rows.detach().chunk(len(operator.gates))
            return torch.cat([parts[gate] for gate in operator.gates])

        self.register_buffer("weight", ordered(weight)[None])
        self.register_buffer("recurrent", ordered(recurrent)[None])
        self.register_buffer("bias", torch.cat([ordered(bias) for bias in biases])[None])
        self.operator = operator

    def forward(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(B, L, D), states (1, B, H) -> (B, L, H), and the states after the inputs."""
        batch, length, _ = inputs.shape
        hidden = self.recurrent.shape[2]
        every, *after = torch.onnx.ops.symbolic_multi_out(
            self.operator.name,
            (
                inputs.transpose(0, 1),
                self.weight,
                self.recurrent,
                self.bias,
                None,  # all inputs of all sequences are read
                *states,
            ),
            {"hidden_size": hidden, **self.operator.settings},
            dtypes=[inputs.dtype] * (1 + len(states)),
            shapes=[(length, 1, batch, hidden), *[(1, batch, hidden)] * len(states)],
        )
        return every.squeeze(1).transpose(0, 1), *after


class _RecurrentLayers(nn.Module):
    """Stacked recurrent layers."""

    def __init__(self, layers: nn.RNNBase) -> None:
        super().__init__()
        operator = _OPERATORS[type(layers)]
        self.each = nn.ModuleList(
            _Recurrence(operator, weight, recurrent, (bias, other))
            for weight, recurrent, bias, other in layers.all_weights
        )
        self.states = operator.states

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, L, D), and a state of torch's layers -> (B, L, H), and the state after them."""
        given = state if self.states > 1 else (state,)
        after = []
        for i, layer in enumerate(self.each):
            features, *own = layer(features, [part[i : i + 1] for part in given])
            after.append(own)
        joined = tuple(torch.cat(parts) for parts in zip(*after, strict=True))
        return features, joined if self.states > 1 else joined[0]


class _ExportedReservoir(nn.Module):
    """Leaky tanh units as gated ones (`GRU`) whose gates are constant.

    The reset gate is 1, and the update gate is the share of the state that is kept.
    """

    def __init__(self, reservoir: Reservoir) -> None:
        super().__init__()
        recurrent = reservoir.recurrent
        units = len(recurrent)
        zeros, ones = torch.zeros_like(recurrent), torch.ones(units)
        kept = torch.logit(torch.tensor(1.0 - reservoir.leak, dtype=torch.float64))
        bias = torch.cat([SATURATED * ones, kept.clamp(-SATURATED) * ones, 0 * ones]).float()
        self.states = _Recurrence(
            _OPERATORS[nn.GRU],
            torch.cat([zeros, zeros, torch.eye(units)]),
            torch.cat([zeros, zeros, recurrent]),
            (bias, torch.zeros_like(bias)),
        )

    def forward(self, driven: Tensor, state: Tensor) -> Tensor:
        """As for `Reservoir`."""
        states: Tensor = self.states(driven, [state])[0]
        return states


class _StepByStep(nn.Module):
    """A recurrence as a loop over its step."""

    def __init__(self, recurrence: Recurrence) -> None:
        super().__init__()
        self.recurrence = recurrence

    def forward(
        self, state: tuple[Tensor, ...], inputs: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Inputs (B, L, …) -> outputs (B, L, …), and the state after them."""

        def step(
            before: tuple[Tensor, ...], own: tuple[Tensor, ...]
        ) -> tuple[tuple[Tensor, ...], Tensor]:
            output, after = self.recurrence.step(before, own)
            return after, output

        # A copy: an operand may not be a view of another.
        of_time = tuple(part.transpose(0, 1).contiguous() for part in inputs)
        after, outputs = scan(step, tuple(part.clone() for part in state), of_time)
        return outputs.transpose(0, 1), after


class _ExportedLinearRecurrence(nn.Module):
    """The recurrence of an LRU block, with complex numbers as pairs of real and imaginary parts.

    The matrix R of the linear layer rotates and scales each pair. It is block-diagonal, but stored
    as a dense matrix, so that a step takes 4 N² products instead of 4 N.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        own = dict(block.named_parameters())
        with torch.no_grad():
            decay = torch.polar((-own["log_decay"].exp()).exp(), own["log_phase"].exp())  # (N,)
            pairs = torch.stack([decay.real, -decay.imag, decay.imag, decay.real], 1)
            turn = torch.block_diag(*pairs.view(-1, 2, 2))  # (2 N, 2 N)
            weights = own["read"] * own["log_scale"].exp()[:, None, None]  # (N, 2, hidden)
        none = torch.zeros(len(turn))
        self.states = _Recurrence(_LINEAR, weights.flatten(0, 1), turn, (none, none))
        self.write = nn.Parameter(own["write"].flatten(1))  # (hidden, 2 N)
        self.skip = own["skip"]

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, hidden), (B, 2 N) -> (B, L, hidden), and the state after them (B, 2 N)."""
        states, after = self.states(inputs, [state[None]])
        return F.linear(states, self.write) + self.skip * inputs, after[0]


class _ExportedSpaces(nn.Module):
    """The state spaces of an S4D block, step by step, with pairs of floats for complex numbers."""

    def __init__(self, spaces: StateSpaces) -> None:
        super().__init__()
        with torch.no_grad():
            powers, read, write = spaces.discrete(1)
        parts = {"kept": powers[..., 1], "read": read, "write": write}
        for name, value in parts.items():
            self.register_buffer(name, torch.stack([value.real, value.imag]).detach())  # (2, H, N)
        self.skip = spaces.skip

    def forward(self, inputs: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, H), (B, 2 H N) -> (B, L, H), and the state after them (B, 2 H N)."""
        kept, read, write = (self.get_buffer(name) for name in ("kept", "read", "write"))

        def step(before: tuple[Tensor, Tensor], u: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
            real, imaginary = before  # (B, H, N)
            after = (
                kept[0] * real - kept[1] * imaginary + read[0] * u[..., None],
                kept[0] * imaginary + kept[1] * real + read[1] * u[..., None],
            )
            return after, 2 * (write[0] * after[0] - write[1] * after[1]).sum(-1)

        parts = state.unflatten(1, (2, *kept[0].shape)).unbind(1)
        before = (parts[0].clone(), parts[1].clone())  # an operand may not be a view of another
        after, outputs = scan(step, before, inputs.transpose(0, 1).contiguous())
        return outputs.transpose(0, 1) + self.skip * inputs, torch.stack(after, 1).flatten(1)
