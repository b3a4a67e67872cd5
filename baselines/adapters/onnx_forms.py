"""Forms of the baselines that ONNX can say: the same function, written for the exporter.

The exporter traces a model once, at one length, and writes what it saw. A loop over time becomes as
many copies of a step as there were inputs, and a choice by length becomes the branch that was
taken. Models that have such are changed here, in a copy.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.ngram import KneserNey
from seqmem.baselines.state_space import LRU
from seqmem.baselines.transformer import WindowedAttention
from seqmem.errors import InputError
from seqmem.tasks.model import SequenceModel, State

__all__ = ["exportable"]


def exportable(model: SequenceModel) -> SequenceModel:
    """Give a copy, in evaluation mode on the CPU, that computes the same and can be exported.

    Raises:
        InputError: the model cannot be written as ONNX.
    """
    if isinstance(model, KneserNey):
        raise InputError(
            "kneser-ney cannot be written as ONNX: it looks n-grams up in sorted tables, for which "
            "ONNX has no operator; submit its weights.safetensors"
        )
    form = copy.deepcopy(model).cpu().float().eval()
    for part in form.modules():
        if isinstance(part, WindowedAttention):
            part.block = 1 << 40  # all queries in the first block, however many there are
    layers = getattr(form, "layers", None)
    if isinstance(layers, nn.RNN):
        form.layers = _Tanh(layers)
    if isinstance(form, LRU):
        for block in form.blocks:
            block.recurrence = _Linear(block.get_submodule("recurrence"))
    return form


class _Recurrence(nn.Module):
    """ONNX's operator RNN, h_t = f(W x_t + R h_{t−1} + b) from h = 0; runs in the graph only."""

    weight: Tensor  # (1, H, D)
    recurrent: Tensor  # (1, H, H)
    bias: Tensor  # (1, 2 H)

    def __init__(
        self, weight: Tensor, recurrent: Tensor, bias: Tensor, function: Mapping[str, Any]
    ) -> None:
        """Take W (H, D), R (H, H), b (H,), and what f is."""
        super().__init__()
        self.register_buffer("weight", weight.detach()[None].contiguous())
        self.register_buffer("recurrent", recurrent.detach()[None].contiguous())
        # The operator adds a second bias, for the state.
        self.register_buffer("bias", F.pad(bias.detach(), (0, len(bias)))[None])
        self.attributes = {"hidden_size": len(bias), **function}

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, H)."""
        batch, length, _ = inputs.shape
        states: Tensor = torch.onnx.ops.symbolic(
            "RNN",
            (inputs.transpose(0, 1), self.weight, self.recurrent, self.bias),
            self.attributes,
            dtype=inputs.dtype,
            shape=(length, 1, batch, self.recurrent.shape[1]),
        )
        return states.squeeze(1).transpose(0, 1)


class _Tanh(nn.Module):
    """Layers of a tanh network."""

    def __init__(self, layers: nn.RNN) -> None:
        super().__init__()
        weights = [[getattr(layers, name) for name in names] for names in layers._all_weights]
        self.each = nn.ModuleList(
            _Recurrence(weight, recurrent, bias + other, {"activations": ["Tanh"]})
            for weight, recurrent, bias, other in weights
        )

    def forward(self, features: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, D) -> (B, L, H); the state is not given back."""
        for layer in self.each:
            features = layer(features)
        return features, None


class _Linear(nn.Module):
    """The recurrence of an LRU's block, each complex number as its real and imaginary part.

    In ONNX it is an RNN whose f is the identity (Affine with slope 1). R is block-diagonal: it
    turns and shrinks each pair of numbers. As a full matrix it costs 4 N² a step instead of 4 N.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        own = dict(block.named_parameters())
        with torch.no_grad():
            decay = torch.polar((-own["log_decay"].exp()).exp(), own["log_phase"].exp())  # (N,)
            pairs = torch.stack([decay.real, -decay.imag, decay.imag, decay.real], 1)
            turn = torch.block_diag(*pairs.view(-1, 2, 2))  # (2 N, 2 N)
            weights = own["read"] * own["log_scale"].exp()[:, None, None]  # (N, 2, hidden)
        linear = {"activations": ["Affine"], "activation_alpha": [1.0], "activation_beta": [0.0]}
        self.states = _Recurrence(weights.flatten(0, 1), turn, torch.zeros(len(turn)), linear)
        self.write = nn.Parameter(own["write"].flatten(1))  # (hidden, 2 N)
        self.skip = own["skip"]

    def forward(self, inputs: Tensor, state: State = None) -> tuple[Tensor, Tensor]:
        """(B, L, hidden) -> (B, L, hidden), and the state behind them (B, 2 N)."""
        states: Tensor = self.states(inputs)
        return F.linear(states, self.write) + self.skip * inputs, states[:, -1]
