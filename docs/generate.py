"""Write the generated parts of README.md: between <!-- generated: NAME --> and <!-- end -->.

python docs/generate.py            write them
python docs/generate.py --check    check that they are up to date
"""

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from seqmem.cli.listings import ListingRow, model_rows, task_rows, write_rows
from seqmem.docs.committed import committed_records
from seqmem.leaderboard.published import Published, read_published
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.tables.board_table import board_text

README = Path(__file__).parent.parent / "README.md"


def tasks() -> str:
    columns = ("task", "asks", "loss", "unit", "longest useful k", "suites")
    return write_rows(_columns(task_rows(), columns), "markdown")


def models() -> str:
    return write_rows(_columns(model_rows(), ("model", "is", "options")), "markdown")


def board(budget: str, published: Sequence[Published] = ()) -> str:
    """Return the committed records of one training budget, a table for each task."""
    chosen = committed_records(budget)
    measured = {record.task.id for record in chosen}
    beside = [entry for entry in published if entry.task in measured]
    return board_text(boards(chosen), "markdown", beside).rstrip()


def generated(text: str) -> str:
    """Return a text with every generated part replaced."""
    blocks: dict[str, Callable[[], str]] = {
        "tasks": tasks,
        "models": models,
        "board_smoke": partial(board, "smoke"),
        "board_small": partial(board, "small", read_published()),
    }
    return re.sub(
        r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}\n{blocks[found[2]]()}\n\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


def _columns(rows: list[ListingRow], names: tuple[str, ...]) -> list[ListingRow]:
    return [{name: row[name] for name in names} for row in rows]


if __name__ == "__main__":
    old = README.read_text(encoding="utf-8")
    new = generated(old)
    if "--check" in sys.argv:
        sys.exit(0 if new == old else "README.md is stale: run `make board`")
    README.write_text(new, encoding="utf-8")
