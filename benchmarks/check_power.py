"""Does a check detect faults? Faults are injected one at a time; each must turn a cell red.

Expectations are the committed ones; missing ones are created first. For each fault the table shows
the cell and the k with the largest difference, in margins.

python benchmarks/check_power.py [EXPECTATIONS]     minutes; status 1 if a fault is not detected
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from common import machine, say
from tabulate import tabulate

from seqmem.check.expectation import EXPECTATIONS, read_expectations
from seqmem.check.judge import Verdict
from seqmem.check.run import CheckRequest, check, renew
from seqmem.tests.faults import FAULTS


def verdicts(cells: Sequence[tuple[str, str]], folder: Path) -> list[Verdict]:
    """Return the verdicts on some cells."""
    found: list[Verdict] = []
    for model, task in cells:
        request = CheckRequest(folder, models=(model,), tasks=(task,))
        found += check(request, lambda line: None).verdicts
    return found


def margins(verdict: Verdict) -> str:
    """Return where the largest difference is, and its size in margins."""
    if verdict.worst is None:
        return f"{verdict.model} on {verdict.task}: {verdict.reason[:60]}"
    size = abs(verdict.worst.difference) / verdict.worst.margin
    return f"{verdict.model} on {verdict.task}, k = {verdict.worst.k}: {size:.1f}"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else EXPECTATIONS
    cells = sorted({cell for fault in FAULTS.values() for cell in fault.cells})
    known, _ = read_expectations(folder)
    for model, task in cells:
        if (task, model) not in known:
            list(renew(CheckRequest(folder, (model,), (task,), seeds=(0, 1, 2, 3, 4)), say))
    missed = []
    clean = verdicts(cells, folder)
    if any(verdict.state != "green" for verdict in clean):
        sys.exit("without a fault: " + "; ".join(v.model for v in clean if v.state != "green"))
    rows = []
    for name, fault in FAULTS.items():
        with fault.inject():
            found = verdicts(fault.cells, folder)
        red = [verdict for verdict in found if verdict.state == "red"]
        if not red:
            missed.append(name)
        rows.append(
            [name, f"{len(red)} of {len(found)} red", *(f"{v.state}: {margins(v)}" for v in found)]
        )
        say(f"{name}: {len(red)} of {len(found)} red")
    say(tabulate(rows, headers=["fault", "", "where, in margins"], tablefmt="pipe"))
    say(machine())
    if missed:
        sys.exit(f"not detected: {', '.join(missed)}")


if __name__ == "__main__":
    main()
