"""How often the intervals of an estimated curve contain the exact curve.

Four models are measured exactly on a task of each family. Then the estimator runs a thousand times
with other seeds on these losses: the same code as in measuring, with a table instead of the model.
For each k at which windows are sampled the script prints the share of intervals that contain the
exact mean, the mean half-width in percent of the requested precision, and the mean number of
windows; for each curve the model steps, in plain passes.

    python benchmarks/coverage.py [--repeats 1000] [--targets 30000] [--tasks …] [--models …]

With `--larger` no k is scored completely because that is cheap, as on a larger test set. With
`--whole` the losses are repeated to the length of the whole test split: what a curve of it costs.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast
from unittest import mock

import numpy as np
from common import machine, say
from exact_losses import ExactLosses, exact_losses
from tabulate import tabulate

from seqmem.measuring import estimate
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.estimate import AdaptiveSampling
from seqmem.measuring.precision import USUAL
from seqmem.measuring.reference import Reference
from seqmem.measuring.scoring import Scores
from seqmem.measuring.window_scores import ByStart, ByTarget, Scorer, WindowScores, is_dense
from seqmem.measuring.windows import DistinctWindowFinder, DistinctWindows
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Split

TASKS = (
    "copy-memory/T=10",
    "copy-memory/T=5-25",
    "adding-problem/T=20",
    "hidden-markov/dwell=10",
    "music/jsb",
    "music/nottingham",
    "wikitext-2",
    "billion-word/heldout-10-13",
)
MODELS = ("lstm", "gru", "transformer", "tcn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=30_000)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--larger", action="store_true", help="as on a larger test set")
    parser.add_argument("--whole", action="store_true", help="repeat the losses to the whole split")
    arguments = parser.parse_args()
    if arguments.larger:
        estimate.CHEAP = 0
    rows: list[list[object]] = []
    for task in arguments.tasks:
        for name in arguments.models:
            losses = exact_losses(name, task, arguments.targets)
            losses = losses.whole() if arguments.whole else losses
            rows.append(coverage(name, losses, arguments.repeats))
    headers = [
        "task", "model", "k", "coverage, %", "half-width, % of requested", "windows",
        "steps, passes",
    ]  # fmt: skip
    say(f"\n±{USUAL}, {arguments.repeats:,} repetitions, {machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=".2f"))


def coverage(name: str, exact: ExactLosses, repeats: int) -> list[object]:
    """Run the estimator repeatedly; return a curve's row, with each k that was ever sampled."""
    task, split = exact.task, exact.split
    precision = USUAL.half_width(task)
    model = cast(SequenceModel, Carried(exact.stateful))
    kind = with_table(ByStart if is_dense(split) and exact.stateful else ByTarget)
    reference = Reference(Scores(exact.full, None), True, {}, 0)
    finder = CachedFinder(split)
    found: dict[int, list[tuple[bool, float, int]]] = defaultdict(list)
    spent: list[int] = [len(split.inputs) * repeats]  # the reference passes, and the windows
    with mock.patch.object(estimate, "DistinctWindowFinder", return_value=finder):
        for seed in range(repeats):
            scorer = TableScorer(
                model, task, split, "cpu", lambda _, steps: spent.append(steps), exact.by_context
            )
            contexts = sorted(exact.by_context)
            search = AdaptiveSampling(kind(scorer, seed), reference, contexts, precision)
            search.run()
            for k in contexts:
                at = search.estimate(k, 0)
                if at.method == "sample":
                    inside = abs(at.losses.mean() - exact.by_context[k].mean()) <= at.half_width
                    found[k].append((inside, at.half_width / precision, at.n))
    passes = sum(spent) / repeats / len(split.inputs)
    columns = [
        [str(k), _covered(values, repeats), *_means(values)] for k, values in sorted(found.items())
    ] or [["", "all exact", "", f"{len(split):,}"]]
    return [task.id, name, *("; ".join(column) for column in zip(*columns, strict=True)), passes]


def _covered(values: list[tuple[bool, float, int]], repeats: int) -> str:
    share = f"{100 * np.mean([inside for inside, _, _ in values]):.1f}"
    return share if len(values) == repeats else f"{share} of {len(values)}"


def _means(values: list[tuple[bool, float, int]]) -> tuple[str, str]:
    _, width, size = np.mean(values, axis=0)
    return f"{100 * width:.0f}", f"{size:,.0f}"


@dataclass(frozen=True)
class Carried:
    """The model's only attribute that the estimator needs."""

    stateful: bool


@dataclass(frozen=True)
class Found:
    """Scores from a table, with the interface of a collector of scores."""

    found: Scores

    def scores(self) -> Scores:
        """Return them."""
        return self.found


@dataclass(frozen=True)
class TableScorer(Scorer):
    """A scorer that reads losses from a table."""

    table: Mapping[int, Floats]

    def windows(self, targets, k, reference=None, distinct=None):  # type: ignore[no-untyped-def]
        """Return the losses of targets at k."""
        self.progress(k, k * len(targets if distinct is None else distinct.first))
        return Found(Scores(self.table[k][targets], None))


class CachedFinder:
    """Finds the equal windows of one split once, not in each repetition."""

    def __init__(self, split: Split) -> None:
        self._finder = DistinctWindowFinder(split)
        self._found: dict[int, DistinctWindows] = {}

    def find(self, chosen: Indices, k: int) -> DistinctWindows:
        """Return the distinct windows; k not smaller than any before it was first requested."""
        if k not in self._found:
            self._found[k] = self._finder.find(chosen, k)
        return self._found[k]


def with_table(base: type[WindowScores]) -> type[WindowScores]:
    """Return a subclass of a sampling method that reads losses from a table."""
    populations: dict[int, Indices] = {}  # the same in each repetition

    class Table(base):  # type: ignore[misc, valid-type]
        def __init__(self, scorer: TableScorer, seed: int) -> None:
            super().__init__(scorer, seed)
            self.order = cache(super().order)

        def population(self, k: int) -> Indices:
            if k not in populations:
                populations[k] = super().population(k)
            return populations[k]

        def score(self, wanted, reference=None):  # type: ignore[no-untyped-def]
            table = self.scorer.table
            if base is ByStart:  # windows grow from nothing to the longest requested of each start
                longest = np.zeros(len(self.scorer.split.inputs), np.int64)
                for k in sorted(wanted):
                    longest[self.starts(k)[wanted[k]]] = k
                self.scorer.progress(0, int(longest.sum()))
            else:
                for k, part in wanted.items():
                    self.scorer.progress(k, k * len(self.order(k)[part]))
            return {k: Scores(table[k][self.order(k)[part]], None) for k, part in wanted.items()}

    return Table


if __name__ == "__main__":
    main()
