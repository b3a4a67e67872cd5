"""Reading piano rolls in either of two file formats with the same content.

- ``.mat``: MATLAB 5 with compressed variables, as published: traindata, validdata and testdata,
  each a cell array of pieces; a piece is a matrix of 0 and 1 with a row for each frame and a column
  for each of 88 keys.
- ``.json.gz``: ``{"splits": {"train": …, "valid": …, "test": …}}``, a split a list of pieces, a
  piece a list of frames, a frame the list of the MIDI notes that sound, 21 … 108.

A piece has at least two frames: the first is never predicted, so that a shorter piece would have no
target. It is an error, and not dropped. Messages count pieces, frames and keys from 1.
"""

import gzip
import hashlib
import json
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat

from seqmem.errors import InputError

__all__ = ["KEYS", "SUFFIXES", "Roll", "Rolls", "read_rolls", "rolls_sha256"]

KEYS = 88
LOWEST_NOTE = 21  # MIDI: A0, the first key
SUFFIXES = (".mat", ".json.gz")
VARIABLES = {"train": "traindata", "valid": "validdata", "test": "testdata"}
SHORTEST = 2
MI_COMPRESSED = 15  # the MATLAB 5 format's name and number for a compressed variable

Roll = npt.NDArray[np.uint8]  # (frames, 88) of 0 and 1
Rolls = Mapping[str, Sequence[Roll]]  # by split


def read_rolls(path: Path) -> dict[str, list[Roll]]:
    """Return the piano rolls of a file of either format, by split.

    Raises:
        InputError: the file is damaged, lacks a split, or contains something else.
    """
    matlab = path.name.endswith(SUFFIXES[0])
    content = _read_mat(path) if matlab else _read_json(path)
    convert = _from_matrix if matlab else _from_notes
    rolls: dict[str, list[Roll]] = {}
    for split, pieces in content.items():
        if len(pieces) == 0:
            raise InputError(f"{path}: the {split} split has no pieces; get the file again")
        rolls[split] = [
            convert(f"{path}: {split} piece {number}", piece)
            for number, piece in enumerate(pieces, 1)
        ]
    return rolls


def _read_mat(path: Path) -> dict[str, Sequence[Any]]:
    try:
        _check_sums(path.read_bytes())
        # What it warns about (such as an unreadable variable) is checked below.
        with warnings.catch_warnings(action="ignore"):
            found = loadmat(path, appendmat=False, variable_names=list(VARIABLES.values()))
    except Exception as error:  # damaged bytes raise errors of many types
        raise _unreadable(path, error) from None
    content: dict[str, Sequence[Any]] = {}
    for split, variable in VARIABLES.items():
        cells = found.get(variable)
        if cells is None:
            raise InputError(
                f"{path}: the variable {variable}, the {split} split, is missing; "
                "the file is truncated or another one, get it again"
            )
        if not isinstance(cells, np.ndarray) or cells.dtype != object:
            raise InputError(
                f"{path}: the variable {variable} is not a cell array of matrices; "
                "the file is damaged or another one, get it again"
            )
        content[split] = cells.reshape(-1, order="F").tolist()  # in the order of MATLAB
    return content


def _check_sums(data: bytes) -> None:
    """Check the checksums of the compressed variables of a MATLAB 5 file.

    scipy trusts the sizes in the file, and a damaged one can crash the interpreter. Only
    compressed variables have a checksum, so that others are errors.

    Raises:
        ValueError, struct.error, zlib.error: it is another file, or damaged.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("not a MATLAB 5 file")
    place = 128
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind != MI_COMPRESSED:
            raise ValueError("not all of its variables are compressed, as in the published files")
        place += 8
        zlib.decompress(data[place : place + size])
        place += size


def _read_json(path: Path) -> dict[str, Sequence[Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise _unreadable(path, error) from None
    splits = found.get("splits") if isinstance(found, dict) else None
    if not isinstance(splits, dict):
        raise InputError(
            f'{path}: not of the form {{"splits": {{"train": …, "valid": …, "test": …}}}}; '
            "get the file again"
        )
    for split in VARIABLES:
        if not isinstance(splits.get(split), list):
            raise InputError(f"{path}: the {split} split, a list, is missing; get the file again")
    return {split: splits[split] for split in VARIABLES}


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path} cannot be read: {type(error).__name__}: {error}; "
        "the file is truncated or damaged, copy it again"
    )


def _from_matrix(where: str, matrix: object) -> Roll:
    """Return the roll of a (frames, 88) matrix of 0 and 1 of any numeric type, checked."""
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "biuf" or matrix.ndim != 2:
        raise InputError(f"{where} is not a matrix of numbers; get the file again")
    _check_length(where, len(matrix))
    if matrix.shape[1] != KEYS:
        raise InputError(
            f"{where} has {matrix.shape[1]} keys (columns), not {KEYS}; "
            "a roll has one for each of the MIDI notes 21 to 108"
        )
    wrong = np.argwhere((matrix != 0) & (matrix != 1))
    if len(wrong):
        frame, key = wrong[0]
        raise InputError(
            f"{where}, frame {frame + 1}, key {key + 1}: {matrix[frame, key]} is neither 0 nor 1"
        )
    return np.ascontiguousarray(matrix, np.uint8)


def _from_notes(where: str, frames: object) -> Roll:
    """Return the (frames, 88) roll of lists of MIDI notes."""
    if not isinstance(frames, list):
        raise InputError(f"{where} is not a list of frames; get the file again")
    _check_length(where, len(frames))
    roll = np.zeros((len(frames), KEYS), np.uint8)
    for number, notes in enumerate(frames, 1):
        here = f"{where}, frame {number}"
        if not isinstance(notes, list):
            raise InputError(f"{here} is not a list of notes; get the file again")
        for note in notes:
            # bool is a subclass of int, but no note.
            if type(note) is not int or not LOWEST_NOTE <= note < LOWEST_NOTE + KEYS:
                raise InputError(f"{here}: {note!r:.40} is not a MIDI note from 21 to 108")
            if roll[number - 1, note - LOWEST_NOTE]:
                raise InputError(f"{here}: note {note} is there twice; a key sounds or not")
            roll[number - 1, note - LOWEST_NOTE] = 1
    return roll


def _check_length(where: str, frames: int) -> None:
    if frames < SHORTEST:
        raise InputError(
            f"{where} has {frames} frame{'s' * (frames != 1)}; it needs at least {SHORTEST}, "
            "one to read and one to predict"
        )


def rolls_sha256(rolls: Sequence[Roll]) -> str:
    """Return the sha256 of pieces: of each, its number of frames as a line, and its bytes."""
    digest = hashlib.sha256()
    for roll in rolls:
        digest.update(f"{len(roll)}\n".encode())
        digest.update(roll.tobytes())
    return digest.hexdigest()
