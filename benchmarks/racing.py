"""Training loops that run alternately, a few steps at a time.

Other load on the machine then affects all loops equally, and times of neighbouring turns can be
compared.
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

__all__ = ["InProcess", "Loop", "Raced", "SuiteLoop", "race"]


class Loop(Protocol):
    """A training loop with its current state."""

    def run(self, steps: int) -> list[float]:
        """Take some steps; return their losses."""


class SuiteLoop:
    """seqmem's training steps on given batches."""

    def __init__(
        self, model: SequenceModel, task: Task, recipe: Recipe, cut: Iterator[Batch], device: str
    ) -> None:
        """Create a loop for a model, on its device, that starts with the first batch."""
        self._model, self._cut = model, cut
        self._learner = Learner(model, task.loss, recipe, device)
        self._state: State = None
        self._taken = 0

    def run(self, steps: int) -> list[float]:
        """Take some steps; return their losses, which are read together at the end."""
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


class InProcess:
    """A loop in a separate process without the settings of seqmem's training processes.

    The process ends when this object is deleted.
    """

    def __init__(self, make: Callable[[], Loop], seed: int, device: str) -> None:
        """Start the process with a picklable function that builds the loop, a seed and a device."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, make, seed, device), daemon=True).start()
        theirs.close()
        self._pipe.recv()  # wait until it is ready

    def run(self, steps: int) -> list[float]:
        """Take some steps; return their losses."""
        self._pipe.send(steps)
        losses: list[float] = self._pipe.recv()
        return losses


def _serve(pipe: Connection, make: Callable[[], Loop], seed: int, device: str) -> None:
    """Take steps on request until the other end closes the pipe."""
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
    """The results of loops that ran alternately.

    Attributes:
        losses: of each loop, step by step.
        seconds: of each loop, per step in each of its turns except the first.
    """

    losses: dict[str, list[float]]
    seconds: dict[str, list[float]]


def race(loops: dict[str, Loop], steps: int, turn: int, seed: int, device: str) -> Raced:
    """Run all loops alternately; each round begins with the next of them.

    Args:
        loops: name -> loop.
        steps: of each loop; a remainder that fills no turn is skipped.
        turn: steps of one loop before the next one runs.
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
    """Take some steps; return their losses once the device has finished."""
    found = loop.run(steps)
    _wait(device)
    return found


def _wait(device: str) -> None:
    """Wait until a GPU has finished."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
