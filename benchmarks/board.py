"""How long a board of many records takes: importing, reading, sorting into boards, and writing.

Records are copies of the committed ones with other names, seeds and losses, in a temporary folder.
Each step runs in a new process.

    python benchmarks/board.py [--records 10000] [--seeds 10]
"""

import argparse
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from seqmem.leaderboard.record import Point, Record, to_json
from seqmem.leaderboard.store import COMMITTED, read_records, record_directory

STEPS = """
import sys, time
def now():
    return time.perf_counter(), time.process_time()

began = now()
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.selection import select
from seqmem.leaderboard.store import uncollected
from seqmem.leaderboard.tables.board_table import board_text
from pathlib import Path
imported = now()
assert "torch" not in sys.modules
records = select([Path(sys.argv[1])], [], print).records
read = now()
with uncollected():  # as `seqmem leaderboard` does
    made = boards(records)
    sorted_ = now()
    text = board_text(made, "table")
end = now()
print(len(records), sum(len(board.rows) for board in made), len(made), len(text))
ends = (began, imported, read, sorted_, end)
for kind in (0, 1):
    print(*(after[kind] - before[kind] for before, after in zip(ends, ends[1:])))
"""


def changed(record: Record, model: int, seed: int, generator: random.Random) -> Record:
    """Return a record of another model: all losses are larger, and groups have their own noise."""
    share = 1 + model / 100 + generator.gauss(0, 0.002)
    noise = [generator.gauss(0, 0.01) for _ in record.group_counts]

    def other(point: Point) -> Point:
        loss = replace(point.loss, mean=point.loss.mean * share)
        sums = zip(point.group_sums, noise, strict=True)
        return replace(point, loss=loss, group_sums=tuple(s * (share + e) for s, e in sums))

    return replace(
        record,
        model={**record.model, "label": f"{record.model['label']}:hidden={model + 1}"},
        training={**record.training, "seed": seed},
        curve=tuple(map(other, record.curve)),
    )


def write(folder: Path, wanted: int, seeds: int) -> int:
    """Write records of models on the tasks of the small budget; return their size in MiB."""
    records, _ = read_records([COMMITTED])
    newest = {
        r.task.id: r
        for r in sorted(records, key=lambda r: r.created)
        if r.training["budget"] == "small" and r.measurement.get("plain_passes") is not None
    }
    generator, size = random.Random(0), 0
    for number in range(wanted):
        cell, seed = divmod(number, seeds)
        model, task = divmod(cell, len(newest))
        record = changed(list(newest.values())[task], model, seed, generator)
        place = record_directory(folder, record.task.id)
        place.mkdir(parents=True, exist_ok=True)
        text = to_json(record)
        (place / f"{number}.json").write_text(text, encoding="utf-8")
        size += len(text)
    return size >> 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder), arguments.records, arguments.seeds)
        best = None
        for _ in range(arguments.times):
            ran = subprocess.run(
                [sys.executable, "-c", STEPS, folder], check=True, capture_output=True, text=True
            )
            what, *lines = ran.stdout.splitlines()[-3:]
            found = [float(value) for line in lines for value in line.split()]
            best = found if best is None else list(map(min, best, found))
        records, rows, boards, length = what.split()
    assert best is not None
    print(f"{records} records, {size} MiB, {rows} rows on {boards} boards, {length} characters")
    steps = ("import", "read", "sort into boards", "write")
    for name, wall, busy in zip(steps, best[:4], best[4:], strict=True):
        print(f"{name:18} {wall:.2f} s, {busy:.2f} s of CPU time")
    print(f"{'boards and table':18} {best[2] + best[3]:.2f} s")


if __name__ == "__main__":
    main()
