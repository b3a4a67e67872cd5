"""Results behind a URL: in an object store, or wherever else fsspec reaches.

Work is done in a local copy of the few files that a cell needs. They come from the URL before, and
what is new goes back while the cell runs and at its end, each file whole: so another machine goes
on from the last checkpoint of one that died. Records are never overwritten.
"""

import hashlib
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqmem.errors import InputError
from seqmem.files import write_bytes
from seqmem.leaderboard.store import write_unless_taken
from seqmem.tasks.sources import cache_directory

__all__ = ["RemoteResults"]

EVERY = 10.0  # seconds between looks for new checkpoints
RECORDS = ("records/**/*.json", "failures/**/*.json")
SETTLED = (".json", ".safetensors")  # files that do not change once they are there

Stamp = tuple[int, int]  # by which a file that was replaced is told


@dataclass(frozen=True)
class RemoteResults:
    """A folder of results behind a URL, as in s3://bucket/results."""

    url: str

    def __str__(self) -> str:
        """Give the URL."""
        return self.url

    @property
    def copy(self) -> Path:
        """The local folder for what is needed of it."""
        name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return cache_directory() / "results" / name

    def check(self) -> None:
        """See that it can be written to.

        Raises:
            InputError: it cannot.
        """
        with self._told_to_user("written to"):
            files, root = self._open()
            first = root[: root.find("/", 1)] if root.find("/", 1) > 0 else root
            if not files.exists(first):  # a bucket is not made from a slip of the pen
                raise FileNotFoundError(f"there is no {first}")
            mark = f"{root}/.seqmem-{uuid.uuid4().hex}"
            _write(files, mark, b"")
            files.rm_file(mark)

    def fetch_records(self) -> Path:
        """Bring every record that is not here yet, and give the local folder of all of them.

        Raises:
            InputError: the URL cannot be read.
        """
        with self._told_to_user("read"):
            self.pull(self.copy, RECORDS)
        return self.copy

    @contextmanager
    def _told_to_user(self, what: str) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise InputError(f"{self.url}: needs another package: {error}") from None
        except Exception as error:  # each file system has errors of its own
            raise InputError(
                f"{self.url}: cannot be {what} ({type(error).__name__}: {error}); see that the "
                "place exists and that its credentials are set"
            ) from None

    def pull(self, folder: Path, patterns: Sequence[str]) -> None:
        """Bring the files that match; what does not change, only where it is not here."""
        files, root = self._open()
        for pattern in patterns:
            for path in files.glob(f"{root}/{pattern}"):
                here = folder / path.removeprefix(f"{root}/")
                if here.suffix in SETTLED and here.exists():
                    continue
                content: bytes = files.cat_file(path)
                if here.suffix == ".json":
                    write_unless_taken(content.decode(), here.parent, here.stem)
                else:
                    write_bytes(here, content)

    def push(self, folder: Path, patterns: Sequence[str], sent: dict[Path, Stamp]) -> None:
        """Send the files that match and were not sent, nor are there for good; take down which."""
        files, root = self._open()
        for here in _matching(folder, patterns):
            try:
                stamp, content = _stamp(here), here.read_bytes()
            except FileNotFoundError:  # a checkpoint, no longer needed
                continue
            if sent.get(here) == stamp:
                continue
            there = f"{root}/{here.relative_to(folder).as_posix()}"
            if here.suffix not in SETTLED or not files.exists(there):
                _write(files, there, content)
            sent[here] = stamp

    @contextmanager
    def followed(self, folder: Path, patterns: Sequence[str]) -> Iterator[None]:
        """Keep files that match as they are behind the URL: brought now, sent as they change.

        Raises:
            OSError: it cannot be read now, or written to at the end.
        """
        with self._os_errors(folder):
            self.pull(folder, patterns)
        sent: dict[Path, Stamp] = {}
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(EVERY):
                with suppress(Exception):  # the next time may do, and the end will tell
                    self.push(folder, patterns, sent)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()
            with self._os_errors(folder):
                self.push(folder, patterns, sent)
                self._discard(folder, patterns)

    @contextmanager
    def _os_errors(self, folder: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise OSError(f"{self.url} ({type(error).__name__}: {error}; see {folder})") from None

    def _discard(self, folder: Path, patterns: Sequence[str]) -> None:
        """Remove checkpoints of trainings that are done."""
        files, root = self._open()
        for pattern in patterns:
            for path in files.glob(f"{root}/{pattern}"):
                here = folder / path.removeprefix(f"{root}/")
                if here.suffix not in SETTLED and not here.exists():
                    files.rm_file(path)

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.url, use_listings_cache=False)
        return files, str(root).rstrip("/")


def _write(files: Any, path: str, content: bytes) -> None:
    """Write a file, whole or not at all."""
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    with files.transaction, files.open(path, "wb") as file:
        file.write(content)


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Give files but those that are being written."""
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return [path for path in found if path.is_file() and path.suffix != ".tmp"]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
