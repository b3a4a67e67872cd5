"""Generated tasks whose test sequences may be longer than those of training.

``longer=4`` at the end of an id asks for test sequences four times as long. Everything else is that
of the task without it: models are trained and validated on its sequences, once for both. Test data,
optimum and scores are those of the longer sequences, a task of its own, so that they never mix.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache, cached_property
from typing import ClassVar, Literal

import numpy as np

from seqmem.tasks import load_task
from seqmem.tasks.parameters import integer
from seqmem.tasks.task import Split, Task, generator

__all__ = ["GeneratedTask", "longer_of"]

LONGEST = 16


def longer_of(parameters: Mapping[str, str]) -> int:
    """Return the parameter `longer`, 1 where it is missing.

    Raises:
        InputError: it is not a number within 1 … 16.
    """
    return integer("longer", parameters.get("longer", "1"), 1, LONGEST)


class GeneratedTask(Task):
    """A task that draws its sequences.

    Attributes:
        sequences: how many are drawn for one epoch of training, validation and test.
        fewest: how many test sequences there are at least, however long they are.
        longer: how many times as long as in training test sequences are.
    """

    fewest: ClassVar[int] = 128

    sequences: Mapping[str, int]
    longer: int

    def __init__(self, task_id: str, longer: int) -> None:
        """Take the id without `longer`, and how many times as long test sequences are."""
        self.id = f"{task_id},longer={longer}" if longer > 1 else task_id
        self.longer = longer

    @cached_property
    def trained_on(self) -> Task:
        """The task without `longer`."""
        return self if self.longer == 1 else load_task(self.id.rpartition(",")[0])

    def train(self, seed: int, epoch: int) -> Split:
        """Draw one epoch's sequences."""
        if self.trained_on is not self:
            return self.trained_on.train(seed, epoch)
        return self._draw(generator(self.id, "train", seed, epoch), self.sequences["train"])

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the fixed sequences; of longer ones there are fewer."""
        if name == "valid" and self.trained_on is not self:
            return self.trained_on.split(name)
        most = self.sequences[name]
        drawn = max(min(most, self.fewest), most // self.longer)
        return self._draw(generator(self.id, name), drawn)

    @abstractmethod
    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        """Draw that many sequences of this task's length."""
