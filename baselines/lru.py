"""LRU: a diagonal state space model, linear in time and nonlinear within each step."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqmem.baselines.dropout import Dropout
from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.baselines.options import Count, Share
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = ["LRU", "linear_recurrence"]

# Radii of the ring of initial eigenvalues: memories of about 10 to 1,000 steps (for long
# dependencies Orvieto et al. 2023, section 3.4, move the ring towards the unit circle).
SMALLEST, LARGEST = 0.9, 0.999


class LRU(LinearReadout):
    """Linear Recurrent Unit (Orvieto et al. 2023, arXiv 2303.06349, section 3 and appendix A).

    Each block is x + GLU(GELU(recurrence(LayerNorm(x)))). The recurrence is diagonal with complex
    eigenvalues λ = exp(−exp(ν) + i exp(θ)), which are always within the unit circle and start
    uniformly on a ring. Its inputs are scaled by γ, which starts at √(1 − |λ|²), so that states
    have the variance of the inputs for every λ.
    """

    stateful = True
    float32_only = True  # torch has no shorter complex numbers

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 2,
        state: Count = 64,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: number of features between blocks, and size of an id's embedding.
            layers: number of blocks.
            state: number of complex numbers in the state of one block.
            dropout: share of features dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden)
        floats = self.enter.embedding is None
        self.widen = nn.Linear(self.enter.width, hidden) if floats else nn.Identity()
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(_LRUBlock(hidden, state, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self._state = state

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden), and the states after the last input: (layers, B, state)."""
        features = self.dropout(self.widen(self.enter(inputs)))
        states = []
        for i, block in enumerate(self.blocks):
            features, last = block(features, None if state is None else state[i])
            states.append(last)
        return self.norm(features), torch.stack(states)

    def state_size(self, context: int) -> int:
        """Return the number of floats of the state, two for each complex number."""
        return 2 * self._state * len(self.blocks)


class _LRUBlock(nn.Module):
    """Normalisation, recurrence, a gated linear unit, and a residual connection."""

    def __init__(self, hidden: int, state: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.recurrence = _DiagonalRecurrence(hidden, state)
        self.mix = nn.Linear(hidden, 2 * hidden)
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, L, hidden) -> (B, L, hidden), and the state after the last input (B, state)."""
        features, state = self.recurrence(self.norm(inputs), state)
        mixed = F.glu(self.mix(self.dropout(F.gelu(features))), -1)
        return inputs + self.dropout(mixed), state


class _DiagonalRecurrence(nn.Module):
    """x_t = λ x_{t−1} + γ B u_t and y_t = Re(C x_t) + D u_t, with elementwise products of λ and γ.

    Parameters are pairs of floats, because not all optimisers and files support complex numbers.
    """

    def __init__(self, hidden: int, state: int) -> None:
        super().__init__()
        # Uniform on the ring by area (lemma 3.2).
        squared = SMALLEST**2 + torch.rand(state) * (LARGEST**2 - SMALLEST**2)
        self.log_decay = nn.Parameter((-0.5 * squared.log()).log())  # ν
        self.log_phase = nn.Parameter((2 * math.pi * torch.rand(state)).log())  # θ
        self.log_scale = nn.Parameter(0.5 * (1 - squared).log())  # log γ
        self.read = nn.Parameter(torch.randn(state, 2, hidden) / (2 * hidden) ** 0.5)  # B
        # Re(C x) = Re C Re x − Im C Im x. The parameter holds −Im C, which has the same
        # distribution.
        self.write = nn.Parameter(torch.randn(hidden, state, 2) / state**0.5)  # C
        self.skip = nn.Parameter(torch.randn(hidden))  # D

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, L, hidden) -> (B, L, hidden), and the state after the last input (B, state)."""
        decay = torch.polar((-self.log_decay.exp()).exp(), self.log_phase.exp())
        weights = self.read * self.log_scale.exp()[:, None, None]
        driven = F.linear(inputs, weights.flatten(0, 1))  # (B, L, 2 × state)
        driven = torch.view_as_complex(driven.unflatten(-1, (-1, 2)))  # (B, L, state)
        if state is None:
            state = torch.zeros_like(driven[:, 0])
        states = linear_recurrence(decay, driven, state)
        outputs = F.linear(torch.view_as_real(states).flatten(-2), self.write.flatten(1))
        return outputs + self.skip * inputs, states[:, -1]


def linear_recurrence(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """Return the solution of x_t = decay · x_{t−1} + inputs_t, in about 2 √L steps.

    It is differentiable, and does not divide by powers of `decay`, which may underflow.

    Args:
        decay: (N,) complex.
        inputs: (B, L, N) complex.
        state: (B, N) complex, x_{−1}.

    Returns:
        x: (B, L, N) complex.
    """
    states: Tensor = _LinearRecurrence.apply(decay, inputs, state)  # type: ignore[no-untyped-call]
    return states


class _LinearRecurrence(torch.autograd.Function):
    """`linear_recurrence` with its own gradient, which autograd would need more memory for.

    The gradient is the same recurrence backwards in time: g_t = dx_t + conj(decay) g_{t+1}.
    Autograd would store a copy of the states for each step of `_scan`.
    """

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
        states = _scan(decay, inputs, state)
        ctx.save_for_backward(decay, states, state)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        decay, states, state = ctx.saved_tensors
        back = decay.conj().resolve_conj()
        passed = _scan(back, gradient.flip(1), torch.zeros_like(state)).flip(1)  # (B, L, N)
        of_decay = (passed[:, 0] * state.conj()).sum(0)
        of_decay += torch.einsum("bln,bln->n", passed[:, 1:], states[:, :-1].conj())
        return of_decay, passed, back * passed[:, 0]


def _scan(decay: Tensor, inputs: Tensor, state: Tensor) -> Tensor:
    """Return the solution of `linear_recurrence`, computed in chunks of √L steps.

    First all chunks advance together from the state zero, then each chunk's last state is carried
    to the next chunk. Each number is read and written three times, against 2 log L times in a
    parallel scan: on a CPU this takes a tenth of the scan's time, and on a GPU it starts far fewer
    kernels than a loop over L.
    """
    batch, length, size = inputs.shape
    chunk = math.isqrt(length)
    padded = F.pad(inputs, (0, 0, 0, -length % chunk)) if length % chunk else inputs.clone()
    states = padded.contiguous().view(batch, -1, chunk, size)
    for i in range(1, chunk):
        states[:, :, i].addcmul_(states[:, :, i - 1], decay)
    powers = decay.expand(chunk, size).cumprod(0)  # decay¹ … decay^chunk
    for i in range(states.shape[1]):
        states[:, i].addcmul_(powers, state[:, None])
        state = states[:, i, -1]
    return states.view(batch, -1, size)[:, :length]
