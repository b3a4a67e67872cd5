"""A cell's files, transferred between machines that do not share the results folder.

A worker that sees the results folder writes there itself, checkpoints too. Any other works in a
folder of its own, which starts with the files of the cell's training so far; its new files are
sent back at the end and written into the results folder.
"""

import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from seqmem.files import write_bytes
from seqmem.leaderboard.store import write_once

__all__ = ["Files", "is_seen", "marked", "packed", "scratch", "unpacked"]

Files = Mapping[str, bytes]  # content by path below the results folder


@contextmanager
def marked(results: Path) -> Iterator[Path]:
    """Put a file into the results folder for a while, by which others recognise the folder."""
    mark = results / f".sweep-{uuid.uuid4().hex}"
    results.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def is_seen(mark: Path) -> bool:
    """Return whether this machine sees the results folder that holds the mark."""
    return mark.is_file()


def scratch(mark: Path, number: int) -> Path:
    """Return a cell's own folder on a machine that does not; the same at each try there."""
    return Path(tempfile.gettempdir()) / f"seqmem{mark.name}" / str(number)


def packed(paths: Iterable[Path], root: Path) -> dict[str, bytes]:
    """Read files below a folder, except those that are being written."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and path.suffix != ".tmp"
    }


def unpacked(files: Files, root: Path) -> None:
    """Write files below a folder, each whole; JSON files are never overwritten.

    Raises:
        OSError: one cannot be written.
    """
    for name, content in files.items():
        path = root / name
        if path.suffix == ".json":
            write_once(content.decode(), path.parent, path.stem)
        else:
            write_bytes(path, content)
