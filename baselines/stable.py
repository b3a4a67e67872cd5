"""Recurrent networks that provably forget: stable in the sense of Miller & Hardt (ICLR 2019).

A recurrent network is stable where one step takes any two states closer together by a factor
λ < 1, whatever the input (arXiv 1805.10369). What it remembers of an input then
fades at least as λ^k, and cutting the context to k inputs changes little: `certificate.py` says
how little. Here the weights are projected back into a set of stable weights after every optimiser
step, in every layer. The projections are Euclidean: they only ever shrink, and leave weights
inside the set as they are.

**RNN**, h' = tanh(W h + U x + b). The Jacobian in h is a diagonal with entries in (0, 1] times W,
so that λ = ‖W‖₂ in the Euclidean norm. The set is ‖W‖₂ ≤ lambda_max; U and b are free.

**LSTM**, c' = i z + f c and h' = o tanh(c'), products elementwise; i, f and o are the sigmoid and z
is tanh of W h + U x + b. Norms of vectors are maxima, norms of matrices the largest ℓ1 norm of a
row. Suppose |x| ≤ X and let F < 1 bound the forget gate,

    F = sigmoid(max over rows of ‖W_f‖₁ + X ‖U_f‖₁ + b_f),      as |h| ≤ 1.

From c = 0 on, |c| ≤ C = 1/(1 − F), since |i z| ≤ 1. Let two states differ by δc and δh, in the
maximum norm, and read the same input. The sigmoid has slope at most ¼, tanh at most 1, hence

    |i z − ĩ z̃|       ≤ (‖W_i‖/4 + ‖W_z‖) δh
    |f c − f̃ c̃|       ≤ F δc + (C ‖W_f‖/4) δh                      f (c − c̃) + (f − f̃) c̃
    |o tanh c' − …|   ≤ δc' + (‖W_o‖/4) δh

With a = ‖W_i‖/4 + ‖W_z‖ + C ‖W_f‖/4 and w = ‖W_o‖/4, one step is bounded by

    δc' ≤ F δc + a δh
    δh' ≤ F δc + (a + w) δh

so max(δc, δh) shrinks by λ = F + a + w. This is below 1 under the paper's conditions,
‖W_i‖, ‖W_o‖ < 1 − F, ‖W_z‖ ≤ (1 − F)/4 and ‖W_f‖ < (1 − F)²: each of the four terms of a + w is
then at most (1 − F)/4. In the maximum norm a single step contracts; in the Euclidean norm of d
units it may take O(log d) steps (the paper's iterated map), for the two norms differ by √(2d).

The conditions couple all gates through F. It is therefore held at or below a constant,
`forget_max`, and what it leaves, room = lambda_max − forget_max, goes to the four terms in equal
parts, so that every row has a budget of its own:

    ‖W_i‖₁, ‖W_o‖₁ ≤ room,   ‖W_z‖₁ ≤ room/4,   ‖W_f‖₁ ≤ room (1 − forget_max),
    X ‖U_f‖₁ + b_f ≤ logit(forget_max) − room (1 − forget_max).

The last set holds a row and its bias together, the sum of torch's two: a unit may listen to its
inputs the more, the more its bias makes it forget. As lambda_max goes to 1 the budgets become the
paper's; with 0.6 for the forget gate they are 0.4, 0.1, 0.16 and 0.245, and the author's code has
0.395, 0.099, 0.155 and, without a bound on the bias, 0.25. U_i, U_z, U_o and their biases are free.

X is 1 in every layer: embeddings are clamped to [−1, 1], the tasks' features lie in [0, 1], and
higher layers read |h| ≤ 1. Dropout scales what it keeps by 1/(1 − p) and so leaves these bounds:
what is certified is the model in evaluation mode.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.baselines.recurrent import LSTM, RNN
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import InputSpec

__all__ = ["SLOWEST", "StableLSTM", "StableRNN", "project_rows", "project_spectral"]

SLOWEST = 0.99999  # a larger contraction factor promises nothing of use: a million inputs and more


class StableRNN(RNN):
    """The simple recurrent network with ‖W‖₂ ≤ lambda_max in every layer."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        tied: bool = False,
        lambda_max: float = 0.95,
    ) -> None:
        """Take what `RNN` takes, and the largest contraction factor.

        Raises:
            ValueError: lambda_max is not above 0, or above `SLOWEST`.
        """
        if not 0 < lambda_max <= SLOWEST:
            raise ValueError(f"lambda_max={lambda_max} must be above 0 and at most {SLOWEST}")
        super().__init__(inputs, outputs, hidden=hidden, layers=layers, dropout=dropout, tied=tied)
        self.lambda_max = lambda_max
        _begin(self)

    @torch.no_grad()
    def constrain(self) -> None:
        """Clip the singular values of every recurrent matrix."""
        for name, weight in self.layers.named_parameters():
            if name.startswith("weight_hh"):
                weight.copy_(project_spectral(weight, self.lambda_max))


