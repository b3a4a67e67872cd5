"""Which files of its own folders a model's code reads, and the hash by which it is known.

Code is known by what it is made of: the modules of its folders that it imports and the files in
them that it opens, as Python reports them (PEP 578), and the weights of the module that it builds.
What else lies in a folder does not count.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

__all__ = ["file_sha256", "files_sha256", "inside", "read_inside"]

SHOWN_FROM = 2.0  # seconds from which on the progress of hashing is shown

_recorders: list[set[str]] = []


@contextmanager
def read_inside(places: Sequence[Path]) -> Iterator[list[Path]]:
    """Collect, at the end of the context, the files in some places that code has read.

    Args:
        places: files and folders, resolved.
    """
    _install()
    found: list[Path] = []
    opened: set[str] = set()
    _recorders.append(opened)
    try:
        yield found
    finally:
        _recorders.remove(opened)
        for module in list(sys.modules.values()):  # those imported earlier are not opened again
            opened.add(getattr(module, "__file__", None) or "")
        found += inside(map(_source, opened), places)


def files_sha256(files: Iterable[Path], places: Sequence[Path]) -> str:
    """Return the hash of the names and contents of files, as hex.

    Args:
        files: files in some places.
        places: files and folders, resolved; names are relative to them.
    """
    digest = hashlib.sha256()
    for file in files:
        names = [file.relative_to(place) for place in places if file.is_relative_to(place)]
        digest.update(os.fsencode(names[0]) + file_sha256(file))
    return digest.hexdigest()


def file_sha256(path: Path) -> bytes:
    """Return the hash of a file's content; show progress if that takes long."""
    digest = hashlib.sha256()
    with (
        path.open("rb") as file,
        tqdm(
            desc=f"hash {path.name}",
            total=path.stat().st_size,
            unit="B",
            unit_scale=True,
            delay=SHOWN_FROM,
            leave=False,
            disable=None,
        ) as bar,
    ):
        while part := file.read(1 << 24):
            digest.update(part)
            bar.update(len(part))
    return digest.digest()


@cache
def _install() -> None:
    """Let Python report which files it opens; it cannot be undone, and costs little."""
    sys.addaudithook(_opened)


def _opened(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _recorders and isinstance(arguments[0], str | bytes):
        name = os.fsdecode(arguments[0])
        for recorder in _recorders:
            recorder.add(name)


def _source(name: str) -> str:
    """Return the source file of compiled code, and every other file as it is."""
    with suppress(ValueError, NotImplementedError):
        return importlib.util.source_from_cache(name)
    return name


def inside(names: Iterable[str], places: Sequence[Path]) -> list[Path]:
    """Return those of some names that are files in some places, resolved, in order."""
    return sorted({Path(name).resolve() for name in names if _is_inside(Path(name), places)})


def _is_inside(path: Path, places: Sequence[Path]) -> bool:
    try:
        path = path.resolve()
        return any(path.is_relative_to(place) for place in places) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # a name that is no path, a link to itself
        return False
