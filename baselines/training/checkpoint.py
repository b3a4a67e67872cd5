"""Files of a training: the checkpoint during training, the weights at its end."""

import hashlib
import json
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_model

from seqmem.files import read_file, require_regular, write_atomically
from seqmem.tasks.model import SequenceModel

__all__ = ["Checkpoint", "check_unchanged", "load_weights", "save_weights"]

HASH_BYTES = 32
UNKNOWN = "0" * 64  # in place of a hash


class Checkpoint:
    """The file with the latest state of one training, replaced atomically at each save."""

    def __init__(self, path: Path, every_seconds: float = 20.0) -> None:
        """Create a checkpoint at a path, which is due every so many seconds."""
        self._path, self._every = path, every_seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Return whether the time since the last save has elapsed."""
        return time.monotonic() - self._last >= self._every

    def save(self, content: Mapping[str, Any]) -> None:
        """Replace the checkpoint; the hash of the saved state is at its end."""

        def write(temporary: Path) -> None:
            torch.save(dict(content), temporary)
            with temporary.open("r+b") as file:
                file.write(hashlib.file_digest(file, "sha256").digest())

        write_atomically(self._path, write)
        self._last = time.monotonic()

    def load(self, device: str) -> dict[str, Any] | None:
        """Return the saved state; None if the file is missing or damaged."""
        try:
            content = read_file(self._path)
            content, written = content[:-HASH_BYTES], content[-HASH_BYTES:]
            if hashlib.sha256(content).digest() != written:
                return None
            return dict(torch.load(BytesIO(content), map_location=device, weights_only=True))
        except Exception:  # without a checkpoint training starts over
            return None

    def discard(self) -> None:
        """Remove the file, once training has ended."""
        self._path.unlink(missing_ok=True)


def save_weights(model: SequenceModel, path: Path, metadata: Mapping[str, Any]) -> None:
    """Write weights as safetensors, atomically, with metadata as JSON and the hash of the file."""

    def write(temporary: Path) -> None:
        save_model(model, str(temporary), {"seqmem": json.dumps(metadata), "sha256": UNKNOWN})
        digest = _sha256(temporary, UNKNOWN).encode()
        with temporary.open("r+b") as file:
            place = file.read(_header_size(temporary)).index(b'"sha256":"' + UNKNOWN.encode())
            file.seek(place + len(b'"sha256":"'))
            file.write(digest)

    write_atomically(path, write)


def load_weights(model: SequenceModel, path: Path) -> dict[str, Any] | None:
    """Load saved weights into a model and return their metadata; None if the file is unusable."""
    try:
        check_unchanged(path)
        load_model(model, path)
        with safe_open(path, framework="pt") as file:
            return dict(json.loads(file.metadata()["seqmem"]))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError):
        return None


def check_unchanged(path: Path) -> None:
    """Check the hash of a file of weights, which every one holds that `save_weights` wrote.

    Raises:
        ValueError: the file was changed after it was written, or holds no hash.
        OSError, SafetensorError: it cannot be read.
    """
    require_regular(path)
    with safe_open(path, framework="pt") as file:
        written = (file.metadata() or {}).get("sha256")
    if written is None:  # its name, too, may be what was changed
        raise ValueError("lacks the hash that `seqmem eval` writes: it was changed or damaged")
    if _sha256(path, written) != written:
        raise ValueError("was changed or damaged after it was written: its hash differs")


def _sha256(path: Path, written: str) -> str:
    """Return the hash of a file of weights, with `UNKNOWN` for the hash that is written in it."""
    with path.open("rb") as file:
        header = file.read(_header_size(path))
        digest = hashlib.sha256(header.replace(written.encode(), UNKNOWN.encode()))
        return hashlib.file_digest(file, lambda: digest).hexdigest()


def _header_size(path: Path) -> int:
    """Return the number of bytes before the tensors (the format: a size, and JSON of this size)."""
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")
