"""Corrections: records are never changed, and a later one may say which one it stands in for."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqmem.leaderboard.record import Record

__all__ = ["Kept", "in_force"]


@dataclass(frozen=True)
class Kept:
    """A record and the file that it is kept in."""

    path: Path
    record: Record


def in_force(kept: Iterable[Kept]) -> tuple[list[Record], list[str]]:
    """Leave out records that a later one supersedes, also where that one is superseded in turn.

    A record supersedes one that was made before it on the same task, whose file's name or sha256
    it gives; the version of the task, and its data, may be others. One that is not among those
    given is nothing to leave out.

    Returns:
        the others, in the order given; and one line for each record that claims to supersede what
        it must not, and then supersedes nothing.
    """
    found = list(kept)
    corrections = [one for one in found if one.record.supersedes is not None]
    if not corrections:
        return [one.record for one in found], []
    by_reference = _by_reference(found)
    gone, problems = set[Path](), []
    for one in corrections:
        reference = str(one.record.supersedes)
        for old in by_reference.get(reference, ()):
            if old.path == one.path or old.record.task.id != one.record.task.id:
                continue
            if old.record.created < one.record.created:
                gone.add(old.path)
            else:
                problems.append(
                    f"{one.path}: supersedes {reference}, which is no older; both are kept"
                )
    return [one.record for one in found if one.path not in gone], problems


def _by_reference(found: Iterable[Kept]) -> Mapping[str, list[Kept]]:
    """Give the records of each file name, and of each sha256."""
    known: dict[str, list[Kept]] = {}
    for one in found:
        digest = hashlib.sha256(one.path.read_bytes()).hexdigest()
        for reference in (one.path.name, digest):
            known.setdefault(reference, []).append(one)
    return known
