"""What goes over the pipes between the suite and a model's process: frames.

A frame is a prefix (a mark, the header's length, the payload's length), a header of JSON, and the
raw bytes of arrays. Nothing is ever unpickled. Sizes are known before anything is read or kept.
"""

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["MARK", "PREFIX", "Header", "read_exactly", "read_header", "read_prefix", "write_frame"]

Header = Mapping[str, Any]

MARK = b"sqm1"
PREFIX = struct.Struct(">4sIQ")  # the mark, bytes of the header, bytes of the payload
LONGEST_HEADER = 1 << 16  # bytes


def write_frame(header: Header, payload_bytes: int) -> bytes:
    """Give the prefix and the header of a frame; the payload follows them.

    Raises:
        ValueError: the header is too long.
    """
    text = json.dumps(header).encode()
    if len(text) > LONGEST_HEADER:
        raise ValueError(f"a header of {len(text)} bytes, more than {LONGEST_HEADER}")
    return PREFIX.pack(MARK, len(text), payload_bytes) + text


def read_prefix(data: bytes) -> tuple[int, int]:
    """Give the bytes of header and payload that a prefix announces.

    Raises:
        ValueError: it is no prefix, or the header is too long.
    """
    mark, header, payload = PREFIX.unpack(data)
    if mark != MARK:
        raise ValueError(f"it begins with {data[: len(MARK)]!r}, which begins no frame")
    if header > LONGEST_HEADER:
        raise ValueError(f"it announces a header of {header:,} bytes, more than {LONGEST_HEADER:,}")
    return header, payload


def read_header(data: bytes) -> Header:
    """Read a header.

    Raises:
        ValueError: it is not UTF-8, not JSON, or no object.
    """
    try:
        header = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("its header is not UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("its header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header


def read_exactly(descriptor: int, size: int) -> bytearray:
    """Read so many bytes from a pipe, waiting for them.

    Raises:
        EOFError: the other end was closed before.
    """
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        got = os.readv(descriptor, [view[done:]])
        if got == 0:
            raise EOFError("the pipe was closed")
        done += got
    return data
