"""Arrays kept on disk under a hash of what they were computed from, and mapped, not read.

An entry is a folder of ``.npy`` files. It is made under another name and renamed when it is
complete, so that it is whole or not there; of two processes that make it at once one is thrown
away. The cache only saves time: where it cannot be written, the arrays stay in memory.
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

from seqmem.tasks.data.sources import cache_directory

__all__ = ["Arrays", "cache_key", "cached_arrays", "pack_words", "unpack_words"]

VERSION = 3  # of what the entries hold

Arrays = Mapping[str, npt.NDArray[Any]]


def cache_key(parts: Iterable[bytes | str]) -> str:
    """Hash everything that shapes an entry: sha256, as hex."""
    digest = hashlib.sha256(f"cache {VERSION}".encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def cached_arrays(name: str, key: str, make: Callable[[], Arrays]) -> Arrays:
    """Give the arrays of an entry, made only where it is not there yet.

    Args:
        name: what the arrays are, for people who look into the folder.
        key: from `cache_key`.
        make: computes the arrays; none may be empty.

    Returns:
        arrays mapped from disk (changes to them do not reach it), or those just made.
    """
    entry = cache_directory() / f"{name}-{key[:32]}"
    if entry.is_dir():
        try:
            return _load(entry)
        except (OSError, ValueError):  # cut off by a crash of the machine
            shutil.rmtree(entry, ignore_errors=True)
    arrays = make()
    try:
        _save(entry, arrays)
        return _load(entry)
    except (OSError, ValueError):
        return arrays


def pack_words(words: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Turn words into an array that a cache entry can hold."""
    return np.frombuffer(json.dumps(words).encode(), np.uint8)


def unpack_words(packed: npt.NDArray[Any]) -> tuple[str, ...]:
    """Undo `pack_words`."""
    return tuple(json.loads(packed.tobytes()))


def _load(entry: Path) -> dict[str, npt.NDArray[Any]]:
    # Copy on write rather than read-only: torch warns of arrays that cannot be written.
    return {path.stem: np.load(path, mmap_mode="c") for path in entry.glob("*.npy")}


def _save(entry: Path, arrays: Arrays) -> None:
    entry.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=entry.parent, prefix=f"{entry.name}.", suffix=".tmp"))
    try:
        for name, values in arrays.items():
            np.save(temporary / f"{name}.npy", values, allow_pickle=False)
        try:
            temporary.rename(entry)
        except OSError:
            if not entry.is_dir():  # else another process was first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
