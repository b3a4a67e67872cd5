"""IDX files, the format of MNIST: arrays of bytes with their sizes in front, plain, .gz or .xz.

A file begins with two zero bytes, a byte for the type of its numbers (0x08: unsigned bytes, the
only type read here) and a byte for the number of dimensions. A big-endian 32-bit size for each
dimension follows, then the numbers, the last dimension fastest, and nothing after them (LeCun,
Cortes & Burges, "The MNIST database", the section on the file format).
"""

import hashlib
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import DAMAGED, open_bytes

__all__ = ["IdxFile", "read_idx"]

LARGEST = 1 << 31  # bytes

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class IdxFile:
    """What an IDX file contains.

    Attributes:
        values: the numbers, with the shape that the file states.
        sha256: of the decompressed file, as hex.
    """

    values: Bytes
    sha256: str


def read_idx(path: Path, dimensions: int) -> IdxFile:
    """Return the content of an IDX file of unsigned bytes.

    Args:
        path: the file.
        dimensions: how many dimensions it must have.

    Raises:
        InputError: it cannot be read, is damaged, is no such file, or has more or fewer numbers
            than its sizes say.
    """
    try:
        with open_bytes(path) as file:
            header = file.read(4 + 4 * dimensions)
            shape = _shape(path, header, dimensions)
            count = math.prod(shape)
            # One more than there may be, and never a file without end.
            content = file.read(min(count + 1, LARGEST))
    except DAMAGED as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{path}: is truncated or damaged ({reason}); get it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if len(content) != count:
        found = "more" if len(content) > count else f"{len(content):,}"
        sizes = " × ".join(f"{size:,}" for size in shape)
        raise InputError(
            f"{path}: states {sizes} = {count:,} bytes and has {found}; it is truncated or "
            "altered, get it again"
        )
    digest = hashlib.sha256(header + content).hexdigest()
    return IdxFile(np.frombuffer(content, np.uint8).reshape(shape), digest)


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    """Return the sizes that a header states.

    Raises:
        InputError: it is not that of an IDX file of bytes with so many dimensions.
    """
    magic = bytes([0, 0, 8, dimensions])
    if header[:4] != magic:
        kind = {1: "labels (IDX, one dimension)", 3: "images (IDX, three dimensions)"}
        raise InputError(
            f"{path}: is not a file of {kind.get(dimensions, f'{dimensions} dimensions')}: it "
            f"begins with {header[:4].hex(' ') or 'nothing'}, not with {magic.hex(' ')}"
        )
    if len(header) < 4 + 4 * dimensions:
        raise InputError(f"{path}: ends within its header; it is truncated, get it again")
    return struct.unpack(f">{dimensions}I", header[4:])
