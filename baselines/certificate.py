"""The certificate: a context length that provably suffices for a recurrent network.

Compare two runs of a network: one reads an unlimited past, the other only the k latest inputs from
the zero state. Both read the same k inputs at the end and differ only in the state before them:
zero in one, within the radius R of zero in the other. `stable.py` derives how one step changes a
difference e of two states, e' = A e, for the tanh-RNN (one number, Euclidean norm) and for the LSTM
(one number each for cell and hidden state, maximum norm). Layers form a cascade: layer l > 1 reads
the new state of the layer below, which differs as well, so that

    e'_l = A_l e_l + g_l e'_(l−1),     e = R before the first of the k inputs,

where g_l bounds the effect of a difference of its inputs in one step. No difference exceeds 2 R.
After k steps the last entry of e bounds the difference of the top layer's features. With one tanh
layer this is λ^k R: the truncation theorem of Miller & Hardt (arXiv 1805.10369) with
R = (‖U‖ B + ‖b‖)/(1 − λ) for inputs of norm at most B, or √d, the norm of d ones, if that is less.

All constants are computed in double precision from the actual weights. A certificate is therefore
sharper than the set that `stable.py` projects onto, and every network that satisfies the conditions
has one. It holds for exact arithmetic in evaluation mode; in single precision, rounding errors add
a difference of about 1e-7/(1 − λ).
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from seqmem.baselines.recurrent import LSTM, RNN
from seqmem.baselines.stable import SLOWEST
from seqmem.errors import InputError
from seqmem.tasks.model import SequenceModel

__all__ = [
    "OUTPUT_ERROR",
    "Certificate",
    "LayerBounds",
    "certificate",
    "guaranteed_context_facts",
]

FEATURE_BOUND = 1.0  # largest absolute value of the tasks' features, which lie in [0, 1]
OUTPUT_ERROR = 0.01  # largest error of any output at a record's guaranteed context


@dataclass(frozen=True)
class LayerBounds:
    """Bounds of how one step of one layer changes a difference of two states with n parts.

    Attributes:
        rate: λ, the contraction factor of one step: the spectral radius of `matrix`.
        matrix: (n, n) A, the effect of a difference in each part on each part.
        gain: (n,) g, the effect of a difference of the inputs on each part.
        radius: (n,) R, the largest norm of each part of a state; the last part is the output.
    """

    rate: float
    matrix: tuple[tuple[float, ...], ...]
    gain: tuple[float, ...]
    radius: tuple[float, ...]


@dataclass(frozen=True)
class Certificate:
    """A proof that a network forgets, in numbers.

    Attributes:
        norm: the norm of features and of parts of a state: "euclidean" for the RNN, "maximum" for
            the LSTM.
        layers: the bounds of each layer, the first one first.
        readout: the largest change of any output for a change of the features by 1 in `norm`. A
            cross-entropy changes at most twice as much as the outputs, a binary cross-entropy over
            D keys at most D times as much.
    """

    norm: Literal["euclidean", "maximum"]
    layers: tuple[LayerBounds, ...]
    readout: float

    @property
    def rate(self) -> float:
        """The asymptotic factor of the bound from step to step."""
        return max(layer.rate for layer in self.layers)

    def bound(self, k: int) -> float:
        """Return a bound of the norm of the top features' difference between context k and full."""
        errors = self._radius()
        for _ in range(k):
            errors = _cascade(self.layers, errors)
        return errors[-1]

    def guaranteed_context(self, error: float) -> int:
        """Return the smallest k from which on `bound` stays at or below an error.

        For a single tanh layer this is log(R/error) / log(1/λ), rounded up. For outputs that differ
        by at most δ, use error = δ / readout.

        Args:
            error: of the top layer's features, in `norm`; above 0.

        Raises:
            InputError: the error is not above 0.
        """
        if not 0 < error < math.inf:
            raise InputError(f"error={error} is not above 0; no context guarantees it")
        errors = self._radius()
        k = guaranteed = 1
        while True:
            errors, before = _cascade(self.layers, errors), errors
            if errors[-1] > error:
                guaranteed = k + 1
            # A step is monotone in the errors: once all parts decrease, they always decrease.
            elif all(now <= then for now, then in zip(errors, before, strict=True)):
                return guaranteed
            k += 1

    def _radius(self) -> list[float]:
        return [bound for layer in self.layers for bound in layer.radius]


