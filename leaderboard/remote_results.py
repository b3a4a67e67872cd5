"""Results behind a URL: in an object store, or wherever else fsspec reaches.

Work is done in a local mirror of the few files that a cell needs. They come from the URL before,
and what is new goes back while the cell runs and at its end: so another machine goes on from the
last checkpoint of one that died. Records are never overwritten.
"""

import glob
import hashlib
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from seqmem.errors import InputError
from seqmem.files import write_bytes
from seqmem.leaderboard.store import FAILURES, write_unless_taken
from seqmem.tasks.data.sources import cache_directory

__all__ = ["RemoteResults"]

EVERY = 10.0  # seconds between looks for new checkpoints
AT_ONCE = 16  # files that are brought
PAUSES = (1.0, 5.0)  # seconds before what failed is tried again

T = TypeVar("T")
Stamp = tuple[int, int]  # by which a file that was replaced is told


@dataclass(frozen=True)
class RemoteResults:
    """A folder of results behind a URL, as in s3://bucket/results."""

    url: str

    def __str__(self) -> str:
        """Give the URL, without a password."""
        return re.sub(r"//[^/@]*@", "//", self.url)

    @property
    def mirror(self) -> Path:
        """The local folder for what is needed of it."""
        name = hashlib.sha256(str(self).encode()).hexdigest()[:16]
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
            _replace(files, mark, b"")
            files.rm_file(mark)

    def fetch_records(self) -> list[Path]:
        """Bring every record that is not here yet, and give all that are there.

        Raises:
            InputError: the URL cannot be read.
        """
        with self._told_to_user("read"):
            there = self.pull(self.mirror, ["**/*.json"])
        return sorted(path for path in there if FAILURES not in path.parts)

    def pull(self, folder: Path, patterns: Sequence[str]) -> set[Path]:
        """Bring the files that match: a checkpoint where it is newer than that here, others once.

        Returns:
            where in the folder the files are, or would be, that are behind the URL.
        """
        files, root = self._open()
        files.invalidate_cache()
        paths = [path for each in patterns for path in files.glob(f"{glob.escape(root)}/{each}")]
        there = {path: folder / path.removeprefix(f"{root}/") for path in paths}
        wanted = [path for path, here in there.items() if _is_wanted(files, path, here)]

        def bring(path: str) -> None:
            here = there[path]
            try:
                content: bytes = files.cat_file(path)
            except FileNotFoundError:  # the checkpoint of a cell that another machine has finished
                return
            if here.suffix == ".json":
                write_unless_taken(content.decode(), here.parent, here.stem)
            else:
                write_bytes(here, content)

        with ThreadPoolExecutor(AT_ONCE) as several:
            for _ in several.map(bring, wanted):
                pass
        return {*there.values()}

    def push(self, folder: Path, patterns: Sequence[str], sent: dict[Path, Stamp]) -> None:
        """Send the files that match and were not sent as they are now; take down which."""
        files, root = self._open()
        for here in _matching(folder, patterns):
            with suppress(FileNotFoundError):  # a checkpoint, no longer needed
                stamp = _stamp(here)
                if sent.get(here) == stamp:
                    continue
                path, content = f"{root}/{here.relative_to(folder).as_posix()}", here.read_bytes()
                if here.suffix == ".json":
                    _add(files, path.removesuffix(".json"), content)
                else:
                    _replace(files, path, content)
                sent[here] = stamp

    @contextmanager
    def followed(self, folder: Path, patterns: Sequence[str]) -> Iterator[None]:
        """Keep files that match as they are behind the URL: brought now, sent as they change.

        Raises:
            OSError: it cannot be read now, or written to at the end.
        """
        there = self._tried(lambda: self.pull(folder, patterns), folder)
        sent = {path: _stamp(path) for path in there if path.exists()}
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(EVERY):
                with suppress(Exception):  # the next time may do, and the end will tell
                    self.push(folder, patterns, sent)

        def finish() -> None:
            self.push(folder, patterns, sent)
            files, root = self._open()
            done = [path for path in {*there, *sent} if _may_change(path) and not path.exists()]
            for path in done:
                with suppress(FileNotFoundError):
                    files.rm_file(f"{root}/{path.relative_to(folder).as_posix()}")

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        try:
            yield
        except BaseException:
            ended.set()
            follower.join()
            with suppress(Exception):  # what ended the cell is to be told, not this
                finish()
            raise
        ended.set()
        follower.join()
        self._tried(finish, folder)

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.url)
        return files, str(root).rstrip("/")

    def _tried(self, action: Callable[[], T], folder: Path) -> T:
        """Do something, again if it fails.

        Raises:
            OSError: it failed each time.
        """
        for pause in PAUSES:
            with suppress(Exception):
                return action()
            time.sleep(pause)
        try:
            return action()
        except Exception as error:
            raise OSError(f"{self} ({type(error).__name__}: {error}; see {folder})") from None

    @contextmanager
    def _told_to_user(self, what: str) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise InputError(f"{self}: needs another package: {error}") from None
        except Exception as error:  # each file system has errors of its own
            raise InputError(
                f"{self}: cannot be {what} ({type(error).__name__}: {error}); see that the place "
                "exists and that its credentials are set"
            ) from None


def _is_local(files: Any) -> bool:
    return "file" in ((files.protocol,) if isinstance(files.protocol, str) else files.protocol)


def _replace(files: Any, path: str, content: bytes) -> None:
    """Put a file in the place of one, or of none; in an object store, and here, whole."""
    if _is_local(files):
        write_bytes(Path(path), content)
        return
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    files.pipe_file(path, content)


def _add(files: Any, stem: str, content: bytes) -> None:
    """Write ``stem.json``, or ``stem.2.json`` and so on where others are; never the same twice."""
    first, _, given = stem.rpartition(".")
    start = int(given) if given.isdigit() and first else 1
    base = first if start > 1 else stem
    for number in count(start):
        name = base if number == 1 else f"{base}.{number}"
        if _is_local(files):
            place = Path(name)
            if write_unless_taken(content.decode(), place.parent, place.name):
                return
        else:
            files.makedirs(name.rpartition("/")[0], exist_ok=True)
            with suppress(FileExistsError):
                files.pipe_file(f"{name}.json", content, mode="create")
                return
        if files.cat_file(f"{name}.json") == content:
            return


def _is_wanted(files: Any, path: str, here: Path) -> bool:
    if not here.exists():
        return True
    newer = _may_change(here) and files.modified(path).timestamp() > here.stat().st_mtime
    return bool(newer)


def _may_change(path: Path) -> bool:
    """Tell a checkpoint, which is replaced and goes when the training is done, from the rest."""
    return path.suffix == ".pt"


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Give files but those that are being written."""
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return [path for path in found if path.is_file() and path.suffix != ".tmp"]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
