"""Which windows the gate reads, and how many: a rule fixed before the model is run.

In total they take less than 30 % of the steps of scoring the curve. A copy whose later inputs are
replaced detects a model that looks one input ahead only at the position before its cut point. A
model that looks ahead at a share r of positions is missed by n cut points with probability
(1 − r)^n: to detect r = 1/50 in 99 % of runs takes 230 cut points. So most steps are spent on cut
points: first one for each position that no shorter window has, then more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seqmem.measuring.arrays import Indices
from seqmem.measuring.reference import LONGEST_PASS, PIECE
from seqmem.measuring.sampling import PILOT
from seqmem.tasks.task import Context, Split

__all__ = ["SCORED", "LengthPlan", "plan_lengths"]

# The share of the steps of scoring that may be spent.
SHARE = 0.28
# The largest number of context lengths that are checked.
CONTEXTS = 12
# Windows of each length that are read as in scoring; and of the run, longer than any k.
SCORED, RUNS = 4, 2
# Copies of each length whose later inputs are replaced: one for each position that shorter windows
# do not have, up to CUTS in all and PER_POSITION for each position if steps allow, at least FEWEST.
# Without limits the first positions, which detect least, would get most of them.
CUTS, PER_POSITION, FEWEST = 96, 12, 4
# The run's share of the steps left for cut points; and its length is such that the steps allow this
# many of its windows.
RUN_SHARE, RUN_ROWS = 0.4, 16


@dataclass(frozen=True)
class LengthPlan:
    """How many windows of one length are read, and how many perturbed copies.

    Attributes:
        length: inputs of a window.
        shorter: the next shorter length; 0 for the shortest.
        is_context: whether it is a context length that is scored.
        scored: windows read as in scoring.
        continues: whether the scored windows of the next shorter length are continued to this one.
        earlier_cuts: copies whose earlier inputs are replaced.
        later_cuts: copies whose later inputs are replaced.
    """

    length: int
    shorter: int
    is_context: bool
    scored: int
    continues: bool
    earlier_cuts: int
    later_cuts: int = 0

    @property
    def windows(self) -> int:
        """The number of windows to draw: enough for the number of cut points."""
        return max(self.scored, -(-self.later_cuts // max(self.length - 1, 1)))

    @property
    def fixed_steps(self) -> int:
        """The steps without those of later cuts.

        Scored windows are read three times, continued ones with their own inputs and with others.
        """
        rows = 3 * self.scored + 2 * SCORED * self.continues + self.earlier_cuts
        return rows * self.length


def plan_lengths(
    split: Split,
    contexts: Sequence[Context],
    declared: int | None,
    *,
    stateful: bool,
) -> tuple[LengthPlan, ...]:
    """Return the window lengths, ascending, and how much of each is read.

    Args:
        split: what is scored.
        contexts: the context lengths at which it is scored.
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
    # The longest lengths occur in few sequences.
    common = int(available[-min(RUNS * 8, len(available))])
    reach = min(longest, _longest_read(longest, largest, declared, stateful))
    wanted = max(2 * largest, 2 * (declared or 0), int(run_steps / RUN_ROWS), 2)
    run = min(max(common, largest), reach, wanted)
    if not finite:
        finite = [max(run // 2, 1)]
    continued = min(2 * finite[-1], reach)
    if run <= finite[-1]:
        run = 0  # there is none
    # If the run is much longer, continuing the longest windows to it costs too many steps.
    longer = {min(continued, run), run} if run else {continued}
    lengths = sorted({*finite, *longer})
    plans = []
    for shorter, length in zip([0, *lengths], lengths, strict=False):
        is_context, is_run = length in finite, length == run
        is_longest = length == max(run, finite[-1])  # of the lengths read as in scoring
        beyond = is_context and declared is not None and declared < length
        plans.append(
            LengthPlan(
                length,
                shorter,
                is_context,
                scored=SCORED if is_context else RUNS if is_run else 0,
                # Not to the run if a shorter length continues the same windows with fewer steps.
                continues=shorter > 0 and not (is_run and length > 2 * shorter),
                earlier_cuts=SCORED if is_longest or beyond else 0,
            )
        )
    spare = max(steps + run_steps - sum(plan.fixed_steps for plan in plans), 0.0)
    for_run = RUN_SHARE * spare if run else 0.0
    counts = _cuts([p for p in plans if p.is_context and p.length > 1], spare - for_run)
    if run:
        counts[run] = int(max(for_run / run, FEWEST))
    return tuple(replace(plan, later_cuts=counts.get(plan.length, 0)) for plan in plans)


def _cuts(plans: Sequence[LengthPlan], steps: float) -> dict[int, int]:
    """Return the number of cut points of each length, ascending, that the steps allow."""
    # A perturbed copy and, at worst, in short windows, a window of its own.
    price = {p.length: p.length * (1 + 1 / (p.length - 1)) for p in plans}
    new = {p.length: p.length - max(p.shorter, 1) for p in plans}
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
    """Return the steps that scoring a pilot at every k takes; a model with state reads on."""
    ends = np.searchsorted(available, finite, side="right")
    steps = np.array(finite) * np.minimum(PILOT, len(available) - ends)
    return float(steps.max(initial=0) if stateful else steps.sum())


def _longest_read(longest: int, largest: int, declared: int | None, stateful: bool) -> int:
    """Return the longest input that a model reads in scoring: it need not read longer ones."""
    if stateful or (declared is None and longest <= LONGEST_PASS):
        return longest
    if declared is None:
        return max(2 * largest * (1 + PIECE), 1)
    overlap = max(declared - 1, 0)
    return max(overlap + max(PIECE * overlap, 256), largest)
