"""Records on disk: one file each, whole or not there, never overwritten."""

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from seqmem.leaderboard.record import Record, RecordError, from_json, to_json

__all__ = [
    "COMMITTED",
    "FAILURES",
    "find_record",
    "read_records",
    "record_directory",
    "write_once",
    "write_record",
]

COMMITTED = Path(__file__).parent / "records"
FAILURES = "failures"  # the folder, beside that of records, of cells that could not be trained


def record_directory(root: Path, task_id: str) -> Path:
    """Give the folder of a task's records below `root`."""
    return root / re.sub(r"[^A-Za-z0-9.=_-]", "_", task_id)


def write_record(record: Record, directory: Path, stem: str) -> Path:
    """Write a record as ``stem.json``, or ``stem.2.json`` and so on where that is taken.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    return write_once(to_json(record), directory, stem)


def write_once(text: str, directory: Path, stem: str) -> Path:
    """Write a text as ``stem.json``, or ``stem.2.json`` and so on where that is taken.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        number = 1
        while True:
            path = directory / (f"{stem}.json" if number == 1 else f"{stem}.{number}.json")
            try:
                os.link(name, path)  # unlike a rename, this fails where the name is taken
            except FileExistsError:
                number += 1
            else:
                return path
    finally:
        os.unlink(name)


def find_record(directory: Path, stem: str) -> Record | None:
    """Give the latest record written under a stem; None where there is none."""
    records, _ = read_records([*directory.glob(f"{stem}.json"), *directory.glob(f"{stem}.*.json")])
    return max(records, key=lambda record: record.created, default=None)


def read_records(places: Iterable[Path]) -> tuple[list[Record], list[str]]:
    """Read every record in the given files, and in all .json files below the given folders.

    Folders of failures below a given one are no place of records and not looked into.

    Returns:
        the records, by path; and one line for each file that is not a readable record.
    """
    records, problems = [], []
    for place in places:
        for path in sorted(place.rglob("*.json")) if place.is_dir() else [place]:
            if FAILURES in path.relative_to(place).parts[:-1]:
                continue
            try:
                records.append(from_json(path.read_text(encoding="utf-8")))
            except (RecordError, OSError, UnicodeDecodeError) as error:
                problems.append(f"{path}: {error}")
    return records, problems
