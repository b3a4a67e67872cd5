r"""Counts and a hash of lines, computed line by line and compared with the expected ones.

The hash is of the lines with words joined by single spaces, so that it depends neither on line
ends nor on compression. Of ordered lines: sha256 of all of them, each followed by ``\n``. In any
order: the sum, modulo 2²⁵⁶, of the sha256 of each such line; no text has to be stored or sorted.
"""

import hashlib
from collections.abc import Iterable, Iterator

from seqmem.tasks.data.sources import Facts, compare_facts

__all__ = ["checked_lines"]


def checked_lines(lines: Iterable[str], expected: Facts, where: str) -> Iterator[list[str]]:
    """Yield the words of each line; after the last one, compare their counts and hash.

    Args:
        lines: the lines.
        expected: the number of "lines" and of "tokens" (words, with one <eos> for each line), and
            "sha256" or "sha256_in_any_order" if it is known.
        where: the place of the lines, for messages.

    Raises:
        InputError: a count or the hash differs.
    """
    count = tokens = total = 0
    whole = hashlib.sha256()
    hashed = "sha256" in expected or "sha256_in_any_order" in expected
    for line in lines:
        words = line.split()
        count += 1
        tokens += len(words) + 1
        yield words
        if not hashed:
            continue
        text = (" ".join(words) + "\n").encode()
        if "sha256" in expected:
            whole.update(text)
        else:
            total += int.from_bytes(hashlib.sha256(text).digest(), "big")
    found = {
        "lines": count,
        "tokens": tokens,
        "sha256": whole.hexdigest(),
        "sha256_in_any_order": f"{total % 2**256:064x}",
    }
    compare_facts(where, found, expected)
