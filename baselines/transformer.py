"""A causal Transformer with sliding-window attention: every position sees as many inputs."""

import math
from functools import partial
from itertools import pairwise
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.backbone import Backbone
from seqmem.baselines.options import Count, OneOf, Range, Share
from seqmem.tasks.task import InputSpec

__all__ = ["Positions", "Transformer", "WindowedAttention", "window_widths"]

SMALLEST_BLOCK = 64  # queries in one matrix product, even where windows are narrower
BASE = 10_000.0  # of the rotation speeds: the bound of the ratio of the fastest to the slowest
Positions = Literal["rotary", "alibi", "learned", "none"]  # how attention sees them


class Transformer(Backbone):
    """Decoder blocks of attention and a ReLU network (Vaswani et al. 2017, arXiv 1706.03762).

    In layer i a position attends to itself and the w_i − 1 positions before it. The receptive
    field, 1 + Σ (w_i − 1), equals `context`.

    With `test_context` it is that number instead, more than `context`: the model is trained on
    segments of `context` inputs and reads more afterwards ("train short, test long", Press et al.
    2022, arXiv 2108.12409).
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        hidden: Count = 128,
        layers: Count = 2,
        heads: Count = 4,
        dropout: Share = 0.0,
        tied: bool = False,
        positions: Annotated[Positions, OneOf(get_args(Positions))] = "rotary",
        test_context: Annotated[int, Range(0, 1_000_000)] = 0,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            context: the context to train with.
            hidden: number of features between layers, and size of an id's embedding.
            layers: number of blocks.
            heads: attention heads in each block, of size hidden / heads, rounded up to even.
            dropout: share of features dropped in training after the embedding and each sublayer.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
            positions: how attention sees them, as for `WindowedAttention`.
            test_context: the receptive field; 0: `context`.

        Raises:
            ValueError: `test_context` does not exceed `context`.
        """
        if 0 < test_context <= context:
            raise ValueError(
                f"test_context={test_context} does not exceed the {context} inputs of training"
            )
        widths = window_widths(test_context or context, layers)
        super().__init__(
            inputs,
            outputs,
            [
                partial(WindowedAttention, hidden, heads, width, positions, min(width, context))
                for width in widths
            ],
            hidden=hidden,
            dropout=dropout,
            tied=tied,
        )
        self.widths = widths
        self.receptive_field = 1 + sum(width - 1 for width in widths)
        self.trained_on_segments = test_context > 0
        self._cached = 2 * heads * _head_size(hidden, heads)  # floats of a position's key and value

    def state_size(self, context: int) -> int:
        """Return the number of floats of past keys and values that the next step attends to."""
        return sum(min(width - 1, context) * self._cached for width in self.widths)


def window_widths(context: int, layers: int) -> list[int]:
    """Return the layers' window widths, which make a receptive field of `context` inputs.

    The receptive field of the first i of n layers is context^(i/n) inputs: it grows geometrically,
    as in dilated convolutions, and the last layer's window is almost as wide as `context`. Learned
    attention spans also are short in low layers and long in high ones (Sukhbaatar et al. 2019,
    arXiv 1905.07799, section 4), and this is as good as long windows in all layers (Rae & Razavi
    2020, arXiv 2007.03356).

    Returns:
        the widths, the lowest layer's first; each is at least 1, and 1 + Σ (width − 1) is
        `context`.
    """
    seen = [round(context ** (layer / layers)) for layer in range(layers + 1)]
    return [1 + after - before for before, after in pairwise(seen)]


