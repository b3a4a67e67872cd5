"""What a sample leaves unknown about the mean loss of a part of the targets.

A sample's losses are spread over all targets such that means over any part are unbiased (see
`sampling.Regression.fill`): each target gets its fitted value, and each sampled one its residual
times the number of targets per sampled target. So the mean over a part is the regression estimate,
and its sampling error is that of residuals which are zero outside the part (Särndal, Swensson &
Wretman 1992, section 10.3: domains). Parts add up to the whole exactly, which separate estimates
for each part would not.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seqmem.leaderboard.statistics.intervals import LEVEL
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.sampling import Tail

__all__ = ["PartErrors"]


@dataclass(frozen=True, eq=False)
class PartErrors:
    """The sampling errors of means over parts of the targets, at one context length.

    Attributes:
        targets: (n,) the sample.
        residuals: (n,) what the controls leave unexplained.
        population: how many targets were sampled from.
        tail_targets: (m,) another sample, at a shorter context length.
        tail: (m,) its differences from the reference.
        shift: (N,) an error that is not sampled, of each target; None if there is none.
    """

    targets: Indices
    residuals: Floats
    population: int
    tail_targets: Indices
    tail: Floats
    shift: Floats | None = None

    def of(self, part: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """Return half the 95 % interval of a part's mean, and what the sample may have missed.

        The first does not contain the second; see `sampling.Tail`.

        Args:
            part: (N,) which targets are in it; at least one.
        """
        size, members = len(self.targets), int(part.sum())
        inside = np.where(part[self.targets], self.residuals, 0.0)
        half = 0.0
        if 1 < size < self.population:
            error = float(inside.std(ddof=1)) * math.sqrt((1 - size / self.population) / size)
            half = float(stdtrit(size - 1, (1 + LEVEL) / 2)) * error
        tail = Tail(np.where(part[self.tail_targets], self.tail, 0.0))
        missed = tail.unseen(size, self.population)
        share = self.population / members
        half, missed = half * share, missed * share
        if self.shift is None:
            return half, missed
        return 0.0, abs(float(self.shift[part].mean())) + math.hypot(half, missed)
