r"""Reading text files line by line: plain, .gz or .xz, never as a whole.

The rules, the same for every text that seqmem reads:

* a line ends at ``\n`` or ``\r\n``, which are equivalent; a last line without an end counts as a
  line;
* the text is UTF-8; a byte order mark before the first line is not part of it;
* words are separated by whitespace (as in ``str.split``), of any length and number.
"""

import glob
import gzip
import hashlib
import lzma
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from seqmem.errors import InputError
from seqmem.files import expand_user, require_regular

__all__ = [
    "COMPRESSED",
    "DAMAGED",
    "expand",
    "file_digest",
    "find_file",
    "open_bytes",
    "read_lines",
]

COMPRESSED = ("", ".xz", ".gz")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What is no plain text: the first bytes, what they mean, and what to do.
_OTHER = (
    (b"\xff\xfe\0\0", "UTF-32", "convert it: iconv -f UTF-32 -t utf-8"),
    (b"\0\0\xfe\xff", "UTF-32", "convert it: iconv -f UTF-32 -t utf-8"),
    (b"\xff\xfe", "UTF-16", "convert it: iconv -f UTF-16 -t utf-8"),
    (b"\xfe\xff", "UTF-16", "convert it: iconv -f UTF-16 -t utf-8"),
    ("ÿþ".encode(), "UTF-16 read as Latin-1", "convert the original: iconv -f UTF-16 -t utf-8"),
    ("þÿ".encode(), "UTF-16 read as Latin-1", "convert the original: iconv -f UTF-16 -t utf-8"),
    (b"\x1f\x8b", "compressed with gzip", "decompress it"),
    (b"\xfd7zXZ\0", "compressed with xz", "decompress it"),
    (b"BZh91AY&SY", "compressed with bzip2", "decompress it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it"),
    (b"PK\x03\x04", "a zip archive or an office document", "give the text in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "give the text in it"),
    (b"Rar!\x1a\x07", "a rar archive", "give the text in it"),
    (b"%PDF-", "a PDF", "give the text in it"),
    (b"{\\rtf", "RTF", "save it as plain text"),
    (b"version https://git-lfs.github.com/", "a pointer of Git LFS", "get it: git lfs pull"),
)
_START = 8192  # bytes in which text has no zero
DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


def find_file(folder: Path, names: Iterable[str]) -> Path | None:
    """Return the first of the names that is a file of the folder, plain or compressed."""
    candidates = (folder / (name + ending) for name in names for ending in COMPRESSED)
    return next((path for path in candidates if path.is_file()), None)


def expand(pattern: str) -> list[Path]:
    """Return the file of this name, or else the files that a glob matches, in order of names.

    Raises:
        InputError: there is no such file.
    """
    literal = expand_user(pattern)
    if literal.is_file():
        return [literal]
    if literal.is_dir():
        raise InputError(f"{pattern} is a folder, not a file; name the files in it: {pattern}/*")
    if not glob.has_magic(pattern):
        raise InputError(
            f"{pattern}: there is no such file; a relative path starts at the working directory"
        )
    found = sorted(map(Path, glob.glob(str(literal), recursive=True)))
    files = [path for path in found if path.is_file()]
    if not files:
        raise InputError(f"{pattern} matches no file; quote it, or your shell expands it itself")
    return files


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, decompressed according to its suffix."""
    require_regular(path)
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    return opener(path, "rb")  # type: ignore[operator,no-any-return]


def file_digest(path: Path) -> bytes:
    """Return the sha256 of a file as stored.

    Raises:
        InputError: it cannot be read.
    """
    try:
        require_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise _unreadable(path, error) from None


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, without their ends.

    Raises:
        InputError: the file does not exist, is truncated, damaged, empty, or not UTF-8.
    """
    number = 0
    try:
        with open_bytes(path) as file:
            _check_text(path, file.read(_START))
            file.seek(0)
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(_BYTE_ORDER_MARK)
                line = line.removesuffix(b"\n").removesuffix(b"\r")
                yield line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}, line {number}: not UTF-8 (byte 0x{error.object[error.start]:02x} at "
            f"{error.start + 1}); convert it from its own encoding: iconv -f ENCODING -t utf-8"
        ) from None
    except DAMAGED as error:
        raise InputError(
            f"{path}, line {number + 1}: the file is truncated or damaged here "
            f"({str(error).rstrip('.')}); get it again"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if number == 0:
        raise InputError(f"{path} is empty; a text has at least one line")


def _check_text(path: Path, start: bytes) -> None:
    """Check that the first bytes of a file are those of a text.

    Raises:
        InputError: they are not; the message says what the file is and what to do.
    """
    for magic, what, advice in _OTHER:
        if start.startswith(magic):
            raise InputError(f"{path}: is not plain text but {what}; {advice}")
    if start[257:262] == b"ustar":
        raise InputError(f"{path}: is not plain text but a tar archive; give the text in it")
    if (place := start.find(b"\0")) >= 0:
        order = "LE" if place % 2 else "BE"
        raise InputError(
            f"{path}: is not plain text but binary (byte {place + 1} is zero), or UTF-16 without a "
            f"byte order mark; give text, or convert UTF-16: iconv -f UTF-16{order} -t utf-8"
        )


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror or error}; give another file")