class WindowedAttention(nn.Module):
    """Attention of each position to the latest `width` positions, itself included.

    Logits depend only on contents and distance:

    - rotary: queries and keys are rotated (Su et al. 2021, arXiv 2104.09864, section 3.2).
    - alibi: each head subtracts the distance times a number of its own, 2^(−8i/heads) for the i-th
      head (Press et al. 2022, arXiv 2108.12409, section 3).
    - learned: each head adds a learned number for each distance, 0 at first (Raffel et al. 2020,
      arXiv 1910.10683, section 2.1, there for ranges of distances). Distances that training does
      not reach share the number of the furthest one. It is learned too slowly to select the single
      distance that copy memory requires.
    - none: on contents alone (Haviv et al. 2022, arXiv 2203.16634); the start of the inputs and the
      bound of the window still tell positions apart.

    A table of absolute positions, as in GPT-2, is not among them: it counts from where reading
    began, so that the same k inputs would have other outputs within a longer text, and a curve over
    k would depend on how the text is cut. Beyond the table there would be no outputs at all.
    """

    def __init__(
        self,
        hidden: int,
        heads: int,
        width: int,
        positions: Positions = "rotary",
        distances: int = 1,
    ) -> None:
        """Create a layer with random weights.

        Args:
            hidden: number of features.
            heads: number of heads.
            width: inputs that a position sees.
            positions: see above.
            distances: how many have a number of their own, where those are learned.
        """
        super().__init__()
        if positions == "learned":
            self.bias = nn.Parameter(torch.zeros(heads, distances))
        self.positions = positions
        self.heads, self.size = heads, _head_size(hidden, heads)
        self.width, self.block = width, max(width - 1, SMALLEST_BLOCK)
        self.project = nn.Linear(hidden, 3 * heads * self.size)
        self.merge = nn.Linear(heads * self.size, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, hidden) -> (B, L, hidden), in time and memory of O(L × width).

        The first block of queries attends to all keys so far. Every later block is `self.block`
        long and attends to its own keys and the width − 1 keys before it, so that all later blocks
        share one mask.
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

        The queries are at the positions of the last q keys. Positions count from the first key:
        only differences matter, and small numbers keep the angles precise in long inputs.
        """
        keys = torch.arange(key.shape[2], device=key.device)
        queries = keys[-query.shape[2] :]
        distance = queries[:, None] - keys
        # A mask with fewer than four dimensions disables the kernels that do not store the logits.
        mask = ((distance >= 0) & (distance < self.width))[None, None]
        if self.positions == "rotary":
            query, key = _rotated(query, queries), _rotated(key, keys)
        if self.positions == "alibi":
            head = torch.arange(1, self.heads + 1, device=key.device)
            slope = 2.0 ** (-8 * head / self.heads)
            bias = -slope[:, None, None] * distance  # (heads, q, p + q)
            mask = bias.masked_fill(~mask, -math.inf).to(query.dtype)
        if self.positions == "learned":
            bias = self.bias[:, distance.clamp(0, self.bias.shape[1] - 1)]  # (heads, q, p + q)
            mask = bias.masked_fill(~mask, -math.inf).to(query.dtype)
        return _attended(query, key, value, mask)


def _head_size(hidden: int, heads: int) -> int:
    """Return the size of one head: its share of the features, rounded up to an even number."""
    return 2 * -(-hidden // (2 * heads))


def _attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Return torch's attention, on a CPU computed in float32 at least.

    There, gradients of bfloat16 take five times as long as those of float32.
    """
    if query.is_cuda or query.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    parts = (query.float(), key.float(), value.float())
    if mask.is_floating_point():
        mask = mask.float()
    with torch.autocast(query.device.type, enabled=False):
        return F.scaled_dot_product_attention(*parts, attn_mask=mask).to(query.dtype)


def _rotated(vectors: Tensor, positions: Tensor) -> Tensor:
    """Return vectors (…, n, size), each pair rotated by the position (n,) times its own angle."""
    half = vectors.shape[-1] // 2
    speed = BASE ** (-torch.arange(half, device=vectors.device) / half)  # radians a step
    angle = positions[:, None] * speed  # (n, half)
    one, other = vectors.chunk(2, -1)
    cos, sin = angle.cos().to(vectors.dtype), angle.sin().to(vectors.dtype)
    return torch.cat([one * cos - other * sin, one * sin + other * cos], -1)
