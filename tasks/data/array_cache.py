"""A cache of arrays on disk, under a hash of their sources, memory-mapped when loaded.

An entry is a folder of ``.npy`` files and their hashes: one with a changed file is computed again.
It is written under a temporary name and renamed when
complete, so that an entry is never partial; if two processes write one at once, the second is
discarded. The cache only saves time: if it cannot be written, the arrays stay in memory.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqmem.files import read_file
from seqmem.tasks.data.sources import cache_directory
from seqmem.tasks.data.text_files import file_digest

__all__ = ["Arrays", "cache_key", "cached_arrays", "pack_words", "unpack_words"]

VERSION = 3  # of the content of entries
HASHES = "sha256.json"

Arrays = Mapping[str, npt.NDArray[Any]]


def cache_key(parts: Iterable[bytes | str]) -> str:
    """Return the hash of everything that determines an entry: sha256, as hex."""
    digest = hashlib.sha256(f"cache {VERSION}".encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def cached_arrays(name: str, key: str, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays of an entry, computed only if it does not exist.

    Args:
        name: what the arrays are, for the name of the folder.
        key: from `cache_key`.
        make: computes the arrays; none may be empty.

    Returns:
        arrays mapped from disk (changes to them are not written), or those just computed.
    """
    entry = cache_directory() / f"{name}-{key[:32]}"
    if entry.is_dir():
        try:
            return _load(entry)
        except (OSError, ValueError):  # damaged, or of a version without hashes
            shutil.rmtree(entry, ignore_errors=True)
    arrays = make()
    try:
        _save(entry, arrays)
        return _load(entry)
    except (OSError, ValueError):
        return arrays


def pack_words(words: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return words as an array, for a cache entry."""
    return np.frombuffer(json.dumps(words).encode(), np.uint8)


def unpack_words(packed: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return the words of an array from `pack_words`."""
    return tuple(json.loads(packed.tobytes()))


def _load(entry: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an entry.

    Raises:
        OSError, ValueError: a file is missing or was changed.
    """
    hashes = json.loads(read_file(entry / HASHES))
    if not isinstance(hashes, dict) or not hashes:
        raise ValueError(f"{entry / HASHES} has no hashes")
    arrays = {}
    for name, written in hashes.items():
        path = entry / f"{name}.npy"
        if file_digest(path).hex() != written:
            raise ValueError(f"{path} was changed")
        # Copy-on-write rather than read-only: torch warns about read-only arrays.
        arrays[name] = np.load(path, mmap_mode="c")
    return arrays


def _save(entry: Path, arrays: Arrays) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=entry.parent, prefix=f"{entry.name}.", suffix=".tmp"))
    try:
        hashes = {}
        for name, values in arrays.items():
            path = temporary / f"{name}.npy"
            np.save(path, values, allow_pickle=False)
            hashes[name] = file_digest(path).hex()
        (temporary / HASHES).write_text(json.dumps(hashes), encoding="utf-8")
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():  # otherwise another process was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
