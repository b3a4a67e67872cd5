"""The residual backbone of mixers: of the suite's own attention, and of users' layers."""

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from seqmem.baselines.dropout import Dropout
from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = ["Backbone", "MixerState", "StatefulMixer"]

MixerState = tuple[Tensor, ...]  # of one block, (B, …) each


class StatefulMixer(nn.Module):
    """A mixer that carries a state: ``forward(features, state) -> (features, state)``.

    Features are (B, L, hidden), the state is a tuple of tensors (B, …). A state of None is the
    start of a sequence and equals one of zeros.

    Attributes:
        state_floats: the number of floats of one sequence's state; a complex number is two.
        float32_only: whether it cannot compute in shorter floating-point types.
    """

    stateful: ClassVar[bool] = True
    float32_only: ClassVar[bool] = False
    state_floats: int


class Backbone(LinearReadout):
    """Embedding, residual blocks of a mixer and a ReLU network, readout.

    A mixer maps features (B, L, hidden) to (B, L, hidden), and it alone combines positions; all
    else is as in the Transformer (Vaswani et al. 2017, arXiv 1706.03762). Features are normalised
    before each sublayer and once at the end (Xiong et al. 2020, arXiv 2002.04745), so that training
    needs no warm-up.

    The model carries a state if every mixer is a `StatefulMixer`; their states must then have the
    same shapes in all blocks. A class whose mixers do declares so with ``stateful = True``.
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
        self.dropout = Dropout(dropout)
        self.blocks = nn.Sequential(*(_Block(hidden, make, dropout) for make in mixers))
        self.stateful = len(self._stateful_mixers()) == len(self.blocks)
        self.float32_only = any(mixer.float32_only for mixer in self._stateful_mixers())
        self.norm = nn.LayerNorm(hidden)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden), and the state after the last input.

        The state has one tensor (layers, B, …) for each tensor of a mixer's state; None without
        state.
        """
        features = self.dropout(self.match(self.enter(inputs)) * self.scale)
        after = []
        for i, block in enumerate(self.blocks):
            own = None if state is None else tuple(part[i] for part in state)
            features, own = block(features, own)
            after.append(own)
        if not self.stateful:
            return self.norm(features), None
        return self.norm(features), tuple(torch.stack(parts) for parts in zip(*after, strict=True))

    def state_size(self, context: int) -> int | None:
        """Return the number of floats of the state; None without state."""
        return sum(each.state_floats for each in self._stateful_mixers()) if self.stateful else None

    def _stateful_mixers(self) -> list[StatefulMixer]:
        mixers = (block.get_submodule("attention.1") for block in self.blocks)
        return [mixer for mixer in mixers if isinstance(mixer, StatefulMixer)]


class _Block(nn.Module):
    """x + mixer(norm(x)), then x + network(norm(x))."""

    def __init__(self, hidden: int, make: Callable[[], nn.Module], dropout: float) -> None:
        super().__init__()
        # Any mixer; weights on disk have this name.
        self.attention = nn.Sequential(nn.LayerNorm(hidden), make(), Dropout(dropout))
        self.network = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, 4 * hidden),
            nn.ReLU(),
            nn.Linear(4 * hidden, hidden),
            Dropout(dropout),
        )

    def forward(
        self, features: Tensor, state: MixerState | None
    ) -> tuple[Tensor, MixerState | None]:
        """(B, L, hidden) -> (B, L, hidden), and the mixer's state after them if it has one."""
        norm, mixer, dropout = self.attention
        mixed = norm(features)
        if isinstance(mixer, StatefulMixer):
            mixed, state = mixer(mixed, state)
        else:
            mixed = mixer(mixed)
        features = features + dropout(mixed)
        return features + self.network(features), state
