"""How often the intervals of an estimated curve contain the exact curve.

A trained LSTM and a trained Transformer are measured exactly on the first targets of WikiText-2's
test split. Then the estimator runs a thousand times with other seeds on these losses: the same code
as in measuring, with a table instead of the model. For each k the script prints the share of 95 %
intervals that contain the exact mean, the bias in half-widths, and the mean number of windows.

    python benchmarks/coverage.py [--repeats 1000] [--targets 30000] [--precision 0.5 2]
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np
from common import machine, say, timed, trained
from tabulate import tabulate

from seqmem.measuring.curve import Curve, measure
from seqmem.measuring.estimate import AdaptiveSampling
from seqmem.measuring.reference import Reference
from seqmem.measuring.scoring import Scores
from seqmem.measuring.window_scores import ByStart, ByTarget, Scorer, WindowScores
from seqmem.tasks.task import Split, Task

MODELS = ("lstm", "transformer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=30_000)
    parser.add_argument("--precision", type=float, nargs="+", default=[0.5, 2.0], metavar="%")
    parser.add_argument("--models", nargs="+", default=MODELS)
    arguments = parser.parse_args()
    for name in arguments.models:
        model, task = trained(name)
        split = task.split("test").prefix(arguments.targets)
        reach = model.receptive_field or 512
        contexts = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k < reach]
        seconds, exact = timed(lambda: measure(model, task, split, [*contexts, "full"]))  # noqa: B023
        say(f"{name}: exact curve of {len(split):,} targets in {seconds:.0f} s")
        for percent in arguments.precision:
            half_width = math.log1p(percent / 100)
            rows = coverage(
                exact, task, split, contexts, half_width, arguments.repeats, model.stateful
            )
            say(f"\n{name}, ±{percent:g} %, {arguments.repeats} repetitions, {machine()}\n")
            headers = [
                "k",
                "sampled",
                "coverage",
                "bias / half-width",
                "windows",
                "widest / wanted",
            ]
            say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=".3g") + "\n")


@dataclass(frozen=True)
class _Found:
    """Scores from a table, with the interface of a collector of scores."""

    found: Scores

    def scores(self) -> Scores:
        return self.found


@dataclass(frozen=True)
class TableScorer(Scorer):
    """A scorer that reads losses from a table."""

    table: dict[int, np.ndarray]

    def windows(self, targets, k, reference=None, distinct=None):  # type: ignore[no-untyped-def]
        """Return the losses of targets at k."""
        return _Found(Scores(self.table[k][targets], None))


def with_table(base: type[WindowScores]) -> type[WindowScores]:
    """Return a subclass of a sampling method that reads losses from a table."""

    class Table(base):  # type: ignore[misc, valid-type]
        def score(self, wanted, reference=None):  # type: ignore[no-untyped-def]
            table = self.scorer.table
            return {k: Scores(table[k][self.order(k)[part]], None) for k, part in wanted.items()}

    return Table


def coverage(
    exact: Curve,
    task: Task,
    split: Split,
    contexts: list[int],
    half_width: float,
    repeats: int,
    grows: bool,
) -> list[list[object]]:
    """Run the estimator repeatedly; return one row for each k."""
    table = {k: exact.at(k).losses for k in contexts}
    assert exact.full is not None
    reference = Reference(Scores(exact.full.losses, None), True, {}, 0)
    kind = with_table(ByStart if grows else ByTarget)
    deviations: dict[int, list[float]] = {k: [] for k in contexts}
    sizes: dict[int, list[int]] = {k: [] for k in contexts}
    widest: dict[int, float] = dict.fromkeys(contexts, 0.0)
    for seed in range(repeats):
        scorer = TableScorer(_Carried(grows), task, split, "cpu", lambda k, steps: None, table)
        search = AdaptiveSampling(kind(scorer, seed), reference, contexts, half_width)
        search.run()
        for k in contexts:
            found = search.estimate(k, 0)
            if found.method == "sample":
                deviations[k].append((found.losses.mean() - table[k].mean()) / found.half_width)
                sizes[k].append(found.n)
                widest[k] = max(widest[k], found.half_width / half_width)
    rows: list[list[object]] = []
    for k, values in deviations.items():
        if not values:
            rows.append([k, "never: all scored", None, None, len(split), None])
            continue
        hits = np.abs(values) <= 1
        share = f"{100 * hits.mean():.1f} %"
        rows.append([k, len(values), share, np.mean(values), np.mean(sizes[k]), widest[k]])
    return rows


@dataclass(frozen=True)
class _Carried:
    """The model's only attribute that the estimator needs."""

    stateful: bool


if __name__ == "__main__":
    main()
