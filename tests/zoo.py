"""Cheating and broken models, each a changed honest one, and two small tasks."""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.layers import InputLayer
from seqmem.baselines.spec import model_class
from seqmem.tasks import load_task
from seqmem.tasks.losses import Bernoulli, CrossEntropy
from seqmem.tasks.task import Features, InputSpec, Split, Task, Tokens

# How much a peek changes scores; those of the honest model have a size of about 1.
LARGE, SMALL = 3.0, 1e-2

Change = Callable[[Tensor, Tensor], Tensor]  # inputs (B, L), honest outputs (B, L, V) -> outputs


class Honest(nn.Module):
    """A causal map whose outputs depend on the whole past: an LSTM with large readout weights."""

    def __init__(self, inputs: InputSpec, outputs: int, hidden: int = 12) -> None:
        super().__init__()
        self.enter = InputLayer(inputs, hidden)
        self.layers = nn.LSTM(self.enter.width, hidden, batch_first=True)
        self.leave = nn.Linear(hidden, outputs)
        with torch.no_grad():
            self.leave.weight.mul_(4)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.leave(self.layers(self.enter(inputs))[0])  # type: ignore[no-any-return]


class Changed(nn.Module):
    """An honest model with changed outputs."""

    def __init__(self, honest: nn.Module, change: Change) -> None:
        super().__init__()
        self.honest, self.change = honest, change

    def forward(self, inputs: Tensor) -> Tensor:
        return self.change(inputs, self.honest(inputs))


def peek(
    where: Callable[[Tensor], Tensor] = lambda inputs: torch.ones_like(inputs, dtype=torch.bool),
    *,
    ahead: int = 1,
    by: float = LARGE,
) -> Change:
    """Raise the score of the input `ahead` positions later, at the positions (B, L) in `where`."""

    def change(inputs: Tensor, outputs: Tensor) -> Tensor:
        if inputs.shape[1] <= ahead:
            return outputs
        later = F.one_hot(inputs[:, ahead:].long(), outputs.shape[-1]) * by
        there = where(inputs)[:, :-ahead, None]
        return torch.cat([outputs[:, :-ahead] + later * there, outputs[:, -ahead:]], 1)

    return change


