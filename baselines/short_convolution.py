"""A short causal convolution of each feature, whose last inputs are its state."""

import torch
from torch import Tensor, nn

__all__ = ["ShortConvolution"]


class ShortConvolution(nn.Module):
    """y_t = Σ_j w_j ⊙ x_{t−j} + b over the latest `width` inputs, for each feature alone.

    Models whose recurrence is linear mix neighbouring inputs with it before they write to the
    state (Dao & Gu 2024, arXiv 2405.21060; Yang et al. 2025, arXiv 2412.06464).

    Attributes:
        state_floats: the number of floats of one sequence's state, the last width − 1 inputs.
    """

    def __init__(self, features: int, width: int = 4, bias: bool = True) -> None:
        """Create a layer with weights as of torch's convolutions."""
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(width, features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(features)) if bias else None
        self.state_floats = (width - 1) * features

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, L, features) -> (B, L, features), and the last inputs (B, width − 1, features)."""
        past, length = len(self.weight) - 1, inputs.shape[1]
        if state is None:
            state = inputs.new_zeros(len(inputs), past, inputs.shape[2])
        read = torch.cat([state.to(inputs.dtype), inputs], 1)
        # Weights of the oldest input first. Sums of shifted inputs: on a CPU, torch's convolutions
        # of single features are slower.
        parts = [read[:, i : i + length] * weight for i, weight in enumerate(self.weight)]
        mixed = sum(parts[1:], parts[0])
        return mixed if self.bias is None else mixed + self.bias, read[:, length:]
