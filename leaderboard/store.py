"""Records on disk: one file each, written atomically and never overwritten."""

import errno
import gc
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from seqmem.files import read_file, temporary_file
from seqmem.leaderboard.agreement import disagreeing
from seqmem.leaderboard.record import Record, RecordError, from_json, to_json
from seqmem.leaderboard.signature import is_signed
from seqmem.lifetime import writing_in

__all__ = [
    "COMMITTED",
    "FAILURES",
    "find_record",
    "read_records",
    "record_directory",
    "uncollected",
    "write_once",
    "write_record",
    "write_unless_taken",
]

COMMITTED = Path(__file__).parent / "records"
FAILURES = "failures"  # the folder of failed cells, next to that of records

LONGEST_NAME = 80  # characters of a task's folder, without the hash
# Ids that remain distinct when ":" and "/" become "_", also where a file system ignores case: what
# follows "text:" is a path, other ids exist in one spelling.
PLAIN = re.compile(
    r"text:[a-z0-9][a-z0-9.=-]*(/[a-z0-9.=-]+)*"
    r"|(?!text/)[A-Za-z0-9][A-Za-z0-9.=-]*(/[A-Za-z0-9.=-]+)*"
)


def record_directory(root: Path, task_id: str) -> Path:
    """Return the folder of a task's records below `root`: another one for each id.

    Its name is the id with "_" for other characters; if that is too long, or could be another
    id's, it is shortened and a hash of the id follows.
    """
    name = re.sub(r"[^A-Za-z0-9.=_-]", "_", task_id)
    if len(name) > LONGEST_NAME or not PLAIN.fullmatch(task_id):
        digest = hashlib.sha256(task_id.encode(errors="surrogatepass")).hexdigest()
        name = f"{name[:LONGEST_NAME]}__{digest[:12]}"  # no plain name contains "__"
    return root / name


def write_record(record: Record, directory: Path, stem: str) -> Path:
    """Write a record as ``stem.json``, or ``stem.2.json`` and so on if that exists.

    Raises:
        OSError: it cannot be written; no file is left.
    """
    return write_once(to_json(record), directory, stem)


def write_once(text: str, directory: Path, stem: str) -> Path:
    """Write a text as ``stem.json``, or ``stem.2.json`` and so on if that exists.

    Raises:
        OSError: it cannot be written; no file is left.
    """
    paths = (
        write_unless_taken(text, directory, f"{stem}.{n}" if n > 1 else stem) for n in count(1)
    )
    return next(path for path in paths if path is not None)


def write_unless_taken(text: str, directory: Path, stem: str) -> Path | None:
    """Write a text as ``stem.json`` atomically; return its path, or None if the file exists.

    Of several processes that try at once, one succeeds.

    Raises:
        OSError: it cannot be written; no file is left.
    """
    path = directory / f"{stem}.json"
    with writing_in(directory):
        temporary = temporary_file(directory)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _move(temporary, path)
        except FileExistsError:
            return None
        except FileNotFoundError:
            if temporary.exists():
                raise
            # Removed by another machine, which does not see this one's locks.
            return write_unless_taken(text, directory, stem)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _move(temporary: Path, path: Path) -> None:
    """Move a file to a path.

    Raises:
        FileExistsError: the path is taken.
    """
    try:
        os.link(temporary, path)  # unlike a rename, it never replaces a file
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: reserve the name, under another one
        reserved = path.with_name(f"{path.name}.tmp")
        reserved.touch(exist_ok=False)
        try:
            if path.exists():
                raise FileExistsError(errno.EEXIST, "exists", str(path)) from None
            os.replace(temporary, path)
        finally:
            reserved.unlink()


def find_record(directory: Path, stem: str) -> Record | None:
    """Return the latest record written under a stem; None if there is none."""
    records, _ = read_records([*directory.glob(f"{stem}.json"), *directory.glob(f"{stem}.*.json")])
    return max(records, key=lambda record: record.created, default=None)


def read_records(
    places: Iterable[Path], rescored: Sequence[Path] = ()
) -> tuple[list[Record], list[str]]:
    """Return every record in the given files, and in all .json files below the given folders.

    Folders of failures below a given folder are skipped.

    Records that say "rescored" without a signature of this user, or a place among the committed
    ones or below a folder that is believed, are returned as self-reported.

    Args:
        places: files and folders.
        rescored: folders of a board that is believed, into which only `seqmem verify` writes. They
            are read after the places.

    Returns:
        the records, by path; and one line for each file that is not a readable record, or says more
        than is known.
    """
    records, paths, problems = [], [], []
    with uncollected():
        for path in dict.fromkeys(_files([*places, *rescored])):
            try:
                record = from_json(read_file(path))
            except (RecordError, OSError) as error:
                problems.append(f"skipped {path}: {error}")
                continue
            if record.trust == "rescored" and not (
                _is_below(path, (COMMITTED, *rescored)) or is_signed(record)
            ):
                record = replace(record, trust="self-reported")
                problems.append(
                    f"{path}: says 'rescored', and was not written by your `seqmem verify`; shown "
                    "as self-reported"
                )
            records.append(record)
            paths.append(path)
        wrong = dict(disagreeing(records, _committed))
    problems += [f"skipped {paths[i]}: {difference}" for i, difference in wrong.items()]
    return [record for i, record in enumerate(records) if i not in wrong], problems


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _committed(record: Record) -> Record | None:
    """Return a committed record of the same task and data; None if there is none."""
    task = record.task
    for path in sorted(record_directory(COMMITTED, task.id).glob("*.json")):
        found = from_json(read_file(path))
        if (found.task.version, found.task.data_hash) == (task.version, task.data_hash):
            return found
    return None


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        for path in sorted(place.rglob("*.json")) if place.is_dir() else [place]:
            if f"{os.sep}{FAILURES}{os.sep}" not in str(path)[len(str(place)) :]:
                yield path


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable the garbage collector: walking over all that was read takes half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