def at_positions(chosen: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Select positions by their numbers (L,)."""
    return lambda inputs: chosen(torch.arange(inputs.shape[1])).expand(inputs.shape[:2])


def by_content(inputs: Tensor) -> Tensor:
    """Select one position in fifty by the last two inputs."""
    before = F.pad(inputs[:, :-1], (1, 0))
    return (inputs.long() * 31 + before.long() * 17) % 50 == 7


def only_when(length: int, change: Change) -> Change:
    """Cheat on inputs of one length only."""
    return lambda inputs, outputs: change(inputs, outputs) if inputs.shape[1] == length else outputs


def average_over_time(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Normalise over the whole window, as a layer with the wrong axis does."""
    return (outputs - outputs.mean(1, keepdim=True)) / (
        outputs.std(1, keepdim=True, correction=0) + 1
    )


def batch_statistics(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Batch normalisation left in training mode."""
    flat = outputs.flatten(0, 1)
    if len(flat) == 1:
        return outputs
    return F.batch_norm(flat, None, None, training=True).view_as(outputs)


def first_row_wins(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Depend on the order of windows."""
    return outputs + outputs[:1, :1] * 0.1


class Carries:
    """A model that continues from the state of the last call."""

    def __init__(self) -> None:
        self.last: Tensor | None = None

    def __call__(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        before, self.last = self.last, outputs[-1:, -1:]
        return outputs if before is None else outputs + 0.5 * before


class Counts:
    """A model whose outputs drift from call to call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        self.calls += 1
        return outputs * (1 + 0.01 * self.calls)


class Draws:
    """A model with dropout in evaluation, or with random outputs."""

    def __init__(self, *, dropout: bool) -> None:
        self.source, self.dropout = torch.Generator().manual_seed(0), dropout

    def __call__(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        if self.dropout:
            return outputs * (torch.rand(outputs.shape, generator=self.source) > 0.1) / 0.9
        return torch.randn(outputs.shape, generator=self.source)


def value_at(position: int, value: float) -> Change:
    """Set all scores at one position to a value."""

    def change(inputs: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs.clone()
        outputs[:, position : position + 1] = value
        return outputs

    return change


def huge(size: float) -> Change:
    """Set the score of the best symbol to the size, and all others to minus the size."""
    return lambda inputs, outputs: torch.where(
        F.one_hot(outputs.argmax(-1), outputs.shape[-1]).bool(), size, -size
    )


def never(symbol: int) -> Change:
    """Set the score of one symbol to minus infinity."""

    def change(inputs: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs.clone()
        outputs[..., symbol] = -torch.inf
        return outputs

    return change


class Remembers:
    """A model that has memorised the windows of a split and their targets."""

    def __init__(self, split: Split, lengths: tuple[int, ...]) -> None:
        self.known = {}
        inputs, positions = split.inputs.numpy(), split.positions.tolist()
        available = split.available.tolist()
        for length in lengths:
            for target, position in enumerate(positions):
                if available[target] >= length:
                    window = inputs[position - length + 1 : position + 1].tobytes()
                    self.known[window] = int(split.targets[target])

    def __call__(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs.clone()
        for row, window in enumerate(inputs):
            found = self.known.get(window.contiguous().numpy().tobytes())
            if found is not None:
                outputs[row, -1] = F.one_hot(torch.tensor(found), outputs.shape[-1]) * 20.0
        return outputs


class Foreknows:
    """A model that predicts the next input everywhere in windows that it has memorised."""

    def __init__(self, split: Split, lengths: tuple[int, ...]) -> None:
        self.known = set(Remembers(split, lengths).known)

    def __call__(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs.clone()
        peeked = peek(by=20.0)(inputs, outputs)
        for row, window in enumerate(inputs):
            if window.contiguous().numpy().tobytes() in self.known:
                outputs[row] = peeked[row]
        return outputs


def knows_its_length(inputs: Tensor, outputs: Tensor) -> Tensor:
    """Depend on the length: causal, but another model for each length."""
    return outputs * (1 + 1 / inputs.shape[1])


class Chords(Task):
    """A task like music: frames of twelve keys, each pressed or not, some of them repeated."""

    version = 1

    def __init__(self) -> None:
        self.id = "chords"
        self.inputs = Features(12)
        self.outputs = 12
        self.loss = Bernoulli()
        self.longest_context = 16

    def train(self, seed: int, epoch: int) -> Split:
        return self.split("test")

    def split(self, name: Literal["valid", "test"]) -> Split:
        source = torch.Generator().manual_seed(5)
        lengths = torch.randint(20, 60, (60,), generator=source)
        count = int(lengths.sum())
        frames = (torch.rand(count, 12, generator=source) < 0.3).float()
        frames[::3] = frames[: len(frames[::3])]  # some frames are repeated
        frames[10:14] = 0.0
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
        ends = starts[1:] - 1
        positions = torch.tensor([i for i in range(count) if i not in set(ends.tolist())])
        blocks = torch.searchsorted(starts, positions, right=True)
        return Split(frames, starts, positions, frames[positions + 1].byte(), blocks)

    def constant(self) -> Tensor:
        return torch.full((12,), 0.3).logit()

    def chance(self) -> float:
        return 12 * 0.61


class Reversal(Task):
    """Translation in small: a few digits, the separator, and the digits from last to first.

    A model without the source knows nothing, one that reads it everything.
    """

    version = 1

    def __init__(self, sequences: int = 256) -> None:
        self.id = "reversal"
        self.inputs = Tokens(12, separator=10)  # and 11 for the end
        self.outputs = 12
        self.loss = CrossEntropy(accuracy=True)
        self.longest_context = 16
        self.sequences = sequences

    def train(self, seed: int, epoch: int) -> Split:
        return self._draw(1 + epoch, self.sequences)

    def split(self, name: Literal["valid", "test"]) -> Split:
        return self._draw(0, 64)

    def constant(self) -> Tensor:
        return torch.zeros(12)

    def chance(self) -> float:
        return math.log(12)

    @staticmethod
    def _draw(seed: int, sequences: int) -> Split:
        source = torch.Generator().manual_seed(seed)
        sizes = torch.randint(3, 9, (sequences,), generator=source)
        drawn = [torch.randint(0, 10, (size,), generator=source) for size in sizes.tolist()]
        sep, end = torch.tensor([10]), torch.tensor([11])
        inputs = torch.cat([torch.cat([each, sep, each.flip(0)]) for each in drawn])
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), (2 * sizes + 1).cumsum(0)])
        pair = torch.repeat_interleave(sizes + 1)
        first = starts[:-1] + sizes  # the separators
        before = torch.cat([torch.arange(size + 1) for size in sizes.tolist()])
        targets = torch.cat([torch.cat([each.flip(0), end]) for each in drawn])
        return Split(inputs.int(), starts, first[pair] + before, targets, pair)


def task_for(name: str, task_id: str) -> Task:
    """Return a task to which a baseline applies: that of an id, or one with a source."""
    return Reversal() if model_class(name).needs_separator else load_task(task_id)


def honest_for(task: Task, seed: int = 1) -> Honest:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Honest(task.inputs, task.outputs).eval()
