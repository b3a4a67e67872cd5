"""Faults that the tests of the check inject into seqmem, as a commit might introduce them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines import backbone, recurrent, transformer
from seqmem.baselines import convolutions as causal
from seqmem.baselines.convolutions import CausalConv1d
from seqmem.baselines.dropout import Dropout
from seqmem.baselines.layers import readout_layer
from seqmem.baselines.recurrent import LSTM, Recurrent
from seqmem.baselines.stable import StableLSTM, StableRNN
from seqmem.baselines.training import batches
from seqmem.baselines.training import loop as training
from seqmem.baselines.training.batches import Batch
from seqmem.baselines.training.learner import Learner, Optimizer
from seqmem.baselines.transformer import WindowedAttention
from seqmem.tasks.model import State, detach

__all__ = ["FAULTS", "Fault", "learning_rate"]

MARKOV, ADDING, COPY = "hidden-markov/dwell=10", "adding-problem/T=20", "copy-memory/T=10"


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        inject: returns a context manager in which seqmem has the fault.
        cells: baselines and tasks on which the check must detect it.
    """

    inject: Callable[[], AbstractContextManager[Any]]
    cells: tuple[tuple[str, str], ...]


def _forget_gate_inverted() -> AbstractContextManager[Any]:
    def hidden(self: LSTM, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        layers, size = self.layers, self.layers.hidden_size
        sign = torch.ones(4 * size)
        sign[size : 2 * size] = -1.0  # sigmoid(−x) = 1 − sigmoid(x)
        weights = [p * (sign if p.ndim == 1 else sign[:, None]) for p in layers.parameters()]
        entered = self.enter(inputs)
        if state is None:
            state = (torch.zeros(1, len(entered), size),) * 2
        given = torch.lstm(entered, state, weights, True, 1, 0.0, False, False, True)
        return self.dropout(given[0]), given[1:]

    return patch.object(LSTM, "hidden", hidden)


def _state_not_carried() -> AbstractContextManager[Any]:
    usual = Recurrent.hidden

    def hidden(self: Recurrent, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        return usual(self, inputs, None)

    return patch.object(Recurrent, "hidden", hidden)


def _state_not_reset() -> AbstractContextManager[Any]:
    usual = Recurrent.hidden

    def hidden(self: Recurrent, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        left = getattr(self, "left", None)
        if state is None and left is not None and left[0] == len(inputs):
            state = left[1]
        features, state = usual(self, inputs, state)
        object.__setattr__(self, "left", (len(inputs), detach(state)))
        return features, state

    return patch.object(Recurrent, "hidden", hidden)


def _targets_off_by_one() -> AbstractContextManager[Any]:
    usual = batches._targets
    return patch.object(
        batches,
        "_targets",
        lambda split, starts, lengths, step: usual(
            split, starts, lengths, torch.clamp(step - 1, min=0)
        ),
    )


def _inputs_shifted_by_one() -> AbstractContextManager[Any]:
    usual = batches.batches

    def shifted(*arguments: Any) -> Iterator[Batch]:
        for batch in usual(*arguments):
            yield replace(batch, inputs=batch.inputs.roll(1, 1))

    return patch.object(training, "batches", shifted)


def _dilation_wrong() -> AbstractContextManager[Any]:
    usual = CausalConv1d.__init__

    def init(self: CausalConv1d, channels: int, outputs: int, kernel: int, dilation: int) -> None:
        usual(self, channels, outputs, kernel, 1)

    return patch.object(CausalConv1d, "__init__", init)


def _mask_off_by_one() -> AbstractContextManager[Any]:
    def attend(self: WindowedAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        keys = torch.arange(key.shape[2])
        queries = keys[-query.shape[2] :]
        distance = queries[:, None] - keys
        seen = ((distance >= -1) & (distance < self.width))[None, None]
        rotated = transformer._rotated
        return F.scaled_dot_product_attention(
            rotated(query, queries), rotated(key, keys), value, attn_mask=seen
        )

    return patch.object(WindowedAttention, "_attend", attend)


@contextmanager
def _projection_skipped() -> Iterator[None]:
    with (
        patch.object(StableRNN, "constrain", lambda self: None),
        patch.object(StableLSTM, "constrain", lambda self: None),
    ):
        yield


def _dropout_in_evaluation() -> AbstractContextManager[Any]:
    drawn = torch.Generator().manual_seed(0)

    def forward(self: Dropout, inputs: Tensor) -> Tensor:
        kept = torch.full_like(inputs, 1 - self.p).bernoulli(generator=drawn)
        return inputs * kept / (1 - self.p)

    return patch.object(Dropout, "forward", forward)


def learning_rate(times: float) -> Callable[[], AbstractContextManager[Any]]:
    usual = Optimizer.__init__

    def init(self: Optimizer, model: Any, recipe: Any, **options: Any) -> None:
        usual(self, model, replace(recipe, learning_rate=times * recipe.learning_rate), **options)

    return lambda: patch.object(Optimizer, "__init__", init)


@contextmanager
def _tying_lost() -> Iterator[None]:
    def untied(width: int, outputs: int, tie: object) -> nn.Linear:
        return readout_layer(width, outputs, None)

    with (
        patch.object(recurrent, "readout_layer", untied),
        patch.object(causal, "readout_layer", untied),
        patch.object(backbone, "readout_layer", untied),
    ):
        yield


def _gradients_left_over() -> AbstractContextManager[Any]:
    return patch.object(Optimizer, "zero_grad", lambda self: None)


def _segments_without_gradient_of_the_layer() -> AbstractContextManager[Any]:
    usual = Learner._read

    def read(self: Learner, batch: Batch, state: State) -> tuple[Tensor, State]:
        features, state = usual(self, batch, state)
        return features.detach().requires_grad_(), state

    return patch.object(Learner, "_read", read)


FAULTS: Mapping[str, Fault] = {
    "forget gate inverted": Fault(
        _forget_gate_inverted, (("lstm", MARKOV), ("lstm", ADDING), ("lstm", COPY))
    ),
    "gradient clipped before the backward pass": Fault(
        lambda: patch.object(Optimizer, "_clip", lambda self: 1.0),
        (("lstm", COPY), ("gru", COPY), ("tcn", COPY)),
    ),
    "state not carried": Fault(_state_not_carried, (("lstm", MARKOV), ("gru", MARKOV))),
    "state not reset": Fault(_state_not_reset, (("lstm", MARKOV), ("gru", ADDING))),
    "targets off by one": Fault(_targets_off_by_one, (("lstm", MARKOV), ("tcn", MARKOV))),
    "dilation wrong": Fault(_dilation_wrong, (("tcn", ADDING), ("tcn", COPY), ("wavenet", ADDING))),
    "mask off by one": Fault(_mask_off_by_one, (("transformer", MARKOV),)),
    "projection skipped": Fault(
        _projection_skipped,
        tuple((f"{kind}-stable", task) for kind in ("lstm", "rnn") for task in (MARKOV, ADDING)),
    ),
    "dropout left on in evaluation": Fault(
        _dropout_in_evaluation, (("lstm", MARKOV), ("tcn", MARKOV), ("gru", MARKOV))
    ),
    "inputs shifted by one": Fault(_inputs_shifted_by_one, (("lstm", MARKOV), ("lstm", ADDING))),
    "learning rate ten times too large": Fault(
        learning_rate(10), (("lstm", MARKOV), ("lstm", ADDING), ("tcn", ADDING))
    ),
    "weight tying lost": Fault(_tying_lost, (("lstm", MARKOV), ("gru", MARKOV), ("tcn", MARKOV))),
    "forget gate's bias lost": Fault(
        lambda: patch.object(LSTM, "start", lambda self: None), (("lstm", MARKOV), ("lstm", ADDING))
    ),
    "gradients left over": Fault(_gradients_left_over, (("lstm", MARKOV), ("lstm", ADDING))),
    "layer not trained": Fault(
        _segments_without_gradient_of_the_layer, (("lstm", MARKOV), ("gru", ADDING))
    ),
    "learning rate three times too small": Fault(
        learning_rate(1 / 3), (("lstm", MARKOV), ("lstm", ADDING))
    ),
}
