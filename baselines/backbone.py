"""The residual backbone of mixers: of the suite's own attention, and of users' layers."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = ["Backbone"]


class Backbone(LinearReadout):
    """Embedding, residual blocks of a mixer and a ReLU network, readout.

    A mixer maps features (B, L, hidden) to (B, L, hidden), and it alone combines positions; all
    else is as in the Transformer (Vaswani et al. 2017, arXiv 1706.03762). Features are normalised
    before each sublayer and once at the end (Xiong et al. 2020, arXiv 2002.04745), so that training
    needs no warm-up.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        mixers: Sequence[Callable[[], nn.Module]],
        *,
        hidden: int,
        dropout: float,
        tied: bool,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            mixers: return the mixer of each block.
            hidden: number of features between layers, and size of an id's embedding.
            dropout: share of features dropped in training after the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden)
        ids = self.enter.embedding is not None
        self.match = nn.Identity() if ids else nn.Linear(self.enter.width, hidden)
        # Embeddings have length 1, which suits a tied readout; they are scaled to variance 1 for
        # the residual connections (section 3.4).
        self.scale = math.sqrt(hidden) if ids else 1.0
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(_Block(hidden, make, dropout) for make in mixers))
        self.norm = nn.LayerNorm(hidden)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden); no state."""
        features = self.dropout(self.match(self.enter(inputs)) * self.scale)
        return self.norm(self.blocks(features)), None


class _Block(nn.Module):
    """x + mixer(norm(x)), then x + network(norm(x))."""

    def __init__(self, hidden: int, make: Callable[[], nn.Module], dropout: float) -> None:
        super().__init__()
        # Any mixer; weights on disk have this name.
        self.attention = nn.Sequential(nn.LayerNorm(hidden), make(), nn.Dropout(dropout))
        self.network = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, 4 * hidden),
            nn.ReLU(),
            nn.Linear(4 * hidden, hidden),
            nn.Dropout(dropout),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, hidden) -> (B, L, hidden)."""
        features = features + self.attention(features)
        read: Tensor = self.network(features)
        return features + read
