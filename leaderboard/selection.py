"""Selection of the records that a command shows, by place and task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqmem.errors import InputError, unknown
from seqmem.leaderboard.published import Published, read_published
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.store import COMMITTED, read_records

__all__ = ["Selection", "select"]

OWN = Path("results") / "records"


@dataclass(frozen=True)
class Selection:
    """Selected records.

    Attributes:
        records: of the requested tasks.
        published: published numbers of these tasks.
        any_records: whether there are records of any task.
    """

    records: tuple[Record, ...]
    published: tuple[Published, ...]
    any_records: bool


def select(
    places: Sequence[Path | RemoteResults],
    task_ids: Sequence[str],
    log: Callable[[str], object],
    *,
    published: bool = False,
) -> Selection:
    """Return the records of some tasks.

    Args:
        places: files, folders or URLs; none: the committed ones, and ./results.
        task_ids: the tasks; none: all that were measured.
        log: called with one line for each file that is no record.
        published: whether published numbers are read, also of tasks without records.

    Raises:
        InputError: a place does not exist or cannot be read, or a task has no records.
    """
    here: list[Path] = []
    for place in places:
        if isinstance(place, Path) and not place.exists():
            raise InputError(f"--records {place}: there is no such file or folder")
        found = [place] if isinstance(place, Path) else place.fetch_records()
        if not found:
            raise InputError(f"--records {place}: there are no records")
        here += found
    usual = [place for place in (COMMITTED, OWN) if place.is_dir()]
    records, problems = read_records(here or usual)
    for problem in problems:
        log(f"skipped {problem}")
    printed = read_published() if published else ()
    measured = {record.task.id for record in records}
    known = measured | {entry.task for entry in printed}
    if task_ids and not known:
        raise InputError(
            f"no records of {task_ids[0]}, nor of other tasks: `seqmem eval lstm --suite smoke` "
            "makes some; --records DIR selects other folders"
        )
    for task_id in task_ids:
        if task_id not in known:
            raise unknown("task among the records", task_id, sorted(known), "seqmem leaderboard")
    requested = set(task_ids) or measured
    return Selection(
        tuple(record for record in records if record.task.id in requested),
        tuple(entry for entry in printed if entry.task in requested),
        bool(records),
    )
