"""Hidden Markov topics: next-symbol prediction whose optimum is known at every k.

A hidden topic z_t is one of 8. At each step it stays with probability 1 − 1/dwell and otherwise
changes to one of the other seven, uniformly, so that it lasts `dwell` steps on average; the first
topic is uniform, which is the stationary distribution. Topic i emits symbol j of 32 with

    p(j | i) proportional to 1 / sqrt(1 + ((j − 4 i) mod 32)),

a power law, rotated by four symbols from topic to topic. Inputs are the symbols, the target at
every position is the next symbol. One symbol says little about the topic, so that context helps as
long as a topic lasts: up to about k = dwell.

L*(k) is the loss of the Bayes predictor on the same windows on which models are scored: the forward
algorithm (Rabiner 1989, section III.A), started from the stationary distribution on each window.
"""

from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer
from seqmem.tasks.task import Split, Task, Tokens, generator

__all__ = ["HiddenMarkov"]

TOPICS = 8
SYMBOLS = 32
TARGETS = {"valid": 8192, "test": 40_960}
TRAIN_TARGETS = 1 << 18


class HiddenMarkov(Task):
    """``hidden-markov/dwell=20``."""

    version: ClassVar[int] = 1
    next_token: ClassVar[bool] = True

    def __init__(self, dwell: int) -> None:
        """Take the mean number of steps that a topic lasts, at least 2."""
        self.id = f"hidden-markov/dwell={dwell}"
        self.inputs = Tokens(SYMBOLS)
        self.outputs = SYMBOLS
        self.loss = CrossEntropy(unit="nats per symbol")
        self.dwell = dwell
        # Older inputs add nothing: for dwell = 10, 20, 100 L*(k) is within 1e-4 nats of L*(full).
        self.longest_context = 1 << (2 * dwell - 1).bit_length()
        self.length = 8 * self.longest_context

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "HiddenMarkov":
        """Return the task of an id's parameters.

        Raises:
            InputError: dwell is missing, not a number, or not within 2 … 1,000.
        """
        check_names(parameters, ("dwell",), "hidden-markov/dwell=20")
        return cls(integer("dwell", parameters["dwell"], 2, 1000))

    @property
    def emission(self) -> np.ndarray:
        """(8, 32) p(symbol | topic)."""
        rotated = (np.arange(SYMBOLS) - 4 * np.arange(TOPICS)[:, None]) % SYMBOLS
        weights = 1.0 / np.sqrt(1.0 + rotated)
        return np.asarray(weights / weights.sum(1, keepdims=True))

    @property
    def transition(self) -> np.ndarray:
        """(8, 8) p(next topic | topic)."""
        move = 1.0 / self.dwell
        others = np.full((TOPICS, TOPICS), move / (TOPICS - 1))
        np.fill_diagonal(others, 1.0 - move)
        return others

    def train(self, seed: int, epoch: int) -> Split:
        """Draw one epoch's sequences."""
        return self._draw(generator(self.id, "train", seed, epoch), TRAIN_TARGETS)

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the fixed sequences."""
        return self._draw(generator(self.id, name), TARGETS[name])

    def constant(self) -> Tensor:
        """Return the log of the stationary distribution of the symbols."""
        return torch.from_numpy(np.log(self.emission.mean(0))).float()

    def chance(self) -> float:
        """Return the entropy of the stationary distribution of the symbols."""
        marginal = self.emission.mean(0)
        return float(-(marginal * np.log(marginal)).sum())

    @cache  # noqa: B019 - a task lives as long as the run
    def optimum(self, k: int | Literal["full"]) -> float:
        """Return the Bayes predictor's loss on the windows of the test split."""
        return float(self.optimal_losses(self.split("test"), k).mean())

    def optimal_losses(self, split: Split, k: int | Literal["full"]) -> np.ndarray:
        """Return the Bayes predictor's loss on each window of a split: (n,) nats."""
        if k == "full":
            return self._carried_losses(split)
        emission, transition = self.emission, self.transition
        available = split.available.numpy()
        positions = split.positions.numpy()
        inputs = split.inputs.numpy()
        longest = min(k, int(available.max()))
        belief = np.full((len(split), TOPICS), 1.0 / TOPICS)  # p(z_t | the window before t)
        for lag in range(longest - 1, -1, -1):
            seen = lag < available
            likelihood = emission[:, inputs[np.maximum(positions - lag, 0)]].T  # (n, 8)
            # Before the sequence begins nothing is observed: the belief stays stationary.
            belief *= np.where(seen[:, None], likelihood, 1.0)
            belief /= belief.sum(1, keepdims=True)
            belief = belief @ transition
        predicted = (belief * emission[:, split.targets.numpy()].T).sum(1)
        return np.asarray(-np.log(predicted))

    def _carried_losses(self, split: Split) -> np.ndarray:
        """Return the losses of one forward pass through each sequence: equal to k = its length."""
        emission, transition = self.emission, self.transition
        inputs = split.inputs.numpy().reshape(-1, self.length)
        targets = split.targets.numpy().reshape(-1, self.length)
        losses = np.empty(inputs.shape)
        belief = np.full((len(inputs), TOPICS), 1.0 / TOPICS)
        for t in range(self.length):
            belief *= emission[:, inputs[:, t]].T
            belief /= belief.sum(1, keepdims=True)
            belief = belief @ transition
            losses[:, t] = -np.log((belief * emission[:, targets[:, t]].T).sum(1))
        return losses.reshape(-1)

    def _draw(self, rng: np.random.Generator, targets: int) -> Split:
        sequences, length = max(8, -(-targets // self.length)), self.length
        moves = rng.random((sequences, length + 1)) < 1.0 / self.dwell
        steps = np.where(moves, rng.integers(1, TOPICS, moves.shape), 0)
        steps[:, 0] = rng.integers(0, TOPICS, sequences)
        topics = np.cumsum(steps, 1) % TOPICS
        # Symbols by inverting the cumulative distribution, which topics share up to rotation.
        cumulative = np.cumsum(self.emission[0])
        ranks = np.searchsorted(cumulative, rng.random(topics.shape), side="right")
        symbols = (np.minimum(ranks, SYMBOLS - 1) + 4 * topics) % SYMBOLS
        total = sequences * length
        return Split(
            torch.from_numpy(symbols[:, :-1].reshape(-1).astype(np.int32)),
            torch.arange(sequences + 1) * length,
            torch.arange(total),
            torch.from_numpy(symbols[:, 1:].reshape(-1).astype(np.int64)),
            torch.arange(total) // length,
        )
