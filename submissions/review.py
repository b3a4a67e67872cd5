"""Review what a pull request adds to a board: records are checked, their models measured again.

A board is a folder. ``submitted/TASK/submitted-NAME.json`` is a record as `seqmem submit` wrote it,
and beside it is its model: ``submitted-NAME.onnx``, ``submitted-NAME.safetensors``, or
``submitted-NAME.txt`` with one line, ``hf:OWNER/NAME@COMMIT``. ``rescored/`` is what `verify` wrote
and is what the board shows. A pull request adds files below ``submitted/`` and changes no others.

Nothing that comes with a pull request is run as code.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqmem.errors import CellError, InputError
from seqmem.files import read_file
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.store import COMMITTED, read_records, record_directory
from seqmem.submissions.opening import OpenOptions
from seqmem.submissions.own_files import file_sha256
from seqmem.submissions.submit import best_losses, check_name, read_record, stem_of
from seqmem.submissions.verify import Verification, verify

__all__ = ["Review", "Reviewed", "review"]

Log = Callable[[str], object]

SUBMITTED, RESCORED = "submitted", "rescored"
MODELS = (".onnx", ".safetensors", ".txt")
_PLACE = re.compile(r"hf:\w[\w.-]*/\w[\w.-]*@[0-9a-f]{40}\s*")
LONGEST_PLACE = 1000  # bytes of the file that holds it
_POINTER = re.compile(rb"version https://git-lfs\S+\n.*oid sha256:([0-9a-f]{64})\n", re.DOTALL)
# The relative difference of summed losses up to which two models are one, stored differently. Other
# models among the committed records differ by 6e-4 or more in one group.
SAME = 1e-4


@dataclass(frozen=True)
class Reviewed:
    """One added record.

    Attributes:
        path: its path in the folder of the board.
        record: the record; None if it cannot be read.
        found: what measuring again found; None if it did not come to that.
        refused: why it cannot enter the board; None if it can.
        standing: the task's records that the board shows, without the new one.
    """

    path: Path
    record: Record | None
    found: Verification | None
    refused: str | None
    standing: tuple[Record, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """What a person should look at, although the record was confirmed."""
        checks = (self.found.record.validity or {}).get("checks", ()) if self.found else ()
        return tuple(check["example"] for check in checks if check.get("example") is not None)


@dataclass(frozen=True)
class Review:
    """What was added.

    Attributes:
        records: the added records.
        others: files beside these that were added, changed or removed, and how.
    """

    records: tuple[Reviewed, ...]
    others: tuple[tuple[Path, str], ...]

    @property
    def passed(self) -> bool:
        """Whether all records can enter the board, and nothing of what is there was touched."""
        return not self.refused_others and all(each.refused is None for each in self.records)

    @property
    def refused_others(self) -> tuple[tuple[Path, str], ...]:
        """The other files that a pull request may not touch: all, if it adds records."""
        kept = (SUBMITTED, RESCORED)
        return tuple(
            (path, how) for path, how in self.others if self.records or path.parts[0] in kept
        )


def review(
    change: Path,
    board: Path,
    results: Path,
    *,
    seed: Callable[[], int],
    device: str,
    log: Log,
) -> Review:
    """Review the records that a folder has and a board lacks.

    Args:
        change: the board's folder with the change.
        board: the board's folder without it.
        results: the folder in which confirmed records are stored.
        seed: returns the seed of one model's windows.
        device: where models run.
        log: called with a line for each step that takes time.

    Raises:
        OSError: a folder cannot be read, or a record cannot be written.
    """
    others = _differences(change, board)
    records = [
        path
        for path, how in others.items()
        if how == "added" and path.parts[0] == SUBMITTED and path.suffix == ".json"
    ]
    for path in records:
        for part in (path, *(path.with_suffix(suffix) for suffix in MODELS)):
            if others.get(part) == "added":
                del others[part]
    believed = board / RESCORED
    shown, _ = read_records([COMMITTED], [believed] if believed.is_dir() else [])
    known = [*shown, *read_records([board / SUBMITTED])[0]]
    reviewed = []
    for path in records:
        one = _reviewed(change, path, shown, known, results, seed(), device, log)
        reviewed.append(one)
        known += [one.record] if one.record is not None else []
    return Review(tuple(reviewed), tuple(others.items()))


def _differences(change: Path, board: Path) -> dict[Path, str]:
    """Return "added", "changed", "removed" or "is a link" for each file that differs, by path."""
    new, old = _files(change), _files(board)
    found = {}
    for path in sorted(new | old):
        if path not in new:
            found[path] = "removed"
        elif (change / path).is_symlink():
            if path not in old or not (board / path).is_symlink():
                found[path] = "is a link"
        elif path not in old:
            found[path] = "added"
        elif not _same_content(change / path, board / path):
            found[path] = "changed"
    return found


def _files(folder: Path) -> set[Path]:
    """Return the paths of all files and links below a folder, without those of git."""
    found = set()
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if name != ".git"]
        found |= {Path(place, name).relative_to(folder) for name in (*names, *links)}
    return {path for path in found if path.parts[0] != ".git"}


def _same_content(one: Path, other: Path) -> bool:
    """Return whether two files are equal; of one in Git LFS, its pointer is enough."""
    hashes = []
    for path in (one, other):
        digest = file_sha256(path).hex()
        pointer = _POINTER.match(read_file(path)) if path.stat().st_size < LONGEST_PLACE else None
        hashes.append(pointer[1].decode() if pointer else digest)
    return hashes[0] == hashes[1]


def _reviewed(
    change: Path,
    path: Path,
    shown: Sequence[Record],
    known: Sequence[Record],
    results: Path,
    seed: int,
    device: str,
    log: Log,
) -> Reviewed:
    """Return the review of one record; what is wrong with it is no error."""
    record, found, standing = None, None, []
    try:
        record = read_record(change / path)
        _check_place(record, path)
        standing = [each for each in shown if _edition(each) == _edition(record)]
        _check_new(record, [each for each in known if _edition(each) == _edition(record)])
        found = verify(
            change / path,
            _model(change / path),
            OpenOptions(hidden=(results,)),
            results,
            seed=seed,
            device=device,
            log=log,
            best=best_losses(standing, record.task),
            accept=lambda new: _check_losses(new, standing),
        )
    except (InputError, CellError) as error:
        log(f"{path}: {error}")
        return Reviewed(path, record, None, str(error))
    differ = [str(row.k) for row in found.rows if not row.agrees]
    refused = f"another loss was found at k = {', '.join(differ)}" if differ else None
    return Reviewed(path, record, found, refused, tuple(standing))


def _edition(record: Record) -> tuple[str, int, str]:
    return record.task.id, record.task.version, record.task.data_hash


def _check_place(record: Record, path: Path) -> None:
    """Check that a record has a valid name and task, and lies where these say.

    Raises:
        InputError: it does not.
    """
    name, task = record.model["label"], record.task.id
    check_name(name)
    if task.startswith("text:"):
        raise InputError(f"task {task}: is a file of the submitter; a board has public tasks")
    wanted = record_directory(Path(SUBMITTED), task) / f"{stem_of(name)}.json"
    if path != wanted:
        raise InputError(f"the record of '{name}' on {task} belongs at {wanted}")


def _check_new(record: Record, known: Iterable[Record]) -> None:
    """Check that neither the name nor the model of a record is on the board.

    Raises:
        InputError: one of them is.
    """
    name, hashes = record.model["label"], _hashes(record)
    for each in known:
        label = each.model["label"]
        if label.lower() == name.lower():
            raise InputError(f"the name '{name}' is on the board already; choose another one")
        if same := hashes & _hashes(each):
            raise InputError(
                f"'{name}' is the same model as '{label}': both have the sha256 {min(same)[:12]}…"
            )


def _hashes(record: Record) -> set[str]:
    return {record.model[key] for key in ("sha256", "weights_sha256") if record.model.get(key)}


def _check_losses(record: Record, standing: Iterable[Record]) -> None:
    """Check that no record has the same losses: a model stored anew has another hash.

    Raises:
        InputError: one has.
    """
    for each in standing:
        sums = [
            pair
            for point in record.curve
            if (other := each.point(point.k)) is not None
            and (point.method, other.method) == ("all", "all")
            and record.group_counts == each.group_counts
            for pair in zip(point.group_sums, other.group_sums, strict=True)
        ]
        if sums and all(math.isclose(one, two, rel_tol=SAME) for one, two in sums):
            raise InputError(
                f"'{record.model['label']}' has the losses of '{each.model['label']}' in all "
                f"{len(record.group_counts):,} groups of targets, to {SAME:g} of their size: it "
                "seems to be the same model"
            )


def _model(path: Path) -> str:
    """Return the model beside a record, in a format of `open_model`.

    Raises:
        InputError: there is none, or there are several.
    """
    found = [file for suffix in MODELS if os.path.lexists(file := path.with_suffix(suffix))]
    if len(found) != 1 or found[0].is_symlink():
        names = ", ".join(f"{path.stem}{suffix}" for suffix in MODELS)
        raise InputError(f"beside {path.name} there must be one file, no link, out of {names}")
    if found[0].suffix != ".txt":
        return str(found[0])
    try:
        text = read_file(found[0])[:LONGEST_PLACE].decode(errors="replace")
    except OSError as error:
        raise InputError(f"{found[0].name}: cannot be read ({error.strerror})") from None
    if not _PLACE.fullmatch(text):
        raise InputError(
            f"{found[0].name}: must be one line, hf:OWNER/NAME@COMMIT, with the commit's 40 digits"
        )
    return text.strip()
