"""How often does a check raise a false alarm? No repetition has a fault; at most 1 % may be red.

One repetition checks one cell in one of four ways, in turn: with new seeds; with the usual seeds
and two threads; with the usual seeds and other batch sizes in measuring; and with the usual seeds
and the kernels that torch and its libraries use on an older processor.

python benchmarks/check_silence.py [REPETITIONS] [EXPECTATIONS]     200 take some ten minutes
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

from common import machine, say
from tabulate import tabulate

from seqmem.check.expectation import EXPECTATIONS, read_expectations
from seqmem.check.report import sentence
from seqmem.check.run import CHECKED, CheckRequest, check
from seqmem.leaderboard.statistics.intervals import wilson
from seqmem.measuring import reference, scoring
from seqmem.tasks import FAMILIES, family_of

MOST = 0.01
# Environment variables that disable newer instructions in torch, oneDNN and MKL.
OLDER = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
WAYS = ("fresh seeds", "two threads", "batch sizes", "older processor")


@contextmanager
def batch_sizes(steps: int, streams: int) -> Iterator[None]:
    """Measure with other batch sizes."""
    with ExitStack() as stack:
        changes: list[AbstractContextManager[object]] = [
            patch.dict(scoring.STEPS, {"cpu": steps}),
            patch.object(reference, "STREAMS", streams),
        ]
        for change in changes:
            stack.enter_context(change)
        yield


def repetition(way: str, number: int, model: str, task: str, folder: Path) -> tuple[str, str]:
    """Return the verdict on one cell without a fault, and a sentence on it."""

    def checked(seeds: tuple[int, ...], threads: int = 1) -> tuple[str, str]:
        request = CheckRequest(folder, (model,), (task,), seeds=seeds)
        with patch("seqmem.check.cell.THREADS", threads):
            (found,) = check(request, lambda line: None).verdicts
        return found.state, sentence(found)

    if way == "fresh seeds":
        return checked((1000 + 2 * number, 1001 + 2 * number))
    if way == "two threads":
        return checked(CHECKED, threads=2)
    if way == "batch sizes":
        with batch_sizes(1 << 9 + number % 5, 3 + number % 7):
            return checked(CHECKED)
    return older_processor(model, task, folder)


def older_processor(model: str, task: str, folder: Path) -> tuple[str, str]:
    """Return the same from a process without the newest instructions."""
    command = [sys.executable, "-m", "seqmem.submit", "check", model, "--task", task]
    command += ["--expectations", str(folder), "--format", "json"]
    ran = subprocess.run(
        command, env={**os.environ, **OLDER}, capture_output=True, text=True, check=False
    )
    if ran.returncode not in (0, 1):
        sys.exit(ran.stderr)
    (cell,) = json.loads(ran.stdout)["cells"]
    return cell["state"], ran.stderr.strip()


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else EXPECTATIONS
    known, _ = read_expectations(folder)
    cells = sorted(key for key in known if FAMILIES[family_of(key[0])].data is None)
    if not cells:
        sys.exit(f"{folder} holds no expectations: create some with `seqmem check --update`")
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(repetitions):
        round_, place = divmod(number, len(cells))
        task, model = cells[place]
        way = WAYS[(round_ + place) % len(WAYS)]
        state, text = repetition(way, number, model, task, folder)
        counts[way, state] += 1
        if state == "red":
            say(f"red: {way}: {text}")
        if (number + 1) % 20 == 0:
            say(f"{number + 1} of {repetitions}")
    states = ("green", "cannot tell", "red")
    rows = [[way, *(counts[way, state] for state in states)] for way in WAYS]
    say(tabulate(rows, headers=["what differs", *states], tablefmt="pipe"))
    red = sum(count for (_, state), count in counts.items() if state == "red")
    low, high = wilson(red / repetitions, repetitions)
    say(f"{red} of {repetitions} red; 95 % interval {low:.2%} to {high:.2%}")
    say(machine())
    if red > MOST * repetitions:
        sys.exit(f"more than {MOST:.0%} are red")


if __name__ == "__main__":
    main()
