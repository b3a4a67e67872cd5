import gzip
import lzma
from pathlib import Path

import pytest

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import expand, find_file, read_lines


def write(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content, mtime=0))
    elif path.suffix == ".xz":
        path.write_bytes(lzma.compress(content))
    else:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.xz"])
def test_lines_do_not_depend_on_line_ends_or_compression(tmp_path: Path, name: str) -> None:
    unix = list(read_lines(write(tmp_path / name, b"one two\n\nthree\n")))
    windows = list(read_lines(write(tmp_path / name, b"one two\r\n\r\nthree\r\n")))
    unended = list(read_lines(write(tmp_path / name, b"one two\n\nthree")))
    marked = list(read_lines(write(tmp_path / name, b"\xef\xbb\xbfone two\n\nthree\n")))
    assert unix == windows == unended == marked == ["one two", "", "three"]


def test_a_carriage_return_inside_a_line_stays(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "a.txt", b"a\rb\nc\n"))) == ["a\rb", "c"]


@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_truncated_file_says_so(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.txt{ending}", bytes(range(33, 127)) * 3000 + b"\n" * 9)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=rf"a\.txt\{ending}, line \d+: the file is truncated"):
        list(read_lines(path))


@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_file_that_is_not_what_its_name_says(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.txt{ending}"
    path.write_bytes(b"plain text\n")
    with pytest.raises(InputError, match="line 1: the file is truncated or damaged"):
        list(read_lines(path))


@pytest.mark.parametrize("ending", [".gz", ".xz"])
def test_a_corrupt_file_says_so(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.txt{ending}", "".join(f"line {i}\n" for i in range(999)).encode())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="truncated or damaged"):
        list(read_lines(path))


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.xz"])
def test_an_empty_file_says_so(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is empty"):
        list(read_lines(write(tmp_path / name, b"")))


def test_not_utf8_says_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"good\ncaf\xe9\nmore\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: not UTF-8 \(byte 0xe9 at 4\)"):
        list(read_lines(path))


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.txt cannot be read: No such file"):
        list(read_lines(tmp_path / "gone.txt"))


def test_expand(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.md", "[1].txt"):
        write(tmp_path / name, b"x\n")
    assert [p.name for p in expand(f"{tmp_path}/[ab].txt")] == ["a.txt", "b.txt"]
    assert [p.name for p in expand(f"{tmp_path}/[1].txt")] == ["[1].txt"]  # a file of that name
    with pytest.raises(InputError, match="there is no such file"):
        expand(f"{tmp_path}/d.txt")
    with pytest.raises(InputError, match="matches no file"):
        expand(f"{tmp_path}/*.rst")
    with pytest.raises(InputError, match="is a folder"):
        expand(str(tmp_path))


def test_find_file_takes_the_first_name(tmp_path: Path) -> None:
    write(tmp_path / "wiki.test.tokens", b"x\n")
    write(tmp_path / "test.txt.xz", b"x\n")
    found = find_file(tmp_path, ("test.txt", "wiki.test.tokens"))
    assert found == tmp_path / "test.txt.xz"
    assert find_file(tmp_path, ("valid.txt",)) is None
