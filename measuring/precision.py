"""The requested precision of a curve: relative, or in the loss's unit."""

import math
from dataclasses import dataclass

from seqmem.errors import InputError
from seqmem.tasks.task import Task

__all__ = ["ROUNDING", "USUAL", "Precision", "parse_precision"]

# Losses are float32: their means have an error of a few units in the last place.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Precision:
    """The largest half-width of the 95 % interval of a mean loss over the split's targets.

    Attributes:
        value: positive.
        relative: whether it is a share: of the perplexity if that is the task's score, otherwise of
            chance minus optimum (minus 0 if the optimum is unknown).
    """

    value: float
    relative: bool

    def half_width(self, task: Task) -> float:
        """Return the half-width in the loss's unit.

        Raises:
            InputError: it is smaller than the rounding error of a loss, or larger than chance.
        """
        half = self.value
        if self.relative and task.loss.score == "perplexity":
            half = math.log1p(self.value)
        elif self.relative:
            half = self.value * (task.chance() - (task.optimum("full") or 0.0))
        if half > abs(task.chance()):
            raise InputError(
                f"--precision {self}: is more than chance on {task.id}, {task.chance():.4g} "
                f"{task.loss.unit}; give a smaller one, as 0.5%"
            )
        least = ROUNDING * task.chance()
        if half < least:
            raise InputError(
                f"--precision {self}: on {task.id} that is {half:.2g} {task.loss.unit}, less than "
                f"the rounding error ({least:.2g}); give a larger one, or --exact"
            )
        return half

    def __str__(self) -> str:
        """Return the text that `parse_precision` reads."""
        return f"{100 * self.value:g}%" if self.relative else f"{self.value:g}"


USUAL = Precision(0.005, relative=True)  # half of the difference below which scores count as equal


def parse_precision(text: str) -> Precision:
    """Read ``0.5%`` (a share) or ``0.01`` (in the loss's unit).

    Raises:
        ValueError: it is not a positive number, or a share of more than 100 %.
    """
    number, percent, rest = text.strip().partition("%")
    value = float(number) / (100 if percent else 1)
    if rest or not 0 < value < math.inf or (percent and value > 1):
        raise ValueError(text)
    return Precision(value, bool(percent))
