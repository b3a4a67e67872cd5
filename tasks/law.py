"""The law by which a task's optimum falls with context, where theory states one.

A law is a function of how much a window holds, in units of the task: usually inputs, but pairs in
associative recall. Windows near the start of a sequence hold less than others of equal k; `InView`
counts them, so that a law is fitted to what is measured: the mean over all targets.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["InView", "KnownLaw", "Shape"]

Shape = Literal["power law", "exponential"]


@dataclass(frozen=True, eq=False)
class InView:
    """How much of what matters the windows of one context length hold.

    Attributes:
        units: (m,) distinct numbers of units, ascending; infinity where nothing is missing.
        shares: (m,) the share of the targets whose windows hold so many; they sum to 1.
    """

    units: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, units: npt.NDArray[np.float64]) -> "InView":
        """Count the units in the window of each target: (n,)."""
        distinct, counts = np.unique(units, return_counts=True)
        return cls(distinct.astype(np.float64), counts / len(units))


@dataclass(frozen=True)
class KnownLaw:
    """What theory says of a task's optimum.

    Attributes:
        shape: L∞ + A·u^−γ, "power law", or L∞ + A·exp(−u/τ), "exponential".
        value: γ, or τ in units.
        first: the smallest context length at which it holds.
        last: the largest.
        unit: what u counts, in the plural.
        source: why, in a few words.
    """

    shape: Shape
    value: float
    first: int
    last: int
    unit: str
    source: str
