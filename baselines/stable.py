"""Recurrent networks that provably forget: stable in the sense of Miller & Hardt (ICLR 2019).

A recurrent network is stable if one step reduces the distance of any two states by a factor λ < 1,
whatever the input (arXiv 1805.10369). The effect of an input on the state then decays at least as
λ^k, and cutting the context to k inputs changes little; `certificate.py` computes a bound. Here the
weights of every layer are projected onto a set of stable weights after every optimiser step. The
projections are Euclidean: they only shrink weights, and do not change weights inside the set.

**RNN**, h' = tanh(W h + U x + b). The Jacobian in h is a diagonal with entries in (0, 1] times W,
so that λ = ‖W‖₂ in the Euclidean norm. The set is ‖W‖₂ ≤ lambda_max; U and b are unconstrained.

**LSTM**, c' = i z + f c and h' = o tanh(c'), products elementwise; i, f and o are the sigmoid and z
is tanh of W h + U x + b. Norms of vectors are maxima, norms of matrices the largest ℓ1 norm of a
row. Let |x| ≤ X, and let F < 1 bound the forget gate,

    F = sigmoid(max over rows of ‖W_f‖₁ + X ‖U_f‖₁ + b_f),      as |h| ≤ 1.

Starting from c = 0, |c| ≤ C = 1/(1 − F), since |i z| ≤ 1. Let two states differ by δc and δh, in
the maximum norm, and read the same input. The slope of the sigmoid is at most ¼, that of tanh at
most 1, hence

    |i z − ĩ z̃|       ≤ (‖W_i‖/4 + ‖W_z‖) δh
    |f c − f̃ c̃|       ≤ F δc + (C ‖W_f‖/4) δh                      f (c − c̃) + (f − f̃) c̃
    |o tanh c' − …|   ≤ δc' + (‖W_o‖/4) δh

With a = ‖W_i‖/4 + ‖W_z‖ + C ‖W_f‖/4 and w = ‖W_o‖/4, one step is bounded by

    δc' ≤ F δc + a δh
    δh' ≤ F δc + (a + w) δh

so max(δc, δh) shrinks by λ = F + a + w. This is below 1 under the paper's conditions,
‖W_i‖, ‖W_o‖ < 1 − F, ‖W_z‖ ≤ (1 − F)/4 and ‖W_f‖ < (1 − F)²: each of the four terms of a + w is
then at most (1 − F)/4. In the maximum norm a single step contracts; in the Euclidean norm of d
units it may take O(log d) steps (the paper's iterated map), because the norms differ by √(2d).

The conditions couple all gates through F. F is therefore bounded by a constant, `forget_max`, and
the rest, room = lambda_max − forget_max, is divided equally between the four terms, so that every
row has its own budget:

    ‖W_i‖₁, ‖W_o‖₁ ≤ room,   ‖W_z‖₁ ≤ room/4,   ‖W_f‖₁ ≤ room (1 − forget_max),
    X ‖U_f‖₁ + b_f ≤ logit(forget_max) − room (1 − forget_max).

The last set bounds a row together with its bias, the sum of torch's two biases: the lower the bias
of a unit, the larger its input weights may be. As lambda_max approaches 1 the budgets approach the
paper's. With a forget gate of at most 0.6 they are 0.4, 0.1, 0.16 and 0.245; the author's code uses
0.395, 0.099, 0.155 and, without a bound on the bias, 0.25. U_i, U_z, U_o and their biases are
unconstrained.

With ``forget_bias=free`` the forget gate's bias is not bounded, only ‖U_f‖₁, by the same number,
here for a bias of 0. That is the set of the author's experiments, but that rows are projected where
the code renormalises columns. Its forget gate may come close to 1, so that the theorem need not
apply: in general there is no certificate.

X is 1 in every layer: embeddings are clamped to [−1, 1], features lie there, and higher layers read
|h| ≤ 1. Where a task's features have no bound (`Features.bounded`), there is no certificate.
Dropout scales the features that it keeps by 1/(1 − p), which violates these bounds: the certificate
holds for the model in evaluation mode.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor

from seqmem.baselines.options import Count, OneOf, Range, Share
from seqmem.baselines.recurrent import LSTM, RNN
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import InputSpec

__all__ = ["SLOWEST", "StableLSTM", "StableRNN", "project_rows", "project_spectral"]

SLOWEST = 0.99999  # with a larger contraction factor, guaranteed contexts exceed a million inputs
Contraction = Annotated[float, Range(0, SLOWEST, open_low=True)]
ForgetBias = Annotated[Literal["bounded", "free"], OneOf(("bounded", "free"))]


class StableRNN(RNN):
    """The simple recurrent network with ‖W‖₂ ≤ lambda_max in every layer."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 1,
        dropout: Share = 0.0,
        tied: bool = False,
        lambda_max: Contraction = 0.95,
    ) -> None:
        """Create a model with random weights in the set.

        Args:
            inputs: as for `RNN`.
            outputs: as for `RNN`.
            hidden: as for `RNN`.
            layers: as for `RNN`.
            dropout: as for `RNN`.
            tied: as for `RNN`.
            lambda_max: the largest contraction factor.
        """
        super().__init__(inputs, outputs, hidden=hidden, layers=layers, dropout=dropout, tied=tied)
        self.lambda_max = lambda_max
        _constrain_new(self)

    @torch.no_grad()
    def constrain(self) -> None:
        """Clip the singular values of every recurrent matrix to lambda_max."""
        for name, weight in self.layers.named_parameters():
            if name.startswith("weight_hh"):
                weight.copy_(project_spectral(weight, self.lambda_max))


