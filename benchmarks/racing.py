"""Training loops side by side: each takes a few steps, then it is the next one's turn.

Other work on the machine then slows all alike, and times of neighbouring turns can be compared.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from typing import Protocol

import torch
from common import timed
from torch import Tensor

from seqmem.baselines.training.batches import Batch, Step
from seqmem.baselines.training.learner import Learner
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Task

__all__ = ["Elsewhere", "Loop", "Raced", "SuiteLoop", "race"]


class Loop(Protocol):
    """One way of training, wherever it has got to."""

    def run(self, steps: int) -> list[float]:
        """Take some steps; give their losses."""


class SuiteLoop:
    """The suite's steps, batches made as its training loop makes them."""

    def __init__(
        self, model: SequenceModel, task: Task, recipe: Recipe, cut: Iterator[Batch], device: str
    ) -> None:
        """Take a model, on its device, and what it learns, from the beginning."""
        self._model, self._cut = model, cut
        self._learner = Learner(model, task.loss, recipe, device)
        self._state: State = None
        self._taken = 0

    def run(self, steps: int) -> list[float]:
        """Take some steps; give their losses, looked at together."""
        self._model.train()
        losses: list[Tensor] = []
        for batch in islice(self._cut, steps):
            step = Step(len(batch.targets), (batch,))
            loss, self._state = self._learner.learn(step, self._state, taken=self._taken, scale=1.0)
            self._taken += 1
            assert loss is not None
            losses.append(loss)
        found: list[float] = torch.stack(losses).tolist()
        return found


class Elsewhere:
    """A loop in a process of its own, which has none of what the suite sets up in its own.

    The process ends when this is no longer used.
    """

    def __init__(self, make: Callable[[], Loop], seed: int, device: str) -> None:
        """Take what makes the loop there, which is pickled, its dropout's seed, and its device."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, make, seed, device), daemon=True).start()
        theirs.close()
        self._pipe.recv()  # it is ready

    def run(self, steps: int) -> list[float]:
        """Take some steps; give their losses."""
        self._pipe.send(steps)
        losses: list[float] = self._pipe.recv()
        return losses


def _serve(pipe: Connection, make: Callable[[], Loop], seed: int, device: str) -> None:
    """Take steps when asked, until nobody can ask any more."""
    loop = make()
    with seeded(seed):
        pipe.send(None)
        while True:
            try:
                steps = pipe.recv()
            except EOFError:
                return
            pipe.send(_finished(loop, steps, device))


@dataclass(frozen=True)
class Raced:
    """What the ways did side by side.

    Attributes:
        losses: of each way, step by step.
        seconds: of each way, one step's in each of its turns but the first.
    """

    losses: dict[str, list[float]]
    seconds: dict[str, list[float]]


def race(loops: dict[str, Loop], steps: int, turn: int, seed: int, device: str) -> Raced:
    """Train all side by side, in turns; each round begins with the next of them.

    Args:
        loops: name -> where its training begins.
        steps: of each; a rest that fills no turn is left out.
        turn: steps that one takes before it is the next one's turn.
        seed: of dropout.
        device: where they run.
    """
    raced = Raced({name: [] for name in loops}, {name: [] for name in loops})
    names = list(loops)
    with seeded(seed):
        for at in range(steps // turn):
            first = at % len(names)
            for name in (*names[first:], *names[:first]):
                _wait(device)
                seconds, found = timed(lambda: _finished(loops[name], turn, device))  # noqa: B023
                raced.losses[name].extend(found)
                if at > 0:
                    raced.seconds[name].append(seconds / turn)
    return raced


def _finished(loop: Loop, steps: int, device: str) -> list[float]:
    """Take some steps; come back when the last has changed the weights."""
    found = loop.run(steps)
    _wait(device)
    return found


def _wait(device: str) -> None:
    """Wait for a GPU to finish what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
