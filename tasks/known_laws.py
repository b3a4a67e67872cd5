"""What theory says of the law by which each task's optimum falls, and what its windows hold.

These are functions beside the tasks, not methods: what tasks compute, under which trained weights
are stored, does not depend on them. A task of your own registers its own:

    @known_law.register
    def _(task: MyTask) -> KnownLaw: …
"""

import math
from functools import singledispatch

import numpy as np

from seqmem.tasks.associative_recall import AssociativeRecall
from seqmem.tasks.law import InView, KnownLaw
from seqmem.tasks.long_memory import LongMemory
from seqmem.tasks.state_tracking import StateTracking
from seqmem.tasks.task import Task

__all__ = ["in_view", "known_law"]

# Pairs between which associative recall follows its power law; the last times the least frequency.
FIRST_PAIRS, LAST_PAIRS = 64, 0.1
LEAST_ZIPF = 1.5  # below it, rare keys end the power law earlier
OCTAVES = 4  # of this range at least, else the number of keys is too small for a power law
FIRST_INPUTS = 4  # of long memory: v(k) − 1 is nearly d²/(k + ½ − d)


@singledispatch
def known_law(task: Task) -> KnownLaw | None:
    """Return the law by which a task's optimum falls with k; None if theory states none."""
    return None


@singledispatch
def in_view(task: Task, k: int) -> InView:
    """Return how many units, of which the loss is a law, the test windows of k inputs hold.

    Raises:
        InputError: the task's data are missing.
    """
    if task.stream:  # so long that its start does not matter
        return InView.of(np.array([k], np.float64))
    return InView.of(task.split("test").available.clamp(max=k).double().numpy())


@known_law.register
def _(task: LongMemory) -> KnownLaw:
    return KnownLaw("power law", 1.0, FIRST_INPUTS, task.length, "inputs", "v(k) − 1 ~ d²/k")


@known_law.register
def _(task: AssociativeRecall) -> KnownLaw | None:
    """Return an exponential for zipf = 0, a power law for zipf ≥ 1.5; see the task."""
    unit = "pairs"
    if task.zipf == 0:
        time = -1 / math.log1p(-1 / task.keys)
        return KnownLaw("exponential", time, 3, task.longest_context, unit, "keys asked alike")
    last = min(task.pairs, int(LAST_PAIRS / task.frequencies[-1]))
    if task.zipf < LEAST_ZIPF or last < FIRST_PAIRS << OCTAVES:
        return None
    ends = 2 * FIRST_PAIRS + 1, min(2 * last + 1, task.longest_context)
    return KnownLaw("power law", 1 - 1 / task.zipf, *ends, unit, "1 − 1/zipf")


@in_view.register
def _(task: AssociativeRecall, k: int) -> InView:
    """Return complete pairs: one for two inputs, without the key that is asked."""
    return InView.of(np.minimum(np.arange(task.pairs), (k - 1) // 2).astype(np.float64))


@known_law.register
def _(task: StateTracking) -> KnownLaw | None:
    """Return an exponential; None without resets, where only the first input ends the past."""
    if task.reset == 0:
        return None
    time = -1 / math.log1p(-task.reset)
    return KnownLaw("exponential", time, 1, task.length - 1, "inputs", "−1/ln(1 − reset)")


@in_view.register
def _(task: StateTracking, k: int) -> InView:
    """Return k where the first input is not in view, else infinitely many: it is a reset."""
    places = np.arange(1, task.length + 1)
    return InView.of(np.where(places <= k, np.inf, float(k)))
