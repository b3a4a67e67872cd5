"""How often the interval of γ contains the true exponent, and the verdict on a law is right.

Curves are those of the optimal predictor, target by target, on data that are drawn anew each time
with as many sequences as a test split has, in the groups that a record has. So losses are as
paired, as skewed and as dependent as measured ones. The exponents are known:

* associative recall with frequencies j^−a: γ = 1 − 1/a in pairs, in the range where that holds;
* long memory: γ = 1, for every d;
* associative recall with equal frequencies, and state tracking: an exponential, τ is known.

A law that theory states for large k is not exact at the k that are measured: "bias" is the
parameter that fits the exact optimum of the same range, with the covariance of the first curve,
relative to that of theory. The coverage is that of theory's.

    python benchmarks/exponent.py [--curves 500] [--tasks …]
"""

import argparse
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from common import machine, say
from tabulate import tabulate

from seqmem.leaderboard.statistics.law_fit import PairedCurve, fit_law
from seqmem.leaderboard.statistics.law_verdict import judge
from seqmem.leaderboard.statistics.paired_curve import paired_curve
from seqmem.measuring.summary import GROUPS
from seqmem.tasks import load_task
from seqmem.tasks.associative_recall import AssociativeRecall
from seqmem.tasks.known_laws import in_view, known_law
from seqmem.tasks.law import InView
from seqmem.tasks.long_memory import LongMemory
from seqmem.tasks.state_tracking import StateTracking
from seqmem.tasks.task import Task

TASKS = (
    "associative-recall/keys=512,values=64,zipf=1.5",
    "associative-recall/keys=512,values=64,zipf=2",
    "long-memory/d=0.4",
    "long-memory/d=0.45",
    "associative-recall/keys=32,values=64,zipf=0",
    "state-tracking/group=S3,reset=0.05",
)
DRAWS = 199  # simulated under each law for a verdict, fewer than usual

Floats = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=int, default=500)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    arguments = parser.parse_args()
    rows = [calibrated(task, arguments.curves) for task in arguments.tasks]
    say(f"\n{arguments.curves} curves each, {machine()}\n")
    say(tabulate(rows, headers="keys", tablefmt="pipe", floatfmt=".3g"))


def calibrated(task_id: str, curves: int, seed: int = 0) -> dict[str, object]:
    """Return a task's row: how often the interval contains the known value, and verdicts."""
    began = time.perf_counter()
    task = load_task(task_id)
    law = known_law(task)
    assert law is not None
    contexts = tuple(k for k in task.contexts if law.first <= k <= law.last)
    views = tuple(in_view(task, k) for k in contexts)
    rng = np.random.default_rng(seed)
    held, values, verdicts = 0, [], Counter[str]()
    exact = np.array([task.optimum(k) for k in contexts], np.float64)
    bias = None
    for _ in range(curves):
        curve = drawn(task, contexts, views, rng)
        judged = judge(curve, draws=DRAWS)
        fit = judged.fits[law.shape]
        low, high = fit.interval or (None, None)
        held += (low or 0.0) <= law.value <= (np.inf if high is None else high)
        values.append(fit.value)
        verdicts[judged.verdict] += 1
        if bias is None:
            of_optimum = PairedCurve(contexts, exact, views, curve.covariance, curve.freedom)
            bias = fit_law(of_optimum, law.shape).value / law.value - 1
    others = ", ".join(f"{name} {n}" for name, n in verdicts.most_common() if name != law.shape)
    return {
        "task": task_id,
        "law": law.shape,
        "k": f"{contexts[0]}–{contexts[-1]}",
        "theory": law.value,
        "median": float(np.median(values)),
        "spread": float(np.std(values)),
        "bias, %": 100 * (bias or 0.0),
        "covered, %": 100 * held / curves,
        "verdict right, %": 100 * verdicts[law.shape] / curves,
        "other verdicts": others,
        "seconds": time.perf_counter() - began,
    }


def drawn(
    task: Task, contexts: tuple[int, ...], views: Sequence[InView], rng: np.random.Generator
) -> PairedCurve:
    """Return the curve of the optimal predictor on new data."""
    if isinstance(task, AssociativeRecall):
        losses = recall_losses(task, contexts, rng)
    elif isinstance(task, LongMemory):
        losses = memory_losses(task, contexts, rng)
    else:
        assert isinstance(task, StateTracking)
        losses = state_losses(task, contexts, rng)
    rows = len(losses)
    groups = np.arange(rows) if rows <= GROUPS else np.arange(rows) * GROUPS // rows
    counts = np.bincount(groups)
    targets = losses.shape[1]
    sums = np.stack(
        [np.bincount(groups, column).astype(np.float64) for column in losses.sum(axis=1).T], axis=1
    )
    return paired_curve(contexts, views, sums, counts * targets)


def recall_losses(
    task: AssociativeRecall, contexts: tuple[int, ...], rng: np.random.Generator
) -> Floats:
    """Return the optimum's losses (sequences, targets, k): ln V where the key is not in view."""
    rows, pairs = task.sequences["test"], task.pairs
    cumulative = np.cumsum(task.frequencies)
    keys = np.searchsorted(cumulative, rng.random((rows, pairs)), side="right")
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, 1)
    ago = np.full((rows, pairs), pairs + 1)
    again = ordered[:, 1:] == ordered[:, :-1]
    gap = np.where(again, order[:, 1:] - order[:, :-1], pairs + 1)
    np.put_along_axis(ago, order[:, 1:], gap, 1)
    reach = (np.array(contexts) - 1) // 2
    return np.asarray(task.chance() * (ago[:, :, None] > reach))


def memory_losses(task: LongMemory, contexts: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Return the squared errors (sequences, targets, k) of the best linear predictions."""
    split = task._draw(rng, task.sequences["test"])
    length = task.length
    values = split.inputs.numpy().reshape(-1, length).astype(np.float64)
    targets = split.targets.numpy().reshape(-1, length).astype(np.float64)
    weights = np.zeros(0)
    errors = np.empty((*values.shape, len(contexts)))
    latest = values[:, ::-1]
    column = 0
    early = np.empty(values.shape)  # of targets that have no more inputs than the order
    for order in range(1, length + 1):  # Durbin's recursion: weights of the latest input first
        partial = task.d / (order - task.d)
        weights = np.append(weights - partial * weights[::-1], partial)
        seen = latest[:, length - order :]
        early[:, order - 1] = (targets[:, order - 1] - seen @ weights) ** 2
        if column < len(contexts) and order == contexts[column]:
            windows = np.lib.stride_tricks.sliding_window_view(values, order, axis=1)
            predicted = windows @ weights[::-1]
            errors[:, order - 1 :, column] = (targets[:, order - 1 :] - predicted) ** 2
            errors[:, : order - 1, column] = early[:, : order - 1]
            column += 1
    return errors


def state_losses(
    task: StateTracking, contexts: tuple[int, ...], rng: np.random.Generator
) -> Floats:
    """Return the optimum's losses (sequences, targets, k): ln(order) without a reset in view."""
    rows, length = task.sequences["test"], task.length
    marks = rng.random((rows, length)) < task.reset
    marks[:, 0] = True
    places = np.arange(length)
    last = np.maximum.accumulate(np.where(marks, places, -1), axis=1)
    return np.asarray(task.chance() * ((places - last)[:, :, None] >= np.array(contexts)))


if __name__ == "__main__":
    main()
