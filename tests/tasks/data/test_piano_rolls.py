"""Reading piano rolls: both forms alike, and everything wrong with a file named."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from seqmem.errors import InputError
from seqmem.tasks.data.music_files import check_rolls
from seqmem.tasks.data.piano_rolls import read_rolls, rolls_sha256
from seqmem.tests.rolls import (
    Pieces,
    expected,
    generated_pieces,
    write_document,
    write_json,
    write_mat,
)


def test_both_formats_have_the_same_arrays(tmp_path: Path) -> None:
    pieces = generated_pieces()
    mat = read_rolls(write_mat(tmp_path / "a.mat", pieces))
    text = read_rolls(write_json(tmp_path / "a.json.gz", pieces))
    assert list(mat) == list(text) == ["train", "valid", "test"]
    for split, rolls in pieces.items():
        assert rolls_sha256(mat[split]) == rolls_sha256(text[split]) == rolls_sha256(rolls)
        for roll, one, other in zip(rolls, mat[split], text[split], strict=True):
            assert one.dtype == other.dtype == np.uint8
            assert np.array_equal(one, roll)
            assert np.array_equal(other, roll)


def test_a_matrix_of_doubles_or_booleans_is_read_as_well(tmp_path: Path) -> None:
    pieces = generated_pieces()
    for kind in (np.float64, bool):
        other = {split: [roll.astype(kind) for roll in rolls] for split, rolls in pieces.items()}
        read = read_rolls(write_mat(tmp_path / "a.mat", other))
        assert rolls_sha256(read["test"]) == rolls_sha256(pieces["test"])


def test_the_hash_depends_on_where_a_piece_ends() -> None:
    roll = np.zeros((6, 88), np.uint8)
    assert rolls_sha256([roll[:2], roll[2:]]) != rolls_sha256([roll[:3], roll[3:]])


def spoil(pieces: Pieces, piece: Any) -> Pieces:
    pieces["valid"][1] = piece
    return pieces


def with_value(value: float) -> np.ndarray[Any, Any]:
    roll = np.zeros((4, 88))
    roll[2, 6] = value
    return roll


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (np.zeros((0, 88)), "valid piece 2 has 0 frames; it needs at least 2"),
        (np.zeros((1, 88)), "valid piece 2 has 1 frame; it needs at least 2"),
        (np.zeros((4, 87)), r"valid piece 2 has 87 keys \(columns\), not 88"),
        (np.zeros((4, 88, 2)), "valid piece 2 is not a matrix of numbers"),
        ("la", "valid piece 2 is not a matrix of numbers"),
        (with_value(2), "valid piece 2, frame 3, key 7: 2.0 is neither 0 nor 1"),
        (with_value(-1), "valid piece 2, frame 3, key 7: -1.0 is neither 0 nor 1"),
        (with_value(0.5), "valid piece 2, frame 3, key 7: 0.5 is neither 0 nor 1"),
        (with_value(np.nan), "valid piece 2, frame 3, key 7: nan is neither 0 nor 1"),
    ],
)
def test_a_bad_piece_in_a_mat_is_named(tmp_path: Path, piece: Any, message: str) -> None:
    path = write_mat(tmp_path / "a.mat", spoil(generated_pieces(), piece))
    with pytest.raises(InputError, match=f"a.mat: {message}"):
        read_rolls(path)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ([], "valid piece 2 has 0 frames; it needs at least 2"),
        ([[60]], "valid piece 2 has 1 frame; it needs at least 2"),
        ([[60], [20]], "valid piece 2, frame 2: 20 is not a MIDI note from 21 to 108"),
        ([[60], [109]], "valid piece 2, frame 2: 109 is not a MIDI note from 21 to 108"),
        ([[60], [-1]], "valid piece 2, frame 2: -1 is not a MIDI note"),
        ([[60], [60.0]], "valid piece 2, frame 2: 60.0 is not a MIDI note"),
        ([[True], [60]], "valid piece 2, frame 1: True is not a MIDI note"),
        ([[None], [60]], "valid piece 2, frame 1: None is not a MIDI note"),
        ([["C"], [60]], "valid piece 2, frame 1: 'C' is not a MIDI note"),
        ([[60], [62, 60, 62]], "valid piece 2, frame 2: note 62 is there twice"),
        ([[60], 60], "valid piece 2, frame 2 is not a list of notes"),
        ({"frames": 2}, "valid piece 2 is not a list of frames"),
    ],
)
def test_a_bad_piece_in_a_json_is_named(tmp_path: Path, piece: Any, message: str) -> None:
    path = write_json(tmp_path / "a.json.gz", spoil(generated_pieces(), piece))
    with pytest.raises(InputError, match=f"a.json.gz: {message}"):
        read_rolls(path)


def test_lowest_and_highest_note_are_the_outer_keys(tmp_path: Path) -> None:
    pieces = spoil(generated_pieces(), [[21], [], [108]])
    roll = read_rolls(write_json(tmp_path / "a.json.gz", pieces))["valid"][1]
    assert np.argwhere(roll).tolist() == [[0, 0], [2, 87]]


@pytest.mark.parametrize("write", [write_mat, write_json])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_missing_or_empty_split_is_named(
    tmp_path: Path, write: Callable[[Path, Pieces], Path], split: str
) -> None:
    pieces = generated_pieces()
    del pieces[split]
    path = tmp_path / ("a.mat" if write is write_mat else "a.json.gz")
    with pytest.raises(InputError, match=f"{path.name}: .*the {split} split.* missing"):
        read_rolls(write(path, pieces))
    with pytest.raises(InputError, match=f"{path.name}: the {split} split has no pieces"):
        read_rolls(write(path, generated_pieces() | {split: []}))


def test_a_mat_of_something_else_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"traindata": np.eye(88)}, do_compression=True)
    with pytest.raises(InputError, match=r"a\.mat: the variable traindata is not a cell array"):
        read_rolls(tmp_path / "a.mat")


@pytest.mark.parametrize("document", [[], {}, {"splits": []}, "la", None])
def test_a_json_of_something_else_is_refused(tmp_path: Path, document: object) -> None:
    with pytest.raises(InputError, match=r"a\.json\.gz: not of the form"):
        read_rolls(write_document(tmp_path / "a.json.gz", document))


def test_a_mat_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_mat(tmp_path / "a.mat", generated_pieces()).read_bytes()
    cut = tmp_path / "cut.mat"
    for size in (0, 1, 100, 127, 128, 131, *range(136, len(whole), max(len(whole) // 40, 1))):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.mat"):
            read_rolls(cut)


def test_a_mat_without_checksums_is_refused(tmp_path: Path) -> None:
    path = write_mat(tmp_path / "a.mat", generated_pieces(), compressed=False)
    with pytest.raises(InputError, match=r"a\.mat cannot be read: .* not all of its variables are"):
        read_rolls(path)


def test_a_json_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = write_json(tmp_path / "a.json.gz", generated_pieces()).read_bytes()
    cut = tmp_path / "cut.json.gz"
    for size in range(0, len(whole), max(len(whole) // 40, 1)):
        cut.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.json\.gz cannot be read"):
            read_rolls(cut)


def test_damaged_bytes_are_refused_or_change_the_hash(tmp_path: Path) -> None:
    pieces = generated_pieces()
    right = expected("a", pieces)
    rng = np.random.default_rng(1)
    for path in (
        write_mat(tmp_path / "a.mat", pieces),
        write_json(tmp_path / "a.json.gz", pieces),
    ):
        whole = path.read_bytes()
        for place in rng.integers(136, len(whole) - 8, 60):
            damaged = bytearray(whole)
            damaged[place] ^= 0x55
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=path.name):
                check_rolls(path, read_rolls(path), right)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json.gz", b'{"splits": {}}'),
        ("a.json.gz", gzip.compress(b"\xff\xfe")),
        ("a.json.gz", gzip.compress(b"{")),
        ("a.json.gz", gzip.compress(b"[" * 100_000)),
        ("a.mat", b"version https://git-lfs.example/spec/v1\n" * 10),
        ("a.mat", gzip.compress(b"no MATLAB file")),
    ],
    ids=["not packed", "not UTF-8", "cut short", "too deep", "a pointer", "another packing"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} cannot be read: .*copy it again"):
        read_rolls(path)
