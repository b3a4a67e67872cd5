"""Which scores of a curve are computed again, and what gain that finds.

Suppose that a model lowers its loss at context length k by G, averaged over the curve's targets,
with something that it must not see. Write a_t for the loss at target t with what is known to be
allowed (at the next shorter k at which t was scored, or that of a constant), l_t for the loss
scored at k, and W for the mean of max(0, a_t − l_t) over the curve's targets: everything that more
context gained, honestly or not. Draws with probability proportional to max(0, a_t − l_t) hit a
target of the unlawful part with probability G / W each, so that m draws miss it with probability

    (1 − G / W)^m,

and a gain of more than W (1 − 0.01^(1/m)) ≈ 4.6 W / m is found in 99 % of submissions
(probability-proportional-to-size sampling; Cochran 1977, Sampling Techniques, section 9A.3). As
many targets are drawn uniformly, which assumes nothing about a_t.

Assumptions: nobody foresees the draws; scores of the shorter windows are lawful or found out by
their own draws; and a hit is seen, which it is unless the gain at that target is within the
tolerance for rounding (for gains as small as that, the mean difference is tested as well).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.curve import Scored
from seqmem.tasks.task import Context

__all__ = ["Draws", "Level", "draw_counts", "levels_of"]

# The probability of missing a gain that is promised to be found.
MISSED = 0.01
# Draws of each kind at one k: at least, where steps allow, and at most.
FEWEST, MOST = 8, 512
# The targets with the largest gains are drawn in any case.
LARGEST = 4


@dataclass(frozen=True)
class Draws:
    """Some of the scores at one k: indices into a level's targets.

    Attributes:
        uniform: (u,) drawn uniformly, without replacement.
        suspected: (s,) drawn by their gain, each once.
    """

    uniform: Indices
    suspected: Indices


@dataclass(frozen=True)
class Level:
    """The scores at one context length.

    Attributes:
        k: the context length.
        targets: (n,) the targets that were scored.
        losses: (n,) their losses.
        lengths: (n,) the number of inputs that each loss may depend on.
        gains: (n,) by how much a loss is below one that is known to be lawful; at least 0.
        share: the share of the curve's targets for which these stand.
        read_on: whether whole sequences are read, from one draw to the next, so that more draws
            take no more steps.
    """

    k: Context
    targets: Indices
    losses: Floats
    lengths: Indices
    gains: Floats
    share: float
    read_on: bool = False

    @property
    def gained(self) -> float:
        """The mean of the gains over all targets of the curve."""
        return self.share * float(self.gains.mean())

    def steps(self, draws: int) -> float:
        """Return the expected number of model steps that so many draws of each kind add."""
        if self.read_on:
            return 0.0
        total = self.gains.sum()
        suspected = float(self.gains @ self.lengths / total) if total > 0 else 0.0
        return draws * (float(self.lengths.mean()) + suspected)

    def draw(self, count: int, rng: np.random.Generator) -> Draws:
        """Draw `count` scores uniformly, and `count` by their gain besides the largest."""
        size = len(self.targets)
        uniform = rng.choice(size, min(count, size), replace=False)
        if not self.gains.any():
            return Draws(uniform, np.zeros(0, np.int64))
        drawn = rng.choice(size, count, p=self.gains / self.gains.sum())
        largest = np.argsort(-self.gains, kind="stable")[: min(LARGEST, count)]
        return Draws(uniform, np.unique(np.concatenate([drawn, largest[self.gains[largest] > 0]])))

    def found(self, draws: int) -> float:
        """Return the smallest gain, in the unit of the loss, that this many draws find in 99 %."""
        return self.gained * (1 - MISSED ** (1 / draws)) if draws else self.gained


def levels_of(scored: Scored, constant: Floats) -> list[Level]:
    """Return the scores at each context length, ascending, full last.

    Args:
        scored: the scores of a curve.
        constant: (N,) the loss of each target with outputs that depend on nothing.
    """
    known = constant.copy()
    available = scored.scorer.split.available.numpy()
    levels = []
    contexts: list[Context] = [*scored.losses, "full"]
    for k in contexts:
        targets, losses = scored.full if k == "full" else scored.losses[k]
        if len(targets) == 0:
            continue
        length = scored.reach if k == "full" else k
        stands_for = len(targets) if k == "full" else int((available > length).sum())
        gains = np.maximum(known[targets] - losses, 0.0)
        known[targets] = losses
        levels.append(
            Level(
                k,
                targets,
                losses,
                np.minimum(available[targets], length),
                gains,
                stands_for / len(known),
            )
        )
    return levels


def draw_counts(levels: Sequence[Level], precision: float, steps: float) -> list[int]:
    """Return how many scores of each kind to draw at each level.

    As many as find any gain above the precision in 99 % of submissions; if that takes too many
    steps, the same fraction of it everywhere, so that the gains that may be missed grow alike; but
    all of it where draws take no steps.

    Args:
        levels: the scores at each context length.
        precision: the stated precision of the curve, in the unit of the loss.
        steps: the model steps that may be spent.
    """
    wanted = [
        min(max(math.ceil(-math.log(MISSED) * level.gained / precision), FEWEST), MOST)
        for level in levels
    ]
    needed = sum(level.steps(count) for level, count in zip(levels, wanted, strict=True))
    part = min(steps / needed, 1.0) if needed > 0 else 1.0
    counts = []
    for level, count in zip(levels, wanted, strict=True):
        affordable = int(steps / len(levels) / max(level.steps(1), 1.0))
        share = part if level.steps(1) > 0 else 1.0
        counts.append(max(int(share * count), min(FEWEST, affordable), 1))
    return counts