class StableLSTM(LSTM):
    """Long short-term memory within the row budgets of this module, in every layer."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        tied: bool = False,
        lambda_max: float = 0.99,
        forget_max: float = 0.6,
    ) -> None:
        """Take what `LSTM` takes, the largest contraction factor, and the forget gate's bound.

        Raises:
            ValueError: not 0 < forget_max < lambda_max ≤ `SLOWEST`.
        """
        if not 0 < forget_max < lambda_max <= SLOWEST:
            raise ValueError(
                f"forget_max={forget_max}, lambda_max={lambda_max}: "
                f"must be 0 < forget_max < lambda_max ≤ {SLOWEST}"
            )
        super().__init__(inputs, outputs, hidden=hidden, layers=layers, dropout=dropout, tied=tied)
        self.lambda_max, self.forget_max = lambda_max, forget_max
        room = lambda_max - forget_max
        self._recurrent = (room, room * (1 - forget_max), room / 4, room)  # torch's i, f, z, o
        self._forget = math.log(forget_max / (1 - forget_max)) - self._recurrent[1]
        self._start_forget_gate()
        _begin(self)

    @torch.no_grad()
    def constrain(self) -> None:
        """Project embedding, recurrent rows, and the forget gate's input rows with their biases."""
        if self.enter.embedding is not None:
            self.enter.embedding.weight.clamp_(-1, 1)
        hidden = self.layers.hidden_size
        for layer in range(self.layers.num_layers):
            recurrent = getattr(self.layers, f"weight_hh_l{layer}")  # (4 hidden, hidden)
            budget = torch.tensor(self._recurrent, dtype=torch.float64, device=recurrent.device)
            recurrent.copy_(project_rows(recurrent, budget.repeat_interleave(hidden))[0])
            row, *biases = self._forget_gate(layer)
            projected = project_rows(row, torch.full_like(biases[0], self._forget), biases)
            for part, value in zip((row, *biases), projected, strict=True):
                part.copy_(value)

    def _start_forget_gate(self) -> None:
        """Start inside the set: half of the forget gate's budget is its bias, half its inputs'."""
        with torch.no_grad():
            for layer in range(self.layers.num_layers):
                row, bias, _ = self._forget_gate(layer)  # the other bias is zero already
                bias.fill_(self._forget / 2 if self._forget > 0 else self._forget)
                row.copy_(project_rows(row, (self._forget - bias).double())[0])

    def _forget_gate(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give views of the rows of U_f (hidden, width) and of both biases (hidden,)."""
        rows = slice(self.layers.hidden_size, 2 * self.layers.hidden_size)
        names = ("weight_ih", "bias_ih", "bias_hh")
        weight, *biases = (getattr(self.layers, f"{name}_l{layer}")[rows] for name in names)
        return weight, biases[0], biases[1]


def project_spectral(matrix: Tensor, largest: float) -> Tensor:
    """Give the nearest matrix, in the Frobenius norm, with no singular value above `largest`.

    It has the same singular vectors and min(σ, largest) for each σ, to rounding, which stays
    within the set. They are found from the eigenvectors of the Gram matrix, which is cheaper than a
    singular value decomposition and as exact for those that matter: the large ones.

    Args:
        matrix: (n, m); given back as it is where it is inside, or not finite.
        largest: above 0.
    """
    exact = matrix.double()
    gram = exact.T @ exact
    if not bool(gram.isfinite().all()):
        return matrix  # training has diverged; it is the loss that says so
    squares, vectors = torch.linalg.eigh(gram)
    values = squares.clamp(min=0).sqrt()
    if bool(values[-1] <= largest):
        return matrix
    # Rounding moves no singular value by more than the Frobenius norm of what it changes: at the
    # end, and in the products here, whose errors grow with what is taken away.
    room = torch.finfo(matrix.dtype).eps * values.clamp(max=largest).norm()
    room = room + len(values) * torch.finfo(exact.dtype).eps * values[-1]
    # A singular value of 0 divides to infinity, and is left alone like all that are small enough.
    excess = 1 - ((largest - room) / values).clamp(max=1)
    clipped: Tensor = exact - (exact @ vectors * excess) @ vectors.T
    return clipped.to(matrix.dtype)


def project_rows(rows: Tensor, budget: Tensor, biases: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
    """Give the nearest rows, in Euclidean distance, with ‖row‖₁ + Σ biases ≤ budget.

    Without biases this is the projection onto the ℓ1 ball (Duchi et al. 2008, section 4): all
    entries are moved towards zero by one threshold. With biases, each of them moves down by the
    same threshold, by the same argument (the Lagrangian's stationarity): if the j largest entries
    stay above it, it is (the sum of these and the biases − budget) / (j + number of biases). As a
    function of j this is largest at the right j.

    Args:
        rows: (n, m).
        budget: (n,); not negative where there are no biases.
        biases: of shape (n,) each.

    Returns:
        the rows and the biases, unchanged where they are within the budget.
    """
    exact = rows.double()
    magnitude = exact.abs()
    sums = F.pad(magnitude.sort(dim=1, descending=True).values.cumsum(1), (1, 0))  # (n, 1 + m)
    counts = torch.arange(sums.shape[1], dtype=sums.dtype, device=sums.device) + len(biases)
    excess = sums - budget.double()[:, None]
    for bias in biases:
        excess = excess + bias.double()[:, None]
    first = 0 if biases else 1  # j = 0 moves the biases alone
    threshold = (excess / counts)[:, first:].amax(1).clamp(min=0)  # (n,)
    projected = _round_down((magnitude - threshold[:, None]).clamp(min=0), rows.dtype)
    moved = (_round_down(bias.double() - threshold, bias.dtype) for bias in biases)
    return rows.sign() * projected, *moved


def _round_down(exact: Tensor, dtype: torch.dtype) -> Tensor:
    """Round doubles downwards: what stays within a budget exactly does so in any precision."""
    rounded = exact.to(dtype)
    below = rounded.nextafter(torch.full_like(rounded, -math.inf))
    return torch.where(rounded.double() > exact, below, rounded)


def _begin(model: SequenceModel) -> None:
    """Constrain new weights; on the meta device, where only sizes are asked for, are none."""
    if not next(model.parameters()).is_meta:
        model.constrain()
