"""The committed records: the same for tables, findings and the page."""

import json
from collections.abc import Sequence

from seqmem.leaderboard.record import Record
from seqmem.leaderboard.statistics.aggregate import Board, boards, id_order
from seqmem.leaderboard.statistics.rows import latest
from seqmem.leaderboard.store import COMMITTED, read_records, record_directory

__all__ = [
    "BUDGET",
    "board_records",
    "chosen",
    "committed_records",
    "newest",
    "sources",
    "trainings",
]

ROOT = COMMITTED.parent.parent
BUDGET = "small"  # of the findings, where no other is named
FEW = 2  # tasks, or records, that are named


def committed_records(budget: str | None = None) -> list[Record]:
    """Return those of a training budget, or all, of every schema.

    Raises:
        SystemExit: a committed file is no record.
    """
    records, problems = read_records([COMMITTED])
    if problems:
        raise SystemExit("\n".join(problems))
    return [record for record in records if budget in (None, record.training["budget"])]


def board_records() -> list[Record]:
    """Return those that the board shows: budgets below small only test the program.

    Raises:
        SystemExit: a committed file is no record.
    """
    return [r for r in committed_records() if not r.training["budget"].startswith("smoke")]


def sources(boards: Sequence[Board], records: Sequence[Record] = ()) -> str:
    """Return links from docs/ to the records behind a statement.

    Args:
        boards: which it is about; where they are many, the folder of all is named.
        records: the very records, if they are known.
    """
    folders = [record_directory(COMMITTED, board.task_id) for board in boards]
    created = {record.created for record in records}
    files = [
        path
        for folder in folders
        for path in sorted(folder.glob("*.json"))
        if created and json.loads(path.read_bytes()).get("created") in created
    ]
    places = files if 0 < len(files) <= FEW else folders if len(folders) <= FEW else [COMMITTED]
    names = [path.relative_to(ROOT).as_posix() for path in places]
    return ", ".join(f"[`{name}`](../{name})" for name in names)


def chosen(records: Sequence[Record], budget: str = BUDGET) -> list[Board]:
    """Return the newest board of each task, of one budget."""
    return newest([record for record in records if record.training["budget"] == budget])


def newest(records: Sequence[Record]) -> list[Board]:
    """Return one board for each task: of several versions, data or recipes the latest."""
    found: dict[str, Board] = {}
    for board in sorted(boards(records), key=lambda b: max(record.created for record in b.records)):
        found[board.task_id] = latest(board)
    return [found[task_id] for task_id in sorted(found, key=id_order)]


def trainings(boards: Sequence[Board]) -> str:
    """Return how often the models were trained, as "1 or 3 trainings of each"."""
    seeds = {len(row.records) for board in boards for row in board.rows}
    return f"{' or '.join(map(str, sorted(seeds)))} training{'' if seeds == {1} else 's'} of each"
