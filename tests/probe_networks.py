"""Random networks whose receptive field is known by construction, from small causal layers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.training.loop import seeded

VOCABULARY = 11
LONGEST = 400  # inputs of the largest finite field


class Convolution(nn.Module):
    """A dilated causal convolution, later by some steps than it has to be."""

    def __init__(self, width: int, kernel: int, dilation: int, delay: int = 0) -> None:
        super().__init__()
        self.past = (kernel - 1) * dilation + delay
        self.delay = delay
        self.layer = nn.Conv1d(width, width, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, width)."""
        padded = F.pad(x.transpose(1, 2), (self.past, 0))
        shifted = padded[..., : padded.shape[-1] - self.delay]
        features: Tensor = self.layer(shifted).transpose(1, 2)
        return features


class WindowAttention(nn.Module):
    """Attention to the latest inputs of a window, the current one included."""

    def __init__(self, width: int, heads: int, window: int | None) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def allowed(self, length: int) -> Tensor:
        """Return who attends to whom: (L, L), or (heads, L, L)."""
        lag = torch.arange(length)[:, None] - torch.arange(length)
        seen = lag >= 0
        return seen if self.window is None else seen & (lag < self.window)

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return masked scores (B, heads, L, L)."""
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        masked: Tensor = scores.masked_fill(~self.allowed(query.shape[2]), -torch.inf)
        return masked

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, width)."""
        parts = self.read(x).unflatten(-1, (3, self.heads, -1))  # (B, L, 3, heads, D)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = self.scores(query, key).softmax(-1) @ value
        features: Tensor = self.write(mixed.transpose(1, 2).flatten(2))
        return features


class Recurrence(nn.Module):
    """A recurrent layer of torch over everything since the start."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.layer = getattr(nn, kind)(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, width)."""
        features: Tensor = self.layer(x)[0]
        return features


class WindowRecurrence(nn.Module):
    """A recurrent layer that starts anew for every output, `window` inputs before it."""

    def __init__(self, width: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.layer = nn.GRU(width, width, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, width)."""
        padded = F.pad(x, (0, 0, self.window - 1, 0))
        windows = padded.unfold(1, self.window, 1).transpose(2, 3)  # (B, L, window, width)
        features: Tensor = self.layer(windows.flatten(0, 1))[0][:, -1].unflatten(0, x.shape[:2])
        return features


class Residual(nn.Module):
    """A layer with what stands around it in networks, all of it for each position alone."""

    def __init__(
        self, layer: nn.Module, width: int, activation: Callable[[Tensor], Tensor], skip: bool
    ) -> None:
        super().__init__()
        self.layer, self.activation, self.skip = layer, activation, skip
        self.normalised = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, width)."""
        mixed = self.activation(self.layer(self.normalised(x)))
        return x + mixed if self.skip else mixed


class Stack(nn.Module):
    """An embedding of ids or a map of vectors, layers one after the other, a readout."""

    def __init__(self, layers: list[nn.Module], width: int, *, ids: bool) -> None:
        super().__init__()
        self.enter = nn.Embedding(VOCABULARY, width) if ids else nn.Linear(3, width)
        self.layers = nn.Sequential(*layers)
        self.leave = nn.Linear(width, 5)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (B, L, 5) of ids (B, L) or vectors (B, L, 3)."""
        outputs: Tensor = self.leave(self.layers(self.enter(inputs)))
        return outputs


@dataclass(frozen=True)
class Made:
    """A random network.

    Attributes:
        module: the network.
        field: the most inputs that an output depends on; None: everything.
        kind: of its layers.
    """

    module: nn.Module
    field: int | None
    kind: str


KINDS = ("convolutions", "windows", "recurrent", "mixture")
ACTIVATIONS = (torch.tanh, F.gelu, F.relu, F.silu)


def random_network(seed: int) -> Made:
    """Return a network; the kinds take turns, and every second one reads ids."""
    rng = np.random.default_rng([seed, 27])
    kind = KINDS[seed % len(KINDS)]
    width = int(rng.choice([4, 8, 12]))
    field: int | None = 1
    layers: list[nn.Module] = []
    with seeded(seed):
        for _ in range(int(rng.integers(1, 6 if kind == "convolutions" else 4))):
            layer, past = _layer(rng, kind, width, LONGEST - (field or 1))
            field = None if field is None or past is None else field + past
            activation = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
            layers.append(Residual(layer, width, activation, skip=bool(rng.integers(2))))
        module = Stack(layers, width, ids=seed // len(KINDS) % 2 == 0)
    return Made(module, field, kind)


def _layer(
    rng: np.random.Generator, kind: str, width: int, most: int
) -> tuple[nn.Module, int | None]:
    """Return a layer, and how far back it looks; None: to the start."""
    options = {
        "convolutions": ["convolution"],
        "windows": ["attention"],
        "recurrent": ["recurrence", "window recurrence"],
        "mixture": ["convolution", "attention", "window recurrence", "recurrence"],
    }[kind]
    name = rng.choice(options, p=[0.4, 0.3, 0.2, 0.1] if kind == "mixture" else None)
    if name == "recurrence":
        return Recurrence(width, str(rng.choice(["RNN", "GRU", "LSTM"]))), None
    if name == "window recurrence":
        window = int(rng.integers(1, max(min(40, most // 5), 2)))
        return WindowRecurrence(width, window), window - 1
    if name == "attention":
        window = int(rng.integers(1, max(min(64, most // 4), 2)))
        return WindowAttention(width, int(rng.choice([1, 2, 4])), window), window - 1
    kernel, delay = int(rng.choice([1, 2, 3, 5, 7])), int(rng.choice([0, 0, 0, 1, 4]))
    dilation = int(rng.integers(1, max(min(33, most // 32), 2)))
    return Convolution(width, kernel, dilation, delay), (kernel - 1) * dilation + delay
