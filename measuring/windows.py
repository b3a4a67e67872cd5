"""Exact windows: the k most recent inputs of a target, and nothing else."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.tasks.task import Split

__all__ = ["DistinctWindowFinder", "DistinctWindows", "window_inputs"]


def window_inputs(split: Split, chosen: Tensor, k: int) -> Tensor:
    """Return x_{t−k+1} … x_t for each chosen target.

    Args:
        split: sequences and targets.
        chosen: (m,) target indices; each must have k inputs available.
        k: the window length, at least 1.

    Returns:
        (m, k) ids or (m, k, D) floats.
    """
    index = split.positions[chosen, None] + torch.arange(1 - k, 1)  # (m, k)
    return split.inputs[index]


@dataclass(frozen=True)
class DistinctWindows:
    """The distinct windows among those of some targets.

    Attributes:
        first: (d,) one target for each distinct window.
        window: (m,) for each target, the index of its window among the d.
    """

    first: Indices
    window: Indices


class DistinctWindowFinder:
    """Finds equal windows of ids, so that each needs to be read only once.

    A window is numbered by the numbers of two shorter ones that cover it, one at its start and one
    at its end (Karp, Miller & Rosenberg 1972): exact, without ever comparing whole windows. Windows
    of float vectors count as all different.
    """

    def __init__(self, split: Split) -> None:
        """Take the split; no windows are numbered yet."""
        self._positions = split.positions.numpy()
        self._numbers: Indices | None = None  # of the window that ends at each input
        self._length = 1
        if split.inputs.ndim == 1:
            self._numbers = np.unique(split.inputs.numpy(), return_inverse=True)[1]

    def find(self, chosen: Indices, k: int) -> DistinctWindows:
        """Return the distinct windows among those of k inputs of the chosen targets.

        Args:
            chosen: (m,) targets with k inputs available.
            k: the window length; not smaller than in the previous call.
        """
        while self._numbers is not None and self._length < k:
            shift = min(self._length, k - self._length)
            earlier = np.concatenate([self._numbers[:shift], self._numbers[:-shift]])
            pairs = earlier * (int(self._numbers.max()) + 1) + self._numbers
            self._numbers = np.unique(pairs, return_inverse=True)[1]
            self._length += shift
        if self._numbers is None:
            return DistinctWindows(chosen, np.arange(len(chosen)))
        numbers = self._numbers[self._positions[chosen]]
        _, first, window = np.unique(numbers, return_index=True, return_inverse=True)
        if len(first) > 0.9 * len(chosen):  # longer windows have even fewer repetitions
            self._numbers = None
        return DistinctWindows(chosen[first], window)
