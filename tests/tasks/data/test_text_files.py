import bz2
import gzip
import lzma
import os
import shutil
from pathlib import Path

import pytest

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import expand, file_digest, find_file, read_lines


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


TEXT = "a line of some words\n" * 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("utf-16"), "is not plain text but UTF-16; convert it: iconv -f UTF-16 -t"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "UTF-16; convert it: iconv -f UTF-16 -t"),
        (TEXT.encode("utf-32"), "UTF-32; convert it: iconv -f UTF-32 -t"),
        (TEXT.encode("utf-16").decode("latin-1").encode(), "UTF-16 read as Latin-1; convert the o"),
        (TEXT.encode("utf-16-le"), "without a byte order mark.*iconv -f UTF-16LE -t"),
        (TEXT.encode("utf-16-be"), "without a byte order mark.*iconv -f UTF-16BE -t"),
        (TEXT.encode("utf-32-le"), "binary"),
        (TEXT.encode() + bytes(9), "binary"),
        (gzip.compress(TEXT.encode(), mtime=0), "compressed with gzip; decompress it"),
        (lzma.compress(TEXT.encode()), "compressed with xz; decompress it"),
        (bz2.compress(TEXT.encode()), "compressed with bzip2; decompress it"),
        (rb"{\rtf1 a}", "RTF; save it as plain text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_what_is_no_plain_text_says_what_it_is(
    tmp_path: Path, content: bytes, message: str
) -> None:
    for name in ("a.txt", "b.txt.gz", "c.txt.xz"):
        with pytest.raises(InputError, match=message):
            list(read_lines(write(tmp_path / name, content)))


def test_archives_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXT)
    for form, what in (("zip", "a zip archive"), ("tar", "a tar archive")):
        archive = shutil.make_archive(str(tmp_path / "packed"), form, tmp_path, "a.txt")
        with pytest.raises(InputError, match=f"is not plain text but {what}"):
            list(read_lines(Path(archive)))
    packed = write(tmp_path / "packed.tar.gz", (tmp_path / "packed.tar").read_bytes())
    with pytest.raises(InputError, match="is not plain text but a tar archive"):
        list(read_lines(packed))


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    for read in (lambda path: list(read_lines(path)), file_digest):
        with pytest.raises(InputError, match="not a regular file"):
            read(tmp_path / "pipe.txt")


def test_a_name_may_begin_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "~draft.txt", b"x\n")
    assert expand("~draft.txt") == expand("~dra*.txt") == [Path("~draft.txt")]
    with pytest.raises(InputError, match="there is no such file"):
        expand("~nobody-of-this-name.txt")
