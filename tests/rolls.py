"""Generated piano rolls, and files of them in both formats."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from seqmem.tasks.data.music_files import PianoRollSet
from seqmem.tasks.data.piano_rolls import Roll, rolls_sha256

Pieces = dict[str, list[Any]]


def generated_pieces() -> Pieces:
    """Return three splits of small pieces, with silent keys 0 … 9 and constant key 87."""
    rng = np.random.default_rng(0)
    lengths = {"train": (5, 9, 2), "valid": (3, 4), "test": (2, 7, 4)}
    pieces: Pieces = {}
    for split, frames in lengths.items():
        pieces[split] = [(rng.random((t, 88)) < 0.2).astype(np.uint8) for t in frames]
        for piece in pieces[split]:
            piece[:, :10], piece[:, 87] = 0, 1
    return pieces


def notes(roll: Roll) -> list[list[int]]:
    return [[int(key) + 21 for key in np.flatnonzero(frame)] for frame in roll]


def write_mat(path: Path, splits: Mapping[str, Sequence[Any]], *, compressed: bool = True) -> Path:
    names = {"train": "traindata", "valid": "validdata", "test": "testdata"}
    cells = {}
    for split, pieces in splits.items():
        cells[names[split]] = np.empty((1, len(pieces)), object)
        for i, piece in enumerate(pieces):
            cells[names[split]][0, i] = piece
    savemat(path, cells, do_compression=compressed)
    return path


def write_json(path: Path, splits: Mapping[str, Sequence[Any]]) -> Path:
    lists = {
        split: [notes(piece) if isinstance(piece, np.ndarray) else piece for piece in pieces]
        for split, pieces in splits.items()
    }
    return write_document(path, {"name": "generated", "splits": lists})


def write_document(path: Path, document: object) -> Path:
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    return path


def expected(stem: str, pieces: Pieces) -> PianoRollSet:
    splits = {
        split: {
            "pieces": len(rolls),
            "frames": sum(map(len, rolls)),
            "sha256": rolls_sha256(rolls),
        }
        for split, rolls in pieces.items()
    }
    return PianoRollSet(stem, splits)
