"""S4D: a diagonal state space model in continuous time, one for each feature."""

import math

import torch
from torch import Tensor, nn

from seqmem.baselines.lru import LRU
from seqmem.baselines.options import Count, Share
from seqmem.tasks.task import InputSpec

__all__ = ["S4D", "StateSpaces"]

FASTEST, SLOWEST = 0.1, 0.001  # initial lengths of a step, in which states decay at rate 1/2
CHUNK = 64  # steps computed at once


class S4D(LRU):
    """Diagonal state space layers (Gu et al. 2022, arXiv 2206.11893, sections 3 and 4).

    The blocks are those of `LRU`, and in place of its recurrence, in which all features share one
    state, each feature u has a state x of its own, of `state` complex numbers:

        x'(t) = A x(t) + u(t),   y(t) = 2 Re(C · x(t)) + D u(t),

    with diagonal A. One step of learned length Δ, with constant u, is (zero-order hold)

        x_t = Ā x_{t−1} + B̄ u_t,   Ā = exp(Δ A),   B̄ = (Ā − 1) / A.

    A starts as −1/2 + iπn for n = 0 … state − 1 (S4D-Lin, equation 9), and its real part stays
    negative; Δ starts uniformly in the logarithm between 0.001 and 0.1.

    In training and in measuring, 64 steps are computed at once: the impulse response, 2 Re Σ C B̄
    Āˡ, is multiplied with the inputs as a triangular matrix, and the state is carried from one
    chunk to the next. The paper convolves the whole sequence by Fourier transforms, in which later
    inputs change earlier outputs by rounding.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 2,
        state: Count = 32,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: number of features between blocks, and size of an id's embedding.
            layers: number of blocks.
            state: number of complex numbers in the state of one feature, each for a conjugate pair.
            dropout: share of features dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        super().__init__(
            inputs, outputs, hidden=hidden, layers=layers, state=1, dropout=dropout, tied=tied
        )
        for block in self.blocks:
            setattr(block, "recurrence", StateSpaces(hidden, state))  # noqa: B010 - replaces LRU's
        self._state = hidden * state


class StateSpaces(nn.Module):
    """The state spaces of all features.

    Parameters are floats, because not all optimisers and files support complex numbers.
    """

    def __init__(self, hidden: int, state: int) -> None:
        super().__init__()
        steps = torch.empty(hidden).uniform_(math.log(SLOWEST), math.log(FASTEST))
        self.log_step = nn.Parameter(steps)  # ln Δ
        self.log_decay = nn.Parameter(torch.full((hidden, state), 0.5).log())  # ln(−Re A)
        frequency = math.pi * torch.arange(state, dtype=torch.float32)
        self.frequency = nn.Parameter(frequency.expand(hidden, state).clone())  # Im A
        self.write = nn.Parameter(torch.randn(hidden, state, 2) * 0.5**0.5)  # C
        self.skip = nn.Parameter(torch.randn(hidden))  # D

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, L, H) -> (B, L, H), and the state after the last input (B, H × N), complex."""
        batch, length, hidden = inputs.shape
        size = min(CHUNK, length)
        powers, read, write = self.discrete(size)
        response = 2 * torch.einsum("hn,hnl->hl", write * read, powers[..., :-1]).real  # (H, c)
        steps = torch.arange(size, device=inputs.device)
        lag = steps[:, None] - steps  # (c, c)
        matrix = response[:, lag.clamp(min=0)] * (lag >= 0)  # (H, c, c)
        now = inputs.new_zeros(hidden, batch, read.shape[1], dtype=read.dtype)
        if state is not None:
            now = state.view(batch, hidden, -1).transpose(0, 1)
        outputs = []
        for part in inputs.permute(2, 0, 1).split(size, 2):  # (H, B, c)
            count = part.shape[2]
            later = 2 * torch.bmm(now, write[..., None] * powers[..., 1 : count + 1]).real
            outputs.append(torch.bmm(part, matrix[:, :count, :count].mT) + later)
            driven = (read[..., None] * powers[..., :count].flip(2)).mT  # (H, c, N)
            now = now * powers[:, None, :, count] + torch.bmm(part.to(read.dtype), driven)
        mixed = torch.cat(outputs, 2).permute(1, 2, 0) + self.skip * inputs
        return mixed, now.transpose(0, 1).flatten(1)

    def discrete(self, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return Ā⁰ … Ā^steps (H, N, steps + 1), B̄ (H, N) and C (H, N), all complex."""
        rate = torch.complex(-self.log_decay.exp(), self.frequency)  # A
        lengths = self.log_step.exp()[:, None] * torch.arange(steps + 1, device=rate.device)
        # Angles of many radians have too few digits in 32 bits.
        turned = rate.to(torch.complex128)[..., None] * lengths[:, None]
        powers = turned.exp().to(rate.dtype)
        return powers, (powers[..., 1] - 1) / rate, torch.view_as_complex(self.write)
