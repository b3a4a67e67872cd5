import gzip
import hashlib
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqmem.errors import InputError
from seqmem.tasks.data.idx_files import read_idx
from seqmem.tests.images import idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
PLAIN = idx(IMAGES)


def test_the_bytes_of_the_format() -> None:
    """As the description of the format prints them, for three labels."""
    labels = np.array([5, 0, 4], np.uint8)
    assert idx(labels) == bytes.fromhex("00000801 00000003 050004")


ZIPPED = gzip.compress(PLAIN, mtime=0)  # a time would give each process other names of tests


@pytest.mark.parametrize(
    ("name", "pack"), [("a", bytes), ("a.gz", gzip.compress), ("a.xz", lzma.compress)]
)
def test_files_are_read_however_compressed(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    (tmp_path / name).write_bytes(pack(PLAIN))
    found = read_idx(tmp_path / name, 3)
    assert np.array_equal(found.values, IMAGES)
    assert found.sha256 == hashlib.sha256(PLAIN).hexdigest()


def test_numbers_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(PLAIN)
    assert read_idx(tmp_path / "a", 3).values[1, 2, 3] == 23


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a", PLAIN[:-1], r"states 2 × 3 × 4 = 24 bytes and has 23; it is truncated"),
        ("a", PLAIN + b"x", r"states 2 × 3 × 4 = 24 bytes and has more"),
        ("a", PLAIN[:7] + b"\xff" + PLAIN[8:], r"states 255 × 3 × 4 = 3,060 bytes and has 24"),
        ("a", PLAIN[:4] + b"\xff" * 12, r"states 4,294,967,295 × .* and has 0; it is truncated"),
        ("a", PLAIN[:9], "ends within its header"),
        ("a", b"", "begins with nothing, not with 00 00 08 03"),
        ("a", b"\0\0\x0d\x03" + PLAIN[4:], "begins with 00 00 0d 03, not with 00 00 08 03"),
        ("a", idx(IMAGES[0, 0]), r"not a file of images \(IDX, three dimensions\): it begins with"),
        ("a", ZIPPED, "begins with 1f 8b 08 00"),
        ("a.gz", ZIPPED[:-9], "is truncated or damaged"),
        ("a.gz", ZIPPED[:-8] + bytes(8), "is truncated or damaged"),
        ("a.gz", PLAIN, "is truncated or damaged"),
        ("a.xz", lzma.compress(PLAIN)[:-9], "is truncated or damaged"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_idx(tmp_path / name, 3)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_idx(tmp_path, 3)
    with pytest.raises(InputError, match="gone: cannot be read"):
        read_idx(tmp_path / "gone", 3)
