"""minGRU (Feng et al. 2024, arXiv 2410.01201): a layer of one's own, trained beside the baselines.

    seqmem eval examples/mingru.py:MinGRU lstm tcn --suite smoke

The gate z and the candidate g(U x) depend on the input alone, so h' = (1 − z) h + z g(U x) can be
computed for many steps at once, in logarithms (appendix B).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MinGRU"]

CHUNK = 64  # steps at once: sums of more logarithms lose digits


class MinGRU(nn.Module):
    """A recurrent layer, constructed and called like torch's."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        """Create a layer with random weights."""
        super().__init__()
        self.gate = nn.Linear(input_size, hidden_size)
        self.new = nn.Linear(input_size, hidden_size)

    def forward(self, inputs: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return features (B, L, hidden_size) of inputs, and the state (B, hidden_size) after."""
        if state is None:
            state = inputs.new_full((len(inputs), self.gate.out_features), 0.5)
        features = []
        for part in inputs.split(CHUNK, 1):
            gate, new = self.gate(part), self.new(part)
            # log g(x), with g(x) = x + 0.5 for positive x, else sigmoid(x)
            log_new = torch.where(new >= 0, (F.relu(new) + 0.5).log(), F.logsigmoid(new))
            kept = F.pad(F.logsigmoid(-gate).cumsum(1), (0, 0, 1, 0))
            added = torch.cat([state.log()[:, None], F.logsigmoid(gate) + log_new], 1)
            part = (kept + torch.logcumsumexp(added - kept, 1)).exp()[:, 1:]
            state = part[:, -1]
            features.append(part)
        return torch.cat(features, 1), state
