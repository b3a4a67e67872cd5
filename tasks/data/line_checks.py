r"""Counts and a hash of lines, computed line by line and compared with the expected ones.

The hash is of the lines with words joined by single spaces, so that it depends neither on line
ends nor on compression. Of ordered lines: sha256 of all of them, each followed by ``\n``. In any
order: the sum, modulo 2²⁵⁶, of the sha256 of each such line; no text has to be stored or sorted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from seqmem.errors import InputError

__all__ = ["LineCheck", "LineFacts"]


@dataclass(frozen=True)
class LineFacts:
    """The expected content of a split of text.

    Attributes:
        lines: the number of lines.
        tokens: the number of words, with one <eos> for each line.
        sha256: the hash as above; None if unknown.
        ordered: whether the order of the lines matters.
    """

    lines: int
    tokens: int
    sha256: str | None
    ordered: bool = True


class LineCheck:
    """Counts and hashes lines one by one."""

    def __init__(self, expected: LineFacts) -> None:
        """Take the expected content."""
        self.expected = expected
        self.lines = self.tokens = 0
        self._whole = hashlib.sha256()
        self._sum = 0

    def add(self, words: Sequence[str]) -> None:
        """Add the next line."""
        self.lines += 1
        self.tokens += len(words) + 1
        if self.expected.sha256 is None:
            return
        line = (" ".join(words) + "\n").encode()
        if self.expected.ordered:
            self._whole.update(line)
        else:
            self._sum += int.from_bytes(hashlib.sha256(line).digest(), "big")

    @property
    def sha256(self) -> str:
        """The hash of the lines added so far."""
        return self._whole.hexdigest() if self.expected.ordered else f"{self._sum % 2**256:064x}"

    def finish(self, where: str) -> None:
        """Compare the lines with the expected content, after the last one.

        Raises:
            InputError: a count or the hash differs.
        """
        for what, found, right in (
            ("lines", self.lines, self.expected.lines),
            ("tokens", self.tokens, self.expected.tokens),
        ):
            if found != right:
                raise InputError(
                    f"{where}: {found:,} {what}, expected {right:,}; the file is truncated or "
                    "altered, get it again (see `seqmem data`)"
                )
        right_hash = self.expected.sha256
        if right_hash is not None and self.sha256 != right_hash:
            raise InputError(
                f"{where}: sha256 of the text is {self.sha256[:16]}…, expected "
                f"{right_hash[:16]}…; the file is altered, get it again (see `seqmem data`)"
            )
