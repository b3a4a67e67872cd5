"""Networks with one planted fault each, as a library of layers might get it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.training.loop import seeded
from seqmem.tests.probe_networks import Convolution, Recurrence, Stack, WindowAttention

WIDTH = 16


class PaddedOffByOne(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x.transpose(1, 2), (self.past - 1, 1))
        features: Tensor = self.layer(padded).transpose(1, 2)
        return features


class PaddedOnBothSides(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        half = self.past // 2
        padded = F.pad(x.transpose(1, 2), (half, self.past - half))
        features: Tensor = self.layer(padded).transpose(1, 2)
        return features


class FlippedKernel(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flip(1)).flip(1)


class MaskOffByOne(WindowAttention):
    def allowed(self, length: int) -> Tensor:
        return torch.ones(length, length, dtype=torch.bool).tril(1)


class OneHeadAtOnePosition(WindowAttention):
    """One head of eight sees the next input, at one position in fifty."""

    def allowed(self, length: int) -> Tensor:
        seen = super().allowed(length).repeat(self.heads, 1, 1)
        for position in range(17, length - 1, 50):
            seen[3, position, position + 1] = True
        return seen


class SoftMask(WindowAttention):
    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        masked: Tensor = scores - 15.0 * ~self.allowed(query.shape[2])
        return masked


class SoftmaxOverQueries(WindowAttention):
    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.read(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2)
        weights = scores.softmax(-2) * self.allowed(x.shape[1])
        features: Tensor = self.write((weights @ value).transpose(1, 2).flatten(2))
        return features


class NormalisedOverTime(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x.transpose(1, 2)).transpose(1, 2)


class NormalisedOverTheBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1).sqrt()


class BatchNormInTraining(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x.transpose(1, 2), None, None, training=True).transpose(1, 2)


class ScaledByTheLargest(nn.Module):
    """By a number without a gradient, of the whole sequence."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.detach().abs().amax((1, 2), keepdim=True)


class ChosenOverTime(nn.Module):
    """Only the 32 positions with the largest scores pass, as where experts choose tokens."""

    def forward(self, x: Tensor) -> Tensor:
        score = x.detach().sum(-1)
        kept = torch.zeros_like(score).scatter_(1, score.topk(min(32, x.shape[1]), 1).indices, 1.0)
        return x * kept[..., None]


class BlockSummary(nn.Module):
    """The mean of a block of eight inputs, also where the block is not over."""

    def forward(self, x: Tensor) -> Tensor:
        blocks = F.pad(x, (0, 0, 0, -x.shape[1] % 8)).unflatten(1, (-1, 8))
        means = blocks.mean(2, keepdim=True).expand_as(blocks).flatten(1, 2)
        summed: Tensor = x + means[:, : x.shape[1]]
        return summed


class CircularConvolution(nn.Module):
    """By Fourier transforms that are not padded: the kernel wraps around."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(4096, WIDTH) * 0.99 ** torch.arange(4096)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        spectrum = torch.fft.rfft(self.kernel[:length], dim=0) * torch.fft.rfft(x, dim=1)
        features: Tensor = torch.fft.irfft(spectrum, n=length, dim=1)
        return features


class BackwardSum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1e-3 * x.flip(1).cumsum(1).flip(1)


class PositionFromTheEnd(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        position = torch.arange(x.shape[1], dtype=x.dtype).flip(0)
        return x + torch.sin(position)[:, None]


class Dropping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.1, training=True)


class OwnNoise(nn.Module):
    """Random numbers of a generator of its own, which no seed of torch reaches."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        OwnNoise.calls += 1
        random = torch.Generator().manual_seed(OwnNoise.calls)
        return x + 0.01 * torch.randn(x.shape, generator=random)


class Remembering(nn.Module):
    """The state of the last call, not cleared before the next."""

    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        given = x + self.last
        self.last = x.detach()[:, -1].mean(0)
        return given


class FlattenedBatch(Convolution):
    """A convolution over all sequences of the batch, one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = super().forward(x.flatten(0, 1)[None])[0].unflatten(0, x.shape[:2])
        return features


class DeclaresTooLittle(nn.Module):
    receptive_field = 8

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.layers(inputs)
        return outputs


class BothDirections(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(WIDTH, WIDTH // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layer(x)[0]
        return features


@dataclass(frozen=True)
class Planted:
    """A fault.

    Attributes:
        name: what is wrong.
        caught_as: the name of the fault that a probe should report.
        make: returns the layer.
    """

    name: str
    caught_as: str
    make: Callable[[], nn.Module]


def _attention(kind: type[WindowAttention], heads: int = 8) -> Callable[[], nn.Module]:
    return lambda: kind(WIDTH, heads, None)


FAULTS = (
    Planted("padding off by one", "causality", lambda: PaddedOffByOne(WIDTH, 3, 4)),
    Planted("padding on both sides", "causality", lambda: PaddedOnBothSides(WIDTH, 5, 2)),
    Planted("flipped kernel", "causality", lambda: FlippedKernel(WIDTH, 3, 1)),
    Planted("mask off by one", "causality", _attention(MaskOffByOne)),
    Planted("one head of eight, one position in fifty", "causality",
            _attention(OneHeadAtOnePosition)),
    Planted("mask subtracts 15", "causality", _attention(SoftMask)),
    Planted("softmax over queries", "causality", _attention(SoftmaxOverQueries)),
    Planted("normalised over time", "causality", NormalisedOverTime),
    Planted("scaled by the largest, without gradient", "causality", ScaledByTheLargest),
    Planted("positions chosen over time, without gradient", "causality", ChosenOverTime),
    Planted("mean of an unfinished block", "causality", BlockSummary),
    Planted("circular convolution", "causality", CircularConvolution),
    Planted("sum from the end", "causality", BackwardSum),
    Planted("bidirectional layer", "causality", BothDirections),
    Planted("batch normalisation in training mode", "batch", BatchNormInTraining),
    Planted("normalised over the batch", "batch", NormalisedOverTheBatch),
    Planted("batch flattened into time", "batch", lambda: FlattenedBatch(WIDTH, 3, 2)),
    Planted("positions counted from the end", "length", PositionFromTheEnd),
    Planted("dropout left on", "random", Dropping),
    Planted("noise of its own", "repeat", OwnNoise),
    Planted("state kept between calls", "state", Remembering),
    Planted("declares one input too few", "receptive field", lambda: Convolution(WIDTH, 9, 1)),
)  # fmt: skip


def planted(fault: Planted, *, ids: bool = False) -> nn.Module:
    """Return a network with the fault's layer between a convolution and a readout."""
    with seeded(5):
        layers: list[nn.Module] = [fault.make()]
        if fault.caught_as not in ("receptive field",):
            layers.insert(0, Convolution(WIDTH, 2, 1))
            layers.append(Recurrence(WIDTH, "GRU"))
        module: nn.Module = Stack(layers, WIDTH, ids=ids)
    return DeclaresTooLittle(module) if fault.caught_as == "receptive field" else module
