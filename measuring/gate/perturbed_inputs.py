"""Windows of a split, and perturbed copies of them: some of the inputs are replaced.

Replacements are inputs from other places in the split, so that they look like real data, and differ
from what they replace at every position.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.measuring.windows import window_inputs
from seqmem.tasks.task import InputSpec, Split, Tokens

__all__ = ["Perturber", "cut_points"]

# Draws that may return the very vector of floats to be replaced, before one is constructed.
TRIES = 3


class Perturber:
    """Draws windows from a split and replaces parts of their inputs."""

    def __init__(self, split: Split, inputs: InputSpec, seed: int) -> None:
        """Take sequences and targets, the type of inputs, and the seed of all draws."""
        self.split, self._spec = split, inputs
        self.rng = np.random.default_rng(seed)
        self._available = split.available.numpy()

    def targets(self, length: int, count: int) -> Indices:
        """Draw up to `count` targets that have `length` inputs available."""
        able = np.flatnonzero(self._available >= length)
        return self.rng.choice(able, min(count, len(able)), replace=False)

    def windows(self, targets: Indices, length: int) -> Tensor:
        """Return the windows (m, length, …) that end at these targets."""
        return window_inputs(self.split, torch.from_numpy(targets), length)

    def continued(self, targets: Indices, length: int, longer: int) -> Tensor:
        """Return runs (m, longer, …) that begin where windows of `length` inputs begin.

        They continue with the sequence, and after its end with inputs from other places.
        """
        starts, ends = self.split.starts, self.split.positions[targets]
        sequence = torch.searchsorted(starts, ends, right=True)
        index = (ends - length + 1)[:, None] + torch.arange(longer)  # (m, longer)
        inside = index < starts[sequence][:, None]
        return self.split.inputs[torch.where(inside, index, self._random_runs(*index.shape))]

    def other(self, inputs: Tensor) -> Tensor:
        """Return inputs that differ from (n, L, …) everywhere, where different ones exist."""
        found = self.split.inputs[self._random_runs(*inputs.shape[:2])]
        if isinstance(self._spec, Tokens):
            if self._spec.vocabulary == 1:
                return found
            shift = torch.from_numpy(self.rng.integers(1, self._spec.vocabulary, inputs.shape))
            shifted = (inputs + shift) % self._spec.vocabulary
            return torch.where(found == inputs, shifted.to(found.dtype), found)
        for _ in range(TRIES):
            same = (found == inputs).all(-1)
            found[same] = self.split.inputs[self._random_runs(int(same.sum()), 1)[:, 0]]
        same = (found == inputs).all(-1)
        found[same] = self._mirrored(inputs[same])
        return found

    def replaced_after(self, window: Tensor, cut: int) -> Tensor:
        """Replace all inputs of a window (L, …) from position `cut` on."""
        return torch.cat([window[:cut], self.other(window[None, cut:])[0]])

    def replaced_before(self, window: Tensor, cut: int) -> Tensor:
        """Replace all inputs of a window (L, …) before position `cut`."""
        return torch.cat([self.other(window[None, :cut])[0], window[cut:]])

    def _random_runs(self, rows: int, length: int) -> Tensor:
        """Return (rows, length) indices of consecutive inputs that begin at random places."""
        count = len(self.split.inputs)
        begins = torch.from_numpy(self.rng.integers(0, count, (rows, 1)))
        return (begins + torch.arange(length)) % count

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of each number of an input: (D,), (D,)."""
        return self.split.inputs.amin(0), self.split.inputs.amax(0)

    def _mirrored(self, vectors: Tensor) -> Tensor:
        """Mirror one number of each vector (n, D) within the range of that number's values."""
        low, high = self._range
        varied = (high > low).nonzero().squeeze(1)
        if len(vectors) == 0 or len(varied) == 0:
            return vectors
        result = vectors.clone()
        which = varied[torch.from_numpy(self.rng.integers(0, len(varied), len(vectors)))]
        row = torch.arange(len(vectors))
        mirrored = low[which] + high[which] - vectors[row, which]
        result[row, which] = torch.where(mirrored == vectors[row, which], high[which], mirrored)
        return result


def cut_points(
    rng: np.random.Generator, windows: int, length: int, shorter: int, count: int
) -> list[tuple[int, int]]:
    """Choose pairs of a window and a position 1 … length − 1 in it, none twice.

    Positions from `shorter` on, which shorter windows do not have, are chosen first; every position
    is chosen once before any is chosen again.

    Returns:
        (window, cut), `count` of them or as many as there are.
    """
    count = min(count, windows * (length - 1))
    chosen: list[tuple[int, int]] = []
    for turn in range(windows):
        cuts = rng.permutation(np.arange(1, length))
        # In turn t position c is paired with window c + t: no pair repeats in `windows` turns.
        for cut in cuts[np.argsort(cuts < shorter, kind="stable")].tolist():
            if len(chosen) == count:
                return chosen
            chosen.append(((cut + turn) % windows, cut))
    return chosen
