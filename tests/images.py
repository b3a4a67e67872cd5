"""Small generated sets of images, as IDX files and as scikit-learn's file of digits."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from seqmem.tasks.data import image_sets
from seqmem.tasks.data.image_sets import IdxImages

Bytes = npt.NDArray[np.uint8]

TRAIN, VALID, TEST = 60, 20, 30
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(values: Bytes) -> bytes:
    """Return an IDX file of bytes."""
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.tobytes()


def generated(side: int = 6) -> dict[str, Bytes]:
    """Return the arrays of a set by file name: all classes, at unequal frequencies."""
    rng = np.random.default_rng(5)
    arrays: dict[str, Bytes] = {}
    for images, labels, count in ((*FILES[:2], TRAIN + VALID), (*FILES[2:], TEST)):
        arrays[images] = rng.integers(0, 256, (count, side, side), np.uint8)
        arrays[labels] = (np.arange(count) % 10 * (np.arange(count) % 3 > 0)).astype(np.uint8)
    return arrays


def write_set(folder: Path, arrays: dict[str, Bytes], ending: str = ".gz") -> None:
    """Write the four files of a set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        packed = gzip.compress(idx(values)) if ending == ".gz" else idx(values)
        (folder / (name + ending)).write_bytes(packed)


def expect(monkeypatch: pytest.MonkeyPatch, arrays: dict[str, Bytes]) -> IdxImages:
    """Make this content the expected one of Fashion-MNIST; return it as a source."""
    tables: dict[str, Any] = {}
    for name, values in arrays.items():
        sizes = ("images", "rows", "columns") if values.ndim == 3 else ("labels",)
        facts = dict(zip(sizes, values.shape, strict=True))
        tables[name] = {**facts, "sha256": hashlib.sha256(idx(values)).hexdigest()}
    monkeypatch.setattr(image_sets, "expected_content", lambda name: tables)
    side = arrays[FILES[0]].shape[1]
    counts = {"train": TRAIN, "valid": VALID, "test": TEST}
    source = IdxImages("fashion-mnist", "generated", "none", side, 255, counts)  # type: ignore[arg-type]
    sets = {**image_sets.IMAGE_SETS, "fashion-mnist": source}
    monkeypatch.setattr(image_sets, "FASHION_MNIST", source)
    monkeypatch.setattr("seqmem.tasks.sequential_image.IMAGE_SETS", sets)
    return source