def certificate(model: SequenceModel) -> Certificate:
    """Return the proof, from its weights, that a recurrent network forgets.

    It assumes that features lie in [−1, 1]; the bound of an embedding is computed from its weights.

    Raises:
        InputError: the model is of another kind, or its weights do not contract.
    """
    name = type(model).__name__
    if not isinstance(model, RNN | LSTM):
        raise InputError(
            f"no certificate for {name}: it exists only for networks of tanh or LSTM layers; "
            "train rnn-stable or lstm-stable"
        )
    layers: list[LayerBounds] = []
    with torch.no_grad():
        bounds = _rnn_layer if isinstance(model, RNN) else _lstm_layer
        for index in range(model.layers.num_layers):
            entering = layers[-1].radius[-1] if layers else _input_bound(model)
            layer = bounds(model.layers, index, entering)
            if layer is None:
                raise InputError(
                    f"no certificate for this {name}: layer {index + 1} need not contract; "
                    "train rnn-stable or lstm-stable, which are constrained to contract"
                )
            layers.append(layer)
        readout = model.leave.weight.double()
        euclidean = isinstance(model, RNN)
        largest = float(readout.norm(2 if euclidean else 1, dim=1).max())
    return Certificate("euclidean" if euclidean else "maximum", tuple(layers), largest)


def guaranteed_context_facts(model: SequenceModel) -> Mapping[str, float] | None:
    """Return the part of a model's certificate that its record stores; None without certificate.

    ``rate`` is λ; from ``promised_k`` inputs on, no output differs by more than ``output_error``
    from its value with the full context.
    """
    try:
        proof = certificate(model)
    except InputError:
        return None
    # With a readout of zeros the outputs do not depend on the features.
    error = min(OUTPUT_ERROR / proof.readout if proof.readout else math.inf, sys.float_info.max)
    return {
        "rate": proof.rate,
        "promised_k": proof.guaranteed_context(error),
        "output_error": OUTPUT_ERROR,
    }


def _input_bound(model: RNN | LSTM) -> float:
    """Return a bound of the first layer's inputs, in the norm of the model's certificate."""
    order = 2 if isinstance(model, RNN) else math.inf
    if model.enter.embedding is None:
        return float(torch.full((model.enter.width,), FEATURE_BOUND).double().norm(order))
    return float(model.enter.embedding.weight.double().norm(order, dim=1).max())


def _rnn_layer(layers: nn.Module, index: int, entering: float) -> LayerBounds | None:
    """Return the bounds of a tanh layer with inputs of a Euclidean norm up to `entering`.

    None if it need not contract.
    """
    recurrent, inputs, bias = _weights(layers, index)
    rate = float(torch.linalg.matrix_norm(recurrent, 2))
    if not rate < SLOWEST:  # true for NaN as well
        return None
    gain = float(torch.linalg.matrix_norm(inputs, 2))
    radius = (gain * entering + float(bias.norm())) / (1 - rate)
    return LayerBounds(rate, ((rate,),), (gain,), (min(radius, math.sqrt(len(bias))),))


def _lstm_layer(layers: nn.Module, index: int, entering: float) -> LayerBounds | None:
    """Return the bounds of an LSTM layer with inputs within ±`entering`.

    None if it need not contract.
    """
    recurrent, inputs, bias = _weights(layers, index)
    w_i, w_f, w_z, w_o = recurrent.abs().sum(1).chunk(4)  # ℓ1 norms of rows, in torch's order
    u_i, u_f, u_z, u_o = inputs.abs().sum(1).chunk(4)
    forget = torch.sigmoid(w_f + entering * u_f + bias.chunk(4)[1])  # (hidden,)
    cell = 1 / (1 - forget)
    f, c = float(forget.max()), float(cell.max())
    a = float((w_i / 4 + w_z + cell * w_f / 4).max())
    w = float(w_o.max()) / 4
    gain = float((u_i / 4 + u_z + cell * u_f / 4).max())
    # The spectral radius of ((f, a), (f, a + w)).
    both = f + a + w
    rate = (both + math.sqrt(both**2 - 4 * f * w)) / 2
    if not rate < SLOWEST:  # true for NaN as well
        return None
    gains = (gain, gain + float(u_o.max()) / 4)
    return LayerBounds(rate, ((f, a), (f, a + w)), gains, (c, math.tanh(c)))


def _weights(layers: nn.Module, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the recurrent matrix, input matrix and summed biases of one layer, as doubles."""
    names = ("weight_hh", "weight_ih", "bias_hh", "bias_ih")
    recurrent, inputs, *biases = (getattr(layers, f"{name}_l{index}").double() for name in names)
    return recurrent, inputs, biases[0] + biases[1]


def _cascade(layers: Sequence[LayerBounds], errors: Sequence[float]) -> list[float]:
    """Return the bounds of all parts of a state's difference, layer by layer, one step later."""
    after: list[float] = []
    entering = 0.0  # both runs read the same inputs
    start = 0
    for layer in layers:
        own = errors[start : start + len(layer.gain)]
        for row, gain, radius in zip(layer.matrix, layer.gain, layer.radius, strict=True):
            error = sum(factor * each for factor, each in zip(row, own, strict=True))
            # Two states within the radius are at most twice the radius apart.
            after.append(min(error + gain * entering, 2 * radius))
        entering = after[-1]
        start += len(own)
    return after
