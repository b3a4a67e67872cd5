"""Results at a URL: in an object store, or any other file system of fsspec.

A cell works in a local mirror of the few files that it needs. They are pulled before, and new files
are pushed while the cell runs and at its end: another machine can resume from the last checkpoint
of one that failed. Records are never overwritten.
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
from pathlib import Path, PureWindowsPath
from typing import Any, TypeVar
from urllib.parse import unquote

from seqmem.errors import InputError, without_secrets
from seqmem.files import write_bytes
from seqmem.leaderboard.store import FAILURES, write_unless_taken
from seqmem.tasks.data.sources import cache_directory

__all__ = ["RemoteResults"]

EVERY = 10.0  # seconds between pushes
THREADS = 16  # for pulling
PAUSES = (1.0, 5.0)  # seconds before each retry

T = TypeVar("T")
Stamp = tuple[int, int]  # time and size; another one means that the file was replaced


@dataclass(frozen=True)
class RemoteResults:
    """A folder of results at a URL, as in s3://bucket/results."""

    url: str

    def __str__(self) -> str:
        """Return the URL without user, password, query and fragment."""
        return without_secrets(self.url)

    @property
    def mirror(self) -> Path:
        """The local folder for the files that are needed."""
        name = hashlib.sha256(re.sub(r"//[^/@]*@", "//", self.url).encode()).hexdigest()[:16]
        return cache_directory() / "results" / name

    def check(self) -> None:
        """Raise an error if the URL cannot be written to.

        Raises:
            InputError: it cannot be written to.
        """
        with self._input_errors("written to"):
            files, root = self._open()
            first = root[: root.find("/", 1)] if root.find("/", 1) > 0 else root
            if not files.exists(first):  # a typo must not create a bucket
                raise FileNotFoundError(f"there is no {first}")
            mark = f"{root}/.seqmem-{uuid.uuid4().hex}"
            _replace(files, mark, b"")
            files.rm_file(mark)

    def fetch_records(self) -> list[Path]:
        """Return the local paths of all records at the URL, after pulling the new ones.

        Raises:
            InputError: the URL cannot be read.
        """
        with self._input_errors("read"):
            paths = self.pull(self.mirror, ["**/*.json"])
        return sorted(path for path in paths if FAILURES not in path.parts)

    def pull(self, folder: Path, patterns: Sequence[str]) -> set[Path]:
        """Download matching files: checkpoints that are newer than the local ones, others once.

        Returns:
            the local paths of all files at the URL that match.

        Raises:
            InputError: the URL names a file that would be outside the folder; none is downloaded.
        """
        files, root = self._open()
        files.invalidate_cache()
        paths = [path for each in patterns for path in files.glob(f"{glob.escape(root)}/{each}")]
        there = {path: _inside(folder, path, root) for path in paths}
        wanted = [path for path, here in there.items() if _is_wanted(files, path, here)]

        def download(path: str) -> None:
            here = there[path]
            try:
                content: bytes = files.cat_file(path)
            except FileNotFoundError:  # a checkpoint, which another machine no longer needs
                return
            if here.suffix == ".json":
                write_unless_taken(content.decode(), here.parent, here.stem)
            else:
                write_bytes(here, content)

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(download, wanted))
        return {*there.values()}

    def push(self, folder: Path, patterns: Sequence[str], sent: dict[Path, Stamp]) -> None:
        """Upload matching files that were not sent in their current state; add them to `sent`.

        Raises:
            InputError: a file is a link to one outside the folder.
        """
        files, root = self._open()
        for here in _matching(folder, patterns):
            with suppress(FileNotFoundError):  # a checkpoint, no longer needed
                stamp = _stamp(here)
                if sent.get(here) == stamp:
                    continue
                path = f"{root}/{here.relative_to(folder).as_posix()}"
                content = _inside(folder, path, root).read_bytes()
                if here.suffix == ".json":
                    _add(files, path.removesuffix(".json"), content)
                else:
                    _replace(files, path, content)
                sent[here] = stamp

    @contextmanager
    def synchronised(self, folder: Path, patterns: Sequence[str]) -> Iterator[None]:
        """Pull the files that match now, push them when they change, and again at the end.

        Raises:
            OSError: the URL cannot be read now, or written to at the end.
        """
        pulled = self._retried(lambda: self.pull(folder, patterns), folder)
        sent = {path: _stamp(path) for path in pulled if path.exists()}
        ended = threading.Event()

        def push_changes() -> None:
            while not ended.wait(EVERY):
                with suppress(Exception):  # a later push may succeed; the last one raises
                    self.push(folder, patterns, sent)

        def finish() -> None:
            ended.set()
            pusher.join()
            self.push(folder, patterns, sent)
            files, root = self._open()
            done = [path for path in {*pulled, *sent} if _may_change(path) and not path.exists()]
            for path in done:
                with suppress(FileNotFoundError):
                    files.rm_file(f"{root}/{path.relative_to(folder).as_posix()}")

        pusher = threading.Thread(target=push_changes, daemon=True)
        pusher.start()
        try:
            yield
        except BaseException:
            with suppress(Exception):  # the error of the cell must be raised, not this one
                finish()
            raise
        self._retried(finish, folder)

    def _open(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        files, root = url_to_fs(self.url)
        return files, str(root).rstrip("/")

    def _retried(self, action: Callable[[], T], folder: Path) -> T:
        """Return the result of an action, retried if it fails.

        Raises:
            OSError: every try failed.
        """
        for pause in PAUSES:
            with suppress(Exception):
                return action()
            time.sleep(pause)
        try:
            return action()
        except Exception as error:
            raise OSError(f"{self} ({self._reason(error)}; see {folder})") from None

    def _reason(self, error: Exception) -> str:
        """Return an error's kind and text; libraries quote the whole URL, or parts of it."""
        return without_secrets(f"{type(error).__name__}: {error}", self.url)

    @contextmanager
    def _input_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except ImportError as error:
            raise InputError(f"{self}: needs another package: {self._reason(error)}") from None
        except Exception as error:  # every file system has its own errors
            raise InputError(
                f"{self}: cannot be {what} ({self._reason(error)}); check that it exists and that "
                "credentials are set"
            ) from None


def _inside(folder: Path, path: str, root: str) -> Path:
    """Return where a file at a URL is stored in a folder.

    A file system lists whatever its server sends. No name may lead out of the folder: neither as
    it is, nor decoded or read as another system's, nor through a link in the folder.

    Raises:
        InputError: it would be outside the folder.
    """
    name = path.removeprefix(f"{root}/")
    forms = (name, unquote(name).replace("\\", "/"))
    if (
        name == path
        or any(".." in form.split("/") or PureWindowsPath(form).drive for form in forms)
        or not all((folder / form).resolve().is_relative_to(folder.resolve()) for form in forms)
    ):
        raise InputError(
            f"{without_secrets(root)} names {without_secrets(path)!r}, which is outside the "
            "folder: nothing is read from there or written to it"
        )
    return folder / name


def _is_local(files: Any) -> bool:
    return "file" in ((files.protocol,) if isinstance(files.protocol, str) else files.protocol)


def _replace(files: Any, path: str, content: bytes) -> None:
    """Write or replace a file; atomically if local or in an object store."""
    if _is_local(files):
        write_bytes(Path(path), content)
        return
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    files.pipe_file(path, content)


def _add(files: Any, stem: str, content: bytes) -> None:
    """Write ``stem.json``, or ``stem.2.json`` and so on if others exist; never the same twice."""
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
    """Return whether a file is a checkpoint, which is replaced, and deleted after training."""
    return path.suffix == ".pt"


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return matching files except those being written."""
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    return [path for path in found if path.is_file() and path.suffix != ".tmp"]


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
