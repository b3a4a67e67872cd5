"""Which windows an examination reads, and how many: a rule fixed before anything is seen.

All of it takes less than three tenths of the steps that scoring the curve takes. A twin with later
inputs replaced tells of peeking right before its cut point, and of no other that reads one input
ahead. A model that peeks at a share r of positions is missed by n cut points with probability
(1 − r)^n, so that one in fifty takes 230 to be seen in 99 % of runs. So cut points are what steps
are spent on: first one for each position that no shorter window has, then more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.measuring.reference import LONGEST_PASS, PIECE
from seqmem.measuring.sampling import PILOT
from seqmem.tasks.task import Context, Split

__all__ = ["SCORED", "Length", "plan"]

Indices = npt.NDArray[np.int64]

# Of the steps of scoring, for what is planned here.
SHARE = 0.28
# Context lengths that are examined at most.
CONTEXTS = 12
# Windows of each length that are asked as they are scored; of runs longer than any k.
SCORED, RUNS = 4, 2
# Twins of each length whose later inputs are replaced: one for each position that shorter windows
# do not have, and up to so many in all, where steps allow; and at least some. The first positions
# would otherwise get most of them, and they are those that tell least.
CUTS, PER_POSITION, FEWEST = 96, 12, 4
# The run's part of the steps that are left for cut points, and how long it may be: so many of its
# windows must be affordable.
RUN_SHARE, RUN_ROWS = 0.4, 16


@dataclass(frozen=True)
class Length:
    """What is read of one window length.

    Attributes:
        length: inputs of a window.
        scored: windows asked as they are scored.
        cuts: twins whose later inputs are replaced.
        olds: twins whose earlier inputs are replaced.
        hosts: whether the scored windows of the length before are continued to this one.
        is_context: whether it is a context length that is scored.
    """

    length: int
    scored: int
    cuts: int
    olds: int
    hosts: bool
    is_context: bool

    @property
    def windows(self) -> int:
        """How many windows the twins are made of: enough for that many cut points."""
        return max(self.scored, -(-self.cuts // max(self.length - 1, 1)))


def plan(
    split: Split,
    contexts: Sequence[Context],
    declared: int | None,
    *,
    stateful: bool,
) -> tuple[Length, ...]:
    """Choose window lengths, ascending, and how much of each is read.

    Args:
        split: what is scored.
        contexts: at which context lengths.
        declared: the receptive field that the model declares.
        stateful: whether the model carries state.
    """
    available = np.sort(split.available.numpy())
    longest = int(available[-1])
    finite = sorted({min(k, longest) for k in contexts if k != "full"})
    if len(finite) > CONTEXTS:
        finite = [finite[i] for i in np.linspace(0, len(finite) - 1, CONTEXTS).astype(int)]
    largest = max(finite, default=0)
    steps = SHARE * _window_steps(available, finite, stateful)
    run_steps = SHARE * len(split.inputs)
    # Rare lengths tell of few sequences.
    common = int(available[-min(RUNS * 8, len(available))])
    reach = min(longest, _longest_read(longest, largest, declared, stateful))
    wanted = max(2 * largest, 2 * (declared or 0), int(run_steps / RUN_ROWS), 2)
    run = min(max(common, largest), reach, wanted)
    if not finite:
        finite = [max(run // 2, 1)]
    host = min(2 * finite[-1], reach)
    lengths = [*finite]
    if run > finite[-1]:
        # Hosting the longest windows is dear where runs are much longer.
        lengths += [host, run] if host < run else [run]
    elif host > finite[-1]:
        lengths += [host]
    made = [
        _Draft(
            length,
            before,
            is_context=length in finite,
            is_run=length == run and run > finite[-1],
            is_longest=length == max(run, finite[-1]),
        )
        for before, length in zip([0, *lengths[:-1]], lengths, strict=True)
    ]
    spare = steps + run_steps - sum(draft.fixed(declared) for draft in made)
    return tuple(_with_cuts(made, declared, max(spare, 0.0)))


@dataclass(frozen=True)
class _Draft:
    """A length whose cut points are not counted yet."""

    length: int
    before: int
    is_context: bool
    is_run: bool
    is_longest: bool  # of those that are scored

    @property
    def scored(self) -> int:
        return SCORED if self.is_context else RUNS if self.is_run else 0

    @property
    def hosts(self) -> bool:
        """The run hosts nothing where a shorter length does it for less."""
        return self.before > 0 and not (self.is_run and self.length > 2 * self.before)

    def olds(self, declared: int | None) -> int:
        older = declared is not None and declared < self.length
        return SCORED if self.is_longest or (self.is_context and older) else 0

    def fixed(self, declared: int | None) -> float:
        """Steps but for cut points: asked twice and among twins, hosts of both kinds, old ones."""
        rows = 3 * self.scored + 2 * SCORED * self.hosts + self.olds(declared)
        return rows * self.length


def _with_cuts(drafts: Sequence[_Draft], declared: int | None, spare: float) -> list[Length]:
    """Spend the spare steps on cut points: a part on the run, the rest on windows."""
    for_run = RUN_SHARE * spare if any(draft.is_run for draft in drafts) else 0.0
    counts = _cuts([d for d in drafts if d.is_context and d.length > 1], spare - for_run)
    counts |= {d.length: int(max(for_run / d.length, FEWEST)) for d in drafts if d.is_run}
    return [
        Length(
            length=draft.length,
            scored=draft.scored,
            cuts=counts.get(draft.length, 0),
            olds=draft.olds(declared),
            hosts=draft.hosts,
            is_context=draft.is_context,
        )
        for draft in drafts
    ]


def _cuts(drafts: Sequence[_Draft], steps: float) -> dict[int, int]:
    """Count the cut points of each length, ascending, that so many steps are enough for."""
    # A twin, and at worst, in short windows, a window of its own.
    price = {d.length: d.length * (1 + 1 / (d.length - 1)) for d in drafts}
    new = {d.length: d.length - max(d.before, 1) for d in drafts}
    needed = sum(price[length] * count for length, count in new.items())
    part = min(steps / needed, 1.0) if needed else 0.0
    counts = {length: max(int(part * count), FEWEST) for length, count in new.items()}
    left = steps - sum(price[length] * count for length, count in counts.items())
    for done, length in enumerate(counts):
        most = min(CUTS, PER_POSITION * (length - 1)) - counts[length]
        share = max(left, 0.0) / (len(counts) - done) / price[length]
        more = max(min(int(share), most), 0)
        counts[length] += more
        left -= more * price[length]
    return counts


def _window_steps(available: Indices, finite: Sequence[int], stateful: bool) -> float:
    """Count the steps that scoring a pilot at every k takes; one with state reads on instead."""
    ends = np.searchsorted(available, finite, side="right")
    steps = np.array(finite) * np.minimum(PILOT, len(available) - ends)
    if len(steps) == 0:
        return 0.0
    return float(steps.max() if stateful else steps.sum())


def _longest_read(longest: int, largest: int, declared: int | None, stateful: bool) -> int:
    """Give the longest input that scoring puts before a model: it need not read longer ones."""
    if stateful:
        return longest
    if declared is not None:
        overlap = max(declared - 1, 0)
        return max(overlap + max(PIECE * overlap, 256), largest)
    if longest <= LONGEST_PASS:
        return longest
    return max(2 * largest * (1 + PIECE), 1)
