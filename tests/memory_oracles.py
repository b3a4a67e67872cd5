"""Models that reach the optimum of the tasks of suite memory; two with a limited memory."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.tasks.associative_recall import AssociativeRecall
from seqmem.tasks.induction import Induction
from seqmem.tasks.long_memory import LongMemory
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.selective_copy import MARK, SelectiveCopy
from seqmem.tasks.state_tracking import StateTracking
from seqmem.tests.oracles import CERTAIN

# A sequence and its probability, and the positions of its targets with their values.
Case = tuple[float, tuple[int, ...], dict[int, int]]


def smallest_loss(cases: Iterable[Case], k: int) -> float:
    """Return the entropy of a target given its window, by enumeration of all sequences.

    A predictor sees the last k inputs, or those since the start, and not where they are.
    """
    weights: dict[tuple[int, ...], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for probability, inputs, targets in cases:
        for position, target in targets.items():
            window = inputs[max(0, position - k + 1) : position + 1]
            weights[window][target] += probability
    total = math.fsum(w for found in weights.values() for w in found.values())
    loss = 0.0
    for found in weights.values():
        seen = math.fsum(found.values())
        loss -= math.fsum(w * math.log(w / seen) for w in found.values())
    return loss / total


class TableOracle(FullOutputs):
    """Recalls the values of the last `pairs` pairs that it read: a table, two floats a pair."""

    def __init__(self, task: AssociativeRecall, pairs: int | None = None) -> None:
        super().__init__(nn.Identity())
        self.task, self.pairs = task, task.pairs if pairs is None else pairs

    def hidden(self, inputs: Tensor, state: object = None) -> tuple[Tensor, None]:
        tokens, keys = inputs.long(), self.task.keys
        batch, length = tokens.shape
        rows = torch.arange(batch)
        values = torch.zeros(batch, keys, dtype=torch.int64)
        written = torch.full((batch, keys), -(10**9))
        outputs = torch.zeros(batch, length, self.task.values)
        for t in range(length):
            token = tokens[:, t]
            is_key = token < keys
            key = token.clamp(max=keys - 1)
            known = is_key & (t - written[rows, key] <= 2 * self.pairs - 1)
            certain = F.one_hot(values[rows, key], self.task.values) * CERTAIN
            outputs[:, t] = torch.where(known[:, None], certain, 0.0)
            if t:
                before = tokens[:, t - 1]
                complete = ~is_key & (before < keys)
                values[rows[complete], before[complete]] = token[complete] - keys
                written[rows[complete], before[complete]] = t
        return outputs, None

    def state_size(self, context: int) -> int:
        return 2 * self.pairs


class AutomatonOracle(FullOutputs):
    """Tracks the state of Z_n modulo a divisor of n, or of any group exactly, from a mark on."""

    def __init__(self, task: StateTracking, states: int | None = None) -> None:
        super().__init__(nn.Identity())
        self.task = task
        self.products = torch.from_numpy(task.products)
        self.states = task.order if states is None else states

    def hidden(self, inputs: Tensor, state: object = None) -> tuple[Tensor, None]:
        order = self.task.order
        element, marked = inputs.long() % order, inputs >= order
        current = torch.zeros(len(inputs), dtype=torch.int64)
        known = torch.zeros(len(inputs), dtype=torch.bool)
        outputs = []
        for g, mark in zip(element.T, marked.T, strict=True):
            current = torch.where(mark, g, self.products[current, g]) % self.states
            known = known | mark
            alike = torch.arange(order) % self.states == current[:, None]
            outputs.append(torch.where(known[:, None] & alike, CERTAIN, 0.0))
        return torch.stack(outputs, 1), None

    def state_size(self, context: int) -> int:
        return 1


class SelectiveOracle(nn.Module):
    """Counts symbols from the last, and so finds the one that is due; or keeps the last ones."""

    def __init__(self, task: SelectiveCopy, kept: int | None = None) -> None:
        super().__init__()
        self.data = task.data
        self.kept = task.data if kept is None else kept

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = inputs.long()
        is_symbol = (tokens >= 1) & (tokens < MARK)
        rank = is_symbol.cumsum(1)
        due = (tokens == MARK).cumsum(1)
        wanted = rank[:, -1:] - (self.data - due)  # the rank among those seen, from 1
        by_rank = torch.zeros(len(tokens), self.data + 1, dtype=torch.int64)
        by_rank.scatter_(1, torch.where(is_symbol, rank, 0), tokens)
        known = (tokens == MARK) & (wanted >= 1) & (due > self.data - self.kept)
        symbol = by_rank.gather(1, wanted.clamp(min=1, max=self.data)) - 1
        certain = F.one_hot(symbol.clamp(min=0), 8) * CERTAIN
        return torch.where(known[..., None], certain, 0.0)


class InductionOracle(nn.Module):
    """Recalls what followed the first trigger, or bets on the first input of the window."""

    def __init__(self, task: Induction) -> None:
        super().__init__()
        self.task = task

    def forward(self, inputs: Tensor) -> Tensor:
        tokens, symbols = inputs.long(), self.task.symbols
        batch, length = tokens.shape
        outputs = torch.zeros(batch, length, symbols)
        if length == 1:
            return outputs
        first = tokens[:, :-1].eq(symbols).float().argmax(1)
        found = tokens[:, :-1].eq(symbols).any(1)
        followed = tokens[torch.arange(batch), first + 1].clamp(max=symbols - 1)
        known = F.one_hot(followed, symbols) * CERTAIN
        missed = 1 / max(1, self.task.length - length + 1)
        bet = F.one_hot(tokens[:, 0].clamp(max=symbols - 1), symbols) * missed
        guessed = (bet + (1 - missed) / symbols).clamp(min=1e-30).log()
        outputs[:, -1] = torch.where(found[:, None], known, guessed)
        return outputs


class LinearOracle(nn.Module):
    """The best linear prediction of the next value from all values in view (Durbin-Levinson)."""

    def __init__(self, task: LongMemory) -> None:
        super().__init__()
        coefficients = np.zeros((task.length, task.length))  # of inputs, a row for each output
        latest_first = np.zeros(0)
        for n in range(1, task.length + 1):
            partial = task.d / (n - task.d)
            latest_first = np.append(latest_first - partial * latest_first[::-1], partial)
            coefficients[n - 1, :n] = latest_first[::-1]
        self.coefficients = torch.from_numpy(coefficients)

    def forward(self, inputs: Tensor) -> Tensor:
        length = inputs.shape[1]
        predicted = inputs[..., 0].double() @ self.coefficients[:length, :length].T
        return predicted.float()[..., None]


def subsets(places: int, size: int) -> list[tuple[int, ...]]:
    """Return all ways to choose some of the places."""
    return list(itertools.combinations(range(places), size))
