"""Does a check keep quiet? Nothing is wrong in any repetition; at most 1 % may be red.

One repetition checks one cell in one of three ways, in turn: with seeds that the expectation has
not seen; with its own seeds and two threads; with its own seeds and other batch sizes in measuring.

python benchmarks/check_silence.py [REPETITIONS] [EXPECTATIONS]     200 take most of ten minutes
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from common import machine, say
from tabulate import tabulate

from seqmem.check import CHECKED, CheckRequest, check
from seqmem.leaderboard.check.expectation import EXPECTATIONS, read_expectations
from seqmem.leaderboard.check.judge import Verdict
from seqmem.tasks import FAMILIES, family_of, reference, scoring
from seqmem.tasks.intervals import wilson

MOST = 0.01


@contextmanager
def batch_sizes(steps: int, streams: int) -> Iterator[None]:
    """Measure in passes of other sizes."""
    with ExitStack() as stack:
        changes: list[AbstractContextManager[object]] = [
            patch.dict(scoring.STEPS, {"cpu": steps}),
            patch.object(reference, "STREAMS", streams),
        ]
        for change in changes:
            stack.enter_context(change)
        yield


def repetition(number: int, model: str, task: str, folder: Path) -> tuple[str, Verdict]:
    """Check one cell in which nothing is wrong."""

    def verdict(seeds: tuple[int, ...], threads: int = 1) -> Verdict:
        request = CheckRequest(folder, (model,), (task,), seeds=seeds, threads=threads)
        (found,) = check(request, lambda line: None).verdicts
        return found

    if number % 3 == 0:
        return "fresh seeds", verdict((1000 + 2 * number, 1001 + 2 * number))
    if number % 3 == 1:
        return "two threads", verdict(CHECKED, threads=2)
    with batch_sizes(1 << 9 + number % 4, 3 + number % 7):
        return "batch sizes", verdict(CHECKED)


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else EXPECTATIONS
    known, _ = read_expectations(folder)
    cells = sorted(key for key in known if FAMILIES[family_of(key[0])].data is None)
    if not cells:
        sys.exit(f"{folder} holds no expectations: `seqmem check --update` makes some")
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(repetitions):
        task, model = cells[number % len(cells)]
        kind, verdict = repetition(number, model, task, folder)
        counts[kind, verdict.state] += 1
        if verdict.state == "red":
            say(f"red: {kind}, {model} on {task}: {verdict.reason} {verdict.worst}")
    states = ("green", "cannot tell", "red")
    kinds = sorted({kind for kind, _ in counts})
    rows = [[kind, *(counts[kind, state] for state in states)] for kind in kinds]
    say(tabulate(rows, headers=["what is other", *states], tablefmt="pipe"))
    red = sum(count for (_, state), count in counts.items() if state == "red")
    bounds = wilson(red / repetitions, repetitions)
    say(f"{red} of {repetitions} red; 95 % interval {bounds.low:.2%} to {bounds.high:.2%}")
    say(machine())
    if red > MOST * repetitions:
        sys.exit(f"more than {MOST:.0%} are red")


if __name__ == "__main__":
    main()
