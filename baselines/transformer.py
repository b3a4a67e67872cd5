"""A causal Transformer that sees a fixed number of latest inputs, all positions alike."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = ["Transformer", "WindowedAttention", "head_size", "window_widths"]

# Queries that share one product of matrices where windows are narrower than that.
SMALLEST_BLOCK = 64
# How much slower the slowest pair of numbers turns than the fastest, at most.
BASE = 10_000.0


class Transformer(LinearReadout):
    """Decoder blocks of attention and a ReLU network (Vaswani et al. 2017, arXiv 1706.03762).

    Layers are normalised before each sublayer and once at the end (Xiong et al. 2020, arXiv
    2002.04745), so that training needs no warm-up. In layer i a position attends to itself and the
    w_i − 1 before it. The receptive field is 1 + Σ (w_i − 1), and that is exactly `context`.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        hidden: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        """Take what comes in, how many outputs go out, and the sizes.

        Args:
            inputs: what one input is.
            outputs: numbers given for each position.
            context: the receptive field.
            hidden: size of the features between layers, and of an id's embedding.
            layers: blocks on top of each other.
            heads: attention heads in each, of hidden / heads numbers, rounded up to pairs.
            dropout: share of features dropped in training behind the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs ids in and as many out.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden)
        ids = self.enter.embedding is not None
        self.match = nn.Identity() if ids else nn.Linear(self.enter.width, hidden)
        # Embeddings have length 1, as a tied readout wants them; features of variance 1 are
        # what the layers add to (section 3.4).
        self.scale = math.sqrt(hidden) if ids else 1.0
        self.dropout = nn.Dropout(dropout)
        self.widths = window_widths(context, layers)
        self.blocks = nn.Sequential(*(_Block(hidden, heads, w, dropout) for w in self.widths))
        self.norm = nn.LayerNorm(hidden)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self.receptive_field = 1 + sum(width - 1 for width in self.widths)
        self._cached = (
            2 * heads * head_size(hidden, heads)
        )  # floats of one position's key and value

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden); no state."""
        features = self.dropout(self.match(self.enter(inputs)) * self.scale)
        return self.norm(self.blocks(features)), None

    def state_size(self, context: int) -> int:
        """Count the past keys and values that the next step attends to."""
        return sum(min(width - 1, context) * self._cached for width in self.widths)


def window_widths(context: int, layers: int) -> list[int]:
    """Share a receptive field out to the layers' windows: 1 + Σ (width − 1) is `context`.

    What the first i of n layers see together is context^(i/n) inputs: it grows geometrically, as
    in dilated convolutions, and the last layer reaches almost all of it at once. Low layers that
    look near and high ones that look far is also what layers choose where they can (Sukhbaatar et
    al. 2019, arXiv 1905.07799, section 4), and loses nothing against far-looking ones everywhere
    (Rae & Razavi 2020, arXiv 2007.03356).

    Returns:
        the windows' widths, the lowest layer's first, each at least 1.
    """
    seen = [round(context ** (layer / layers)) for layer in range(layers + 1)]
    return [1 + after - before for before, after in pairwise(seen)]


class _Block(nn.Module):
    """x + attention(norm(x)), then x + network(norm(x))."""

    def __init__(self, hidden: int, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.LayerNorm(hidden), WindowedAttention(hidden, heads, width), nn.Dropout(dropout)
        )
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


class WindowedAttention(nn.Module):
    """Each position attends to the latest `width` positions, its own among them.

    Positions enter by rotation of queries and keys (Su et al. 2021, arXiv 2104.09864, section
    3.2), so that logits depend on contents and distance alone. A learned bias for each distance
    (Raffel et al. 2020) does as well on the other tasks, but an optimiser moves it too slowly to
    single out the one distance that copy memory asks for.
    """

    def __init__(self, hidden: int, heads: int, width: int) -> None:
        """Take the size of features, the number of heads and the window's width."""
        super().__init__()
        self.heads, self.size = heads, head_size(hidden, heads)
        self.width, self.block = width, max(width - 1, SMALLEST_BLOCK)
        self.project = nn.Linear(hidden, 3 * heads * self.size)
        self.merge = nn.Linear(heads * self.size, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, hidden) -> (B, L, hidden), in time and memory of O(L × width).

        The first block of queries meets all keys so far. Every later block is `self.block` long
        and meets itself and the width − 1 keys before it, so that all have one mask.
        """
        batch, length, _ = features.shape
        block, past = self.block, self.width - 1
        first = length if length < 2 * block else block + length % block
        parts = self.project(features).view(batch, length, 3, self.heads, self.size)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B, heads, L, size)
        mixed = [self._attend(query[:, :, :first], key[:, :, :first], value[:, :, :first])]
        if first < length:
            blocks = [
                part[:, :, begin:].unfold(2, size, block).permute(0, 2, 1, 4, 3).flatten(0, 1)
                for part, begin, size in (
                    (query, first, block),
                    (key, first - past, past + block),
                    (value, first - past, past + block),
                )
            ]  # each (B × blocks, heads, …, size)
            later = self._attend(*blocks).unflatten(0, (batch, -1))
            mixed.append(later.transpose(1, 2).flatten(2, 3))
        merged: Tensor = self.merge(torch.cat(mixed, 2).transpose(1, 2).flatten(2))
        return merged

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(N, heads, q, size) and twice (N, heads, p + q, size) -> (N, heads, q, size).

        The queries are the positions of the last q keys. Positions count from the first key: only
        differences matter, and those of small numbers are exact enough in the longest input.
        """
        keys = torch.arange(key.shape[2], device=key.device)
        queries = keys[-query.shape[2] :]
        distance = queries[:, None] - keys
        # With four dimensions, or the kernels that keep no logits are passed over.
        seen = ((distance >= 0) & (distance < self.width))[None, None]
        return F.scaled_dot_product_attention(
            _rotated(query, queries), _rotated(key, keys), value, attn_mask=seen
        )


def head_size(hidden: int, heads: int) -> int:
    """Give the numbers of one head: its share of the features, rounded up to whole pairs."""
    return 2 * -(-hidden // (2 * heads))


def _rotated(vectors: Tensor, positions: Tensor) -> Tensor:
    """Turn each pair of numbers (…, n, size) by its own angle times the position (n,)."""
    half = vectors.shape[-1] // 2
    speed = BASE ** (-torch.arange(half, device=vectors.device) / half)  # radians a step
    angle = positions[:, None] * speed  # (n, half)
    one, other = vectors.chunk(2, -1)
    cos, sin = angle.cos().to(vectors.dtype), angle.sin().to(vectors.dtype)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], -1)
