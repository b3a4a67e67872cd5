"""The certificate: a context length that provably suffices for a recurrent network.

Compare two runs of a network: one reads an unlimited past, the other only the k latest inputs from
the zero state. Both read the same k inputs at the end and differ only in the state before them:
zero in one, within the radius R of zero in the other. One step of a layer changes a difference e of
two states to at most e' = A e + g x, where x is that of its inputs. Layers form a cascade: layer
l > 1 reads the new state of the layer below, which differs as well, so that

    e'_l = A_l e_l + g_l x,     x of layer l: the largest output part of e'_(l−1),

and e = R before the first of the k inputs. No difference exceeds 2 R. After k steps the output
parts of e bound the difference of the top layer's features.

**RNN**, in the Euclidean norm: e is one number and A is λ = ‖W‖₂. With one layer the bound is
λ^k R: the truncation theorem of Miller & Hardt (arXiv 1805.10369) with R = (‖U‖ B + ‖b‖)/(1 − λ)
for inputs of norm at most B, or √d, the norm of d ones, if that is less.

**LSTM**, in the maximum norm: e has a number for each unit's cell and hidden state, since the
argument of `stable.py` holds row by row. With the largest value of each gate of a unit for the
network's own inputs (i, f, o and |z| ≤ z; for ids, of all rows of the embedding), |c| ≤ C =
i z/(1 − f), and elementwise products of rows of recurrent weights,

    δc' ≤ f δc + (z |W_i|/4 + i |W_z| + C |W_f|/4) δh
    δh' ≤ o δc' + (tanh(C) |W_o|/4) δh

The network forgets if the spectral radius of this matrix is below 1: then some weights of the units
exist in whose maximum norm every step contracts. Every network inside the set of `stable.py` has
row sums of at most λ, which bound that radius.

All constants are computed in double precision from the actual weights. It holds for exact
arithmetic in evaluation mode; in single precision, rounding errors add a difference of about
1e-7/(1 − λ).
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
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

OUTPUT_ERROR = 0.01  # largest error of any output at a record's guaranteed context
WORDS = 1 << 13  # rows of an embedding that are multiplied at once

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerBounds:
    """Bounds of how one step of one layer changes a difference of two states with n parts.

    Attributes:
        rate: λ, the asymptotic contraction factor of a step: the spectral radius of `matrix`.
        matrix: (n, n) A, the effect of a difference in each part on each part.
        gain: (n,) g, the effect of a difference of the inputs on each part.
        radius: (n,) R, the largest norm of each part of a state.
        outputs: how many parts, the last ones, are outputs.
    """

    rate: float
    matrix: Floats
    gain: Floats
    radius: Floats
    outputs: int


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
        return _output(self.layers[-1], errors[-1])

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
            if _output(self.layers[-1], errors[-1]) > error:
                guaranteed = k + 1
            # A step is monotone in the errors: once all parts decrease, they always decrease.
            elif all(bool((now <= then).all()) for now, then in zip(errors, before, strict=True)):
                return guaranteed
            k += 1

    def _radius(self) -> list[Floats]:
        return [layer.radius for layer in self.layers]


def certificate(model: SequenceModel) -> Certificate:
    """Return the proof, from its weights, that a recurrent network forgets.

    The bound of an embedding is computed from its weights; a task's own features lie in [−1, 1]
    unless the task declares otherwise. Without a bound the gates of an LSTM may come close to 1,
    and there is no proof; the bound of a tanh layer's state needs none.

    Raises:
        InputError: the model is of another kind, its weights do not contract, or it is an LSTM
            whose inputs have no bound.
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
            entering = _output(layers[-1], layers[-1].radius) if layers else _input_bound(model)
            if entering == math.inf and not isinstance(model, RNN):
                raise InputError(
                    f"no certificate for this {name}: this task's inputs have no bound, and its "
                    "gates depend on them; train rnn-stable"
                )
            layer = bounds(model, index, entering)
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
        largest = torch.ones(model.enter.width, dtype=torch.float64)
        return float(largest.norm(order)) if model.enter.bounded else math.inf
    return float(model.enter.embedding.weight.double().norm(order, dim=1).max())


