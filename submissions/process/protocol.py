"""Messages between this package and a model's process.

A message is a prefix (a mark, the header's length, the payload's length), a header of JSON, and the
raw bytes of arrays. Nothing is unpickled, and sizes are checked before anything is read or stored.
`multiprocessing.connection` frames messages too, but its reads block until a message is complete:
no time limit holds for a process that sends a length and then nothing.
"""

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

from seqmem.submissions.process.limits import one_line

__all__ = ["MARK", "Header", "check_answer", "read_frame", "write_frame"]

Header = Mapping[str, Any]

MARK = b"sqm1"
PREFIX = struct.Struct(">4sIQ")  # the mark, bytes of the header, bytes of the payload
LONGEST_HEADER = 1 << 16  # bytes


def write_frame(header: Header, payload_bytes: int) -> bytes:
    """Return a message without its payload, which follows.

    Raises:
        ValueError: the header is too long.
    """
    text = json.dumps(header).encode()
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"a header of {len(text)} bytes, more than {LONGEST_HEADER}")
    return PREFIX.pack(MARK, len(text), payload_bytes) + text


def read_frame(read: Callable[[int], bytes | bytearray]) -> tuple[Header, int]:
    """Read a message up to its payload; return the header and the payload's length in bytes.

    Args:
        read: returns the next bytes, exactly as many as requested.

    Raises:
        ValueError: it is not a message, or the header is too long or not an object of JSON.
    """
    mark = bytes(read(len(MARK)))  # alone: whatever else sends these few bytes may send no more
    if mark != MARK:
        raise ValueError(f"it begins with {mark!r}")
    _, length, size = PREFIX.unpack(mark + read(PREFIX.size - len(MARK)))
    if length > LONGEST_HEADER:
        raise ValueError(f"it announces a header of {length:,} bytes, more than {LONGEST_HEADER:,}")
    try:
        header = json.loads(read(length).decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("its header is not UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header, size


def check_answer(
    header: Header, size: int, serial: int, shape: tuple[int, ...] | None, most: int | None = None
) -> None:
    """Check the header of an answer against the request.

    Args:
        header: the answer's header.
        size: the bytes of its payload.
        serial: the number of the request.
        shape: the shape of the float32 outputs requested; None for an answer without outputs.
        most: the most bytes of data requested, however many; None for an answer without data.

    Raises:
        ValueError: the answer is not the one requested.
    """
    if header.get("serial") != serial:
        raise ValueError("it answers another request")
    found = tuple(header.get(key) for key in ("answer", "shape", "dtype"))
    wanted: tuple[object, ...] = ("ready", None, None)
    if shape is not None:
        wanted = ("outputs", list(shape), "float32")
    if most is not None:
        wanted = ("data", None, None)
    if found[0] == "failed":
        wanted = found
    expected = 4 * math.prod(shape or ()) if wanted[0] == "outputs" else 0
    if most is not None and wanted[0] == "data":
        if size > most:
            raise ValueError(f"it announces {size:,} bytes, where at most {most:,} are possible")
        expected = size
    if found != wanted or size != expected:
        text = "{} of shape {} and dtype {}"
        raise ValueError(
            f"it announces {one_line(text.format(*found), 120)} in {size:,} bytes, where "
            f"{text.format(*wanted)} in {expected:,} bytes were requested"
        )
