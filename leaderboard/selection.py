"""Which records a command shows: from places on disk, of the tasks that were asked for."""

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
    """What was found.

    Attributes:
        records: of the tasks asked for.
        published: what papers print of them.
        any_records: whether there are records of any task.
    """

    records: tuple[Record, ...]
    published: tuple[Published, ...]
    any_records: bool


def select(
    places: Sequence[Path | RemoteResults],
    task_ids: Sequence[str],
    say: Callable[[str], object],
    *,
    published: bool = False,
    listing: str = "seqmem leaderboard",
) -> Selection:
    """Read records and keep those of some tasks.

    Args:
        places: files, folders or URLs; none: the committed ones, and ./results.
        task_ids: the tasks; none: all that were measured.
        say: called with one line for each file that is no record.
        published: whether published numbers are looked for, also of tasks not measured.
        listing: the command that lists the tasks.

    Raises:
        InputError: a place does not exist or cannot be reached, or a task has no records.
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
        say(f"passed over {problem}")
    printed = read_published() if published else ()
    measured = {record.task.id for record in records}
    known = measured | {entry.task for entry in printed}
    if task_ids and not known:
        raise InputError(
            f"no records of {task_ids[0]}, nor of other tasks: `seqmem eval lstm --suite smoke` "
            "makes some; --records names where they are"
        )
    for task_id in task_ids:
        if task_id not in known:
            raise unknown("task among the records", task_id, sorted(known), listing)
    asked = set(task_ids) or measured
    return Selection(
        tuple(record for record in records if record.task.id in asked),
        tuple(entry for entry in printed if entry.task in asked),
        bool(records),
    )