def _rnn_layer(model: RNN | LSTM, index: int, entering: float) -> LayerBounds | None:
    """Return the bounds of a tanh layer with inputs of a Euclidean norm up to `entering`.

    None if it need not contract.
    """
    recurrent, inputs, bias = _weights(model.layers, index)
    rate = float(torch.linalg.matrix_norm(recurrent, 2))
    if not rate < SLOWEST:  # true for NaN as well
        return None
    gain = float(torch.linalg.matrix_norm(inputs, 2))
    radius = math.sqrt(len(bias))
    if entering < math.inf:
        radius = min(radius, (gain * entering + float(bias.norm())) / (1 - rate))
    return LayerBounds(rate, np.array([[rate]]), np.array([gain]), np.array([radius]), 1)


def _lstm_layer(model: RNN | LSTM, index: int, entering: float) -> LayerBounds | None:
    """Return the bounds of an LSTM layer with inputs within ±`entering`.

    None if it need not contract.
    """
    recurrent, inputs, bias = _weights(model.layers, index)
    most = _largest_sums(model, index, inputs, entering) + recurrent.abs().sum(1)[:, None]
    low, high = (bias[:, None] + most * torch.tensor([-1.0, 1.0])).chunk(2, 1)  # (4 hidden, 1)
    i, f, _, o = torch.sigmoid(high).chunk(4)  # in torch's order; (hidden, 1) each
    z = torch.tanh(torch.maximum(-low, high)).chunk(4)[2]
    cell = i * z / (1 - f)
    out = torch.tanh(cell)

    def after(weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the effect on c' and h' of what enters the gates through these weights."""
        w_i, w_f, w_z, w_o = weights.abs().chunk(4)
        inner = z * w_i / 4 + i * w_z + cell * w_f / 4
        return inner, o * inner + out * w_o / 4

    kept = torch.diagflat(f), torch.diagflat(o * f)
    matrix = torch.cat([torch.cat(row, 1) for row in zip(kept, after(recurrent), strict=True)])
    # No spectral radius is below the smallest row sum.
    if not bool(matrix.isfinite().all()) or float(matrix.sum(1).min()) >= SLOWEST:
        return None
    rate = float(torch.linalg.eigvals(matrix).abs().max())
    if not rate < SLOWEST:
        return None
    gain = torch.cat([part.sum(1) for part in after(inputs)])
    radius = torch.cat([cell, o * out])[:, 0]
    return LayerBounds(rate, matrix.numpy(), gain.numpy(), radius.numpy(), len(cell))


def _largest_sums(model: RNN | LSTM, index: int, inputs: Tensor, entering: float) -> Tensor:
    """Return by how much inputs can lower and raise each gate's sum: (4 hidden, 2)."""
    embedding = model.enter.embedding
    if index > 0 or embedding is None:
        return (inputs.abs().sum(1) * entering)[:, None].expand(-1, 2)
    parts = [words.double().cpu() @ inputs.T for words in embedding.weight.split(WORDS)]
    sums = [torch.stack([-part.amin(0), part.amax(0)], 1) for part in parts]
    return torch.stack(sums).amax(0)


def _weights(layers: nn.Module, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the recurrent matrix, input matrix and summed biases of one layer, as doubles."""
    names = ("weight_hh", "weight_ih", "bias_hh", "bias_ih")
    recurrent, inputs, *biases = (
        getattr(layers, f"{name}_l{index}").double().cpu() for name in names
    )
    return recurrent, inputs, biases[0] + biases[1]


def _cascade(layers: Sequence[LayerBounds], errors: Sequence[Floats]) -> list[Floats]:
    """Return the bounds of all parts of a state's difference, layer by layer, one step later."""
    after: list[Floats] = []
    entering = 0.0  # both runs read the same inputs
    for layer, own in zip(layers, errors, strict=True):
        # Two states within the radius are at most twice the radius apart.
        error = np.minimum(layer.matrix @ own + layer.gain * entering, 2 * layer.radius)
        after.append(error)
        entering = _output(layer, error)
    return after


def _output(layer: LayerBounds, parts: Floats) -> float:
    """Return the largest of the output parts."""
    return float(parts[-layer.outputs :].max())