class StableLSTM(LSTM):
    """Long short-term memory with the row budgets of this module's docstring in every layer."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 1,
        dropout: Share = 0.0,
        tied: bool = False,
        lambda_max: Contraction = 0.99,
        forget_max: Contraction = 0.6,
        forget_slowest: Annotated[float, Range(0, SLOWEST)] = 0.0,
        forget_bias: ForgetBias = "bounded",
    ) -> None:
        """Create a model with random weights in the set.

        Args:
            inputs: as for `LSTM`.
            outputs: as for `LSTM`.
            hidden: as for `LSTM`.
            layers: as for `LSTM`.
            dropout: as for `LSTM`.
            tied: as for `LSTM`.
            lambda_max: the largest contraction factor.
            forget_max: the largest value of the forget gate, below lambda_max.
            forget_slowest: the largest value in the last unit, if that is more than in the first
                one; 0: the same in all units.
            forget_bias: "bounded", so that this value holds; "free": with it, the gate's value is
                unbounded, and forget_max only determines the other budgets.

        Raises:
            ValueError: forget_max or forget_slowest is not below lambda_max, the latter not above
                the former, or nothing is left for the inputs of a forget gate whose bias is free.
        """
        for name, bound in (("forget_max", forget_max), ("forget_slowest", forget_slowest)):
            if not bound < lambda_max:
                raise ValueError(
                    f"{name}={bound} must be below lambda_max={lambda_max}; "
                    "lower the one or raise the other"
                )
        if 0 < forget_slowest <= forget_max:
            raise ValueError(
                f"forget_slowest={forget_slowest} does not exceed forget_max={forget_max}"
            )
        first, last = (
            -math.log10(1 - bound) for bound in (forget_max, forget_slowest or forget_max)
        )
        constants = torch.logspace(first, last, hidden, dtype=torch.float64, device="cpu")
        bounds = 1 - 1 / constants  # (hidden,)
        room = lambda_max - bounds
        recurrent = (room, room / constants, room / 4, room)  # torch's i, f, z, o
        forget = bounds.logit() - recurrent[1]
        if forget_bias == "free" and float(forget.min()) <= 0:
            raise ValueError(
                f"forget_max={forget_max} leaves no weights for the inputs of a forget gate with "
                "forget_bias=free; raise forget_max or lower lambda_max"
            )
        super().__init__(inputs, outputs, hidden=hidden, layers=layers, dropout=dropout, tied=tied)
        self.lambda_max, self.forget_max, self.forget_bias = lambda_max, forget_max, forget_bias
        self.forget_slowest = forget_slowest
        self._recurrent, self._forget = torch.cat(recurrent), forget  # (4 hidden,), (hidden,)
        if forget_bias == "bounded":
            self._start_forget_gate()
        _constrain_new(self)

    @torch.no_grad()
    def constrain(self) -> None:
        """Project the embedding, recurrent rows, and the forget gate's input rows with biases."""
        if self.enter.embedding is not None:
            self.enter.embedding.weight.clamp_(-1, 1)
        for layer in range(self.layers.num_layers):
            recurrent = getattr(self.layers, f"weight_hh_l{layer}")  # (4 hidden, hidden)
            recurrent.copy_(project_rows(recurrent, self._recurrent.to(recurrent.device))[0])
            row, *biases = self._forget_gate(layer)
            if self.forget_bias == "free":
                biases = []
            projected = project_rows(row, self._forget.to(row.device), biases)
            for part, value in zip((row, *biases), projected, strict=True):
                part.copy_(value)

    def _start_forget_gate(self) -> None:
        """Start inside the set: the forget gate's bias and its inputs each get half the budget."""
        if self.leave.weight.is_meta:
            return
        with torch.no_grad():
            for layer in range(self.layers.num_layers):
                row, bias, _ = self._forget_gate(layer)  # the other bias is already zero
                bias.copy_(torch.where(self._forget > 0, self._forget / 2, self._forget))
                row.copy_(project_rows(row, self._forget.to(bias.device) - bias.double())[0])

    def _forget_gate(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return views of the rows of U_f (hidden, width) and of both biases (hidden,)."""
        rows = slice(self.layers.hidden_size, 2 * self.layers.hidden_size)
        names = ("weight_ih", "bias_ih", "bias_hh")
        weight, *biases = (getattr(self.layers, f"{name}_l{layer}")[rows] for name in names)
        return weight, biases[0], biases[1]


def project_spectral(matrix: Tensor, largest: float) -> Tensor:
    """Return the nearest matrix, in the Frobenius norm, with no singular value above `largest`.

    It has the same singular vectors and min(σ, largest) for each σ, up to rounding, which never
    leaves the set. Singular vectors come from the eigenvectors of the Gram matrix, which is cheaper
    than a singular value decomposition and as precise for the large singular values.

    Args:
        matrix: (n, m); returned unchanged if it is inside the set or not finite.
        largest: above 0.
    """
    exact = matrix.double()
    gram = exact.T @ exact
    if not bool(gram.isfinite().all()):
        return matrix  # training has diverged, which the check of the loss reports
    squares, vectors = torch.linalg.eigh(gram)
    values = squares.clamp(min=0).sqrt()
    if bool(values[-1] <= largest):
        return matrix
    # Rounding changes no singular value by more than the Frobenius norm of the rounding errors:
    # those of the result, and those of the products below, which grow with what is subtracted.
    room = torch.finfo(matrix.dtype).eps * values.clamp(max=largest).norm()
    room = room + len(values) * torch.finfo(exact.dtype).eps * values[-1]
    # A singular value of 0 divides to infinity and is not changed, like all small ones.
    excess = 1 - ((largest - room) / values).clamp(max=1)
    clipped: Tensor = exact - (exact @ vectors * excess) @ vectors.T
    return clipped.to(matrix.dtype)


def project_rows(rows: Tensor, budget: Tensor, biases: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
    """Return the nearest rows, in Euclidean distance, with ‖row‖₁ + Σ biases ≤ budget.

    Without biases this is the projection onto the ℓ1 ball, which soft-thresholds all entries by the
    same threshold. By the same argument (stationarity of the Lagrangian), each bias decreases by
    that threshold. If j entries exceed it, it is (their sum and the biases − budget) /
    (j + number of biases). From the threshold that all entries together would need, repeating that
    with the entries above it rises to the correct one (Michelot 1986), in a few
    rounds where rows left the set by one step of training.

    Args:
        rows: (n, m).
        budget: (n,); not negative where there are no biases.
        biases: of shape (n,) each.

    Returns:
        rows, *biases: the projected ones, unchanged where they are within the budget.
    """
    magnitude = rows.double().abs()
    excess = sum((bias.double() for bias in biases), -budget.double())  # (n,)
    above = torch.ones_like(magnitude, dtype=torch.bool)
    threshold = torch.zeros_like(excess)
    while True:
        count = above.sum(1) + len(biases)
        mean = ((magnitude * above).sum(1) + excess) / count.clamp(min=1)
        threshold = torch.where(count > 0, mean.maximum(threshold), threshold)
        fewer = above & (magnitude > threshold[:, None])
        if torch.equal(fewer, above):
            break
        above = fewer
    projected = _round_down((magnitude - threshold[:, None]).clamp(min=0), rows.dtype)
    lowered = (_round_down(bias.double() - threshold, bias.dtype) for bias in biases)
    return rows.sign() * projected, *lowered


def _round_down(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """Return doubles rounded downwards to a dtype, so that sums within a budget stay within it."""
    rounded = exact.to(dtype)
    below = rounded.nextafter(torch.full_like(rounded, -math.inf))
    return torch.where(rounded.double() > exact, below, rounded)


def _constrain_new(model: SequenceModel) -> None:
    """Project the weights of a new model; on the meta device there are none."""
    if not next(model.parameters()).is_meta:
        model.constrain()
