"""Windows of a split, and their twins: the same windows with a part of the inputs replaced.

What replaces an input is taken from elsewhere in the split, so that it looks like real data, and
differs from what it replaces at every position.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.measuring.windows import window_inputs
from seqmem.tasks.task import InputSpec, Split, Tokens

__all__ = ["TwinMaker", "cut_points"]

Indices = npt.NDArray[np.int64]

# Draws of a vector of floats that happens to be the one it replaces, before one is made up.
TRIES = 3


class TwinMaker:
    """Draws windows from a split and replaces parts of them."""

    def __init__(self, split: Split, inputs: InputSpec, seed: int) -> None:
        """Take sequences and targets, what one input is, and the seed of all draws."""
        self.split, self._spec = split, inputs
        self.rng = np.random.default_rng(seed)
        self._available = split.available.numpy()

    def targets(self, length: int, count: int) -> Indices:
        """Draw up to `count` targets that have `length` inputs so far."""
        able = np.flatnonzero(self._available >= length)
        return self.rng.choice(able, min(count, len(able)), replace=False)

    def windows(self, targets: Indices, length: int) -> Tensor:
        """Give the windows (m, length, …) that end at these targets."""
        return window_inputs(self.split, torch.from_numpy(targets), length)

    def continued(self, targets: Indices, length: int, longer: int) -> Tensor:
        """Give runs (m, longer, …) that begin where windows of `length` inputs begin.

        They go on with what follows in the sequence, and behind its end with inputs from elsewhere.
        """
        starts, ends = self.split.starts, self.split.positions[targets]
        sequence = torch.searchsorted(starts, ends, right=True)
        index = (ends - length + 1)[:, None] + torch.arange(longer)  # (m, longer)
        inside = index < starts[sequence][:, None]
        return self.split.inputs[torch.where(inside, index, self._elsewhere(*index.shape))]

    def other(self, inputs: Tensor) -> Tensor:
        """Give inputs for (n, L, …) that differ from them everywhere, where any others exist."""
        found = self.split.inputs[self._elsewhere(*inputs.shape[:2])]
        if isinstance(self._spec, Tokens):
            if self._spec.vocabulary == 1:
                return found
            shift = torch.from_numpy(self.rng.integers(1, self._spec.vocabulary, inputs.shape))
            shifted = (inputs + shift) % self._spec.vocabulary
            return torch.where(found == inputs, shifted.to(found.dtype), found)
        for _ in range(TRIES):
            same = (found == inputs).all(-1)
            found[same] = self.split.inputs[self._elsewhere(int(same.sum()), 1)[:, 0]]
        same = (found == inputs).all(-1)
        found[same] = self._turned(inputs[same])
        return found

    def replaced_after(self, window: Tensor, cut: int) -> Tensor:
        """Replace all inputs of a window (L, …) from position `cut` on."""
        return torch.cat([window[:cut], self.other(window[None, cut:])[0]])

    def replaced_before(self, window: Tensor, cut: int) -> Tensor:
        """Replace all inputs of a window (L, …) before position `cut`."""
        return torch.cat([self.other(window[None, :cut])[0], window[cut:]])

    def _elsewhere(self, rows: int, length: int) -> Tensor:
        """Give (rows, length) indices of consecutive inputs that begin anywhere."""
        count = len(self.split.inputs)
        begins = torch.from_numpy(self.rng.integers(0, count, (rows, 1)))
        return (begins + torch.arange(length)) % count

    @cached_property
    def _range(self) -> tuple[Tensor, Tensor]:
        """The smallest and the largest of each number of an input: (D,), (D,)."""
        return self.split.inputs.amin(0), self.split.inputs.amax(0)

    def _turned(self, vectors: Tensor) -> Tensor:
        """Mirror one number of each vector (n, D) in the range of that number's values."""
        low, high = self._range
        varied = (high > low).nonzero().squeeze(1)
        if len(vectors) == 0 or len(varied) == 0:
            return vectors
        turned = vectors.clone()
        which = varied[torch.from_numpy(self.rng.integers(0, len(varied), len(vectors)))]
        row = torch.arange(len(vectors))
        mirrored = low[which] + high[which] - vectors[row, which]
        turned[row, which] = torch.where(mirrored == vectors[row, which], high[which], mirrored)
        return turned


def cut_points(
    rng: np.random.Generator, windows: int, length: int, shorter: int, count: int
) -> list[tuple[int, int]]:
    """Choose pairs of a window and a position 1 … length − 1 in it, none twice.

    Positions from `shorter` on, where shorter windows have none, go first; every position is taken
    before one is taken again.

    Returns:
        (window, cut), `count` of them or as many as there are.
    """
    count = min(count, windows * (length - 1))
    chosen: list[tuple[int, int]] = []
    for turn in range(windows):
        cuts = rng.permutation(np.arange(1, length))
        # In turn t position c goes with window c + t: no pair comes back in `windows` turns.
        for cut in cuts[np.argsort(cuts < shorter, kind="stable")].tolist():
            if len(chosen) == count:
                return chosen
            chosen.append(((cut + turn) % windows, cut))
    return chosen
