"""One answer of a process that is not trusted, read as it comes and held to what was asked."""

import os
from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from seqmem.submissions.process.limits import one_line
from seqmem.submissions.process.protocol import MARK, PREFIX, Header, read_header, read_prefix

__all__ = ["Reading", "Values", "read_answer", "read_on"]

Values = npt.NDArray[np.float32]
# Gives what is to be filled next, is told how much was, returns the header.
Reading = Generator[memoryview, int, Header]


def read_answer(serial: int, target: Values | None) -> Reading:
    """Read one answer: give what is to be filled next, be told how much was, return the header.

    Raises:
        ValueError: it is not what was asked for.
    """
    prefix = memoryview(bytearray(PREFIX.size))
    yield from _fill(prefix[: len(MARK)])
    if prefix[: len(MARK)] != MARK:  # said before it is known how much else there will be
        raise ValueError(f"it begins with {prefix[: len(MARK)].tobytes()!r}")
    yield from _fill(prefix[len(MARK) :])
    length, size = read_prefix(prefix.tobytes())
    text = bytearray(length)
    yield from _fill(memoryview(text))
    header = read_header(bytes(text))
    if header.get("serial") != serial:
        raise ValueError("it answers another request")
    wanted: tuple[object, ...] = (None, "ready", None)
    if target is not None:
        wanted = (list(target.shape), "outputs", "float32")
    found = (header.get("shape"), header.get("answer"), header.get("dtype"))
    expected = 0 if target is None else target.nbytes
    if found[1] == "failed":
        wanted, expected = found, 0
    if found != wanted or size != expected:
        given = one_line(f"{found[1]} of shape {found[0]} and dtype {found[2]}", 120)
        raise ValueError(
            f"it announces {given} in {size:,} bytes, where {wanted[1]} of shape {wanted[0]} and "
            f"dtype {wanted[2]} in {expected:,} bytes were asked for"
        )
    if target is not None and size:
        yield from _fill(target.data.cast("B"))
    return header


def _fill(view: memoryview) -> Generator[memoryview, int, None]:
    while len(view):
        view = view[(yield view) :]


def read_on(descriptor: int, answer: Reading, room: memoryview) -> memoryview:
    """Read what is there of an answer; give what is to be filled next.

    Raises:
        StopIteration: all is there.
        EOFError: the other end was closed.
    """
    while True:
        try:
            got = os.readv(descriptor, [room])
        except BlockingIOError:
            return room
        if got == 0:
            raise EOFError
        room = answer.send(got)
