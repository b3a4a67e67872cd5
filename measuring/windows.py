"""Exact windows: the k most recent inputs of a target, and nothing else."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.tasks.task import Split

__all__ = ["DistinctWindows", "Shared", "window_inputs"]


def window_inputs(split: Split, chosen: Tensor, k: int) -> Tensor:
    """Cut out x_{t−k+1} … x_t for each chosen target.

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
class Shared:
    """Windows of some targets, each kept once.

    Attributes:
        first: (d,) one target for each distinct window.
        window: (m,) for each target, which of these windows is its own.
    """

    first: npt.NDArray[np.int64]
    window: npt.NDArray[np.int64]


class DistinctWindows:
    """Tells which windows of ids are the same, so that each needs to be read only once.

    A window is numbered by the numbers of two shorter ones that cover it, one at its start and one
    at its end (Karp, Miller & Rosenberg 1972): exact, and no window is ever looked at whole.
    Vectors of floats count as all different.
    """

    def __init__(self, split: Split) -> None:
        """Take the split; nothing is counted yet."""
        self._positions = split.positions.numpy()
        self._numbers: npt.NDArray[np.int64] | None = None  # of the window that ends at each input
        self._length = 1
        if split.inputs.ndim == 1:
            self._numbers = np.unique(split.inputs.numpy(), return_inverse=True)[1]

    def find(self, chosen: npt.NDArray[np.int64], k: int) -> Shared:
        """Find the distinct ones among the windows of k inputs of the chosen targets.

        Args:
            chosen: (m,) targets with k inputs available.
            k: the window length; not smaller than in the call before.
        """
        while self._numbers is not None and self._length < k:
            shift = min(self._length, k - self._length)
            earlier = np.concatenate([self._numbers[:shift], self._numbers[:-shift]])
            pairs = earlier * (int(self._numbers.max()) + 1) + self._numbers
            self._numbers = np.unique(pairs, return_inverse=True)[1]
            self._length += shift
        if self._numbers is None:
            return Shared(chosen, np.arange(len(chosen)))
        numbers = self._numbers[self._positions[chosen]]
        _, first, window = np.unique(numbers, return_index=True, return_inverse=True)
        if len(first) > 0.9 * len(chosen):  # longer windows differ all the more
            self._numbers = None
        return Shared(chosen[first], window)
