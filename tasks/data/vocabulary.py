"""From words to ids in one pass, four bytes a word.

A first pass gives every new word the next free number. Only when all are counted is the order
settled (the most frequent first, equal counts in alphabetical order), rare words are given up, and
the numbers are changed in place.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import read_lines

__all__ = [
    "UNKNOWN",
    "ClosedIndex",
    "GrowingIndex",
    "Ids",
    "IndexWithUnknown",
    "as_ids",
    "build_vocabulary",
    "count_ids",
    "read_vocabulary",
    "renumber",
]

UNKNOWN = "<unk>"
CHUNK = 1 << 22  # ids worked on at a time, so that a pass over them needs no copy of all

Ids = npt.NDArray[np.int32]


class GrowingIndex(dict[str, int]):
    """word -> number; a new word gets the next one."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


class IndexWithUnknown(dict[str, int]):
    """word -> id; any other word is ``<unk>``."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(zip(words, range(len(words)), strict=True))
        self._unknown = self[UNKNOWN]

    def __missing__(self, word: str) -> int:
        return self._unknown


class ClosedIndex(dict[str, int]):
    """word -> id; any other word is a mistake of the file, told by `finish`.

    Until then it passes for the first word: what else is wrong with the file says more.
    """

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(zip(words, range(len(words)), strict=True))
        self._foreign: str | None = None

    def __missing__(self, word: str) -> int:
        self._foreign = self._foreign or word
        return 0

    def finish(self, where: str) -> None:
        """Say that there are no more words.

        Raises:
            InputError: one was not in the vocabulary.
        """
        if self._foreign is not None:
            raise InputError(
                f"{where}: '{self._foreign[:40]}' is not in the vocabulary of the training split; "
                "the files do not belong together, get them again"
            )


def as_ids(numbers: "array[int]") -> Ids:
    """See an array of C ints as ids, without a copy."""
    return np.frombuffer(numbers, np.int32)


def count_ids(ids: Ids, size: int) -> npt.NDArray[np.int64]:
    """Count how often each id below `size` occurs: (size,)."""
    counts = np.zeros(size, np.int64)
    for chunk in _chunks(ids):
        counts += np.bincount(chunk, minlength=size)
    return counts


def build_vocabulary(
    words: Sequence[str],
    counts: npt.NDArray[np.int64],
    *,
    minimum: int = 1,
    unknown: str | None = None,
    always: Sequence[str] = (),
) -> tuple[tuple[str, ...], Ids]:
    """Decide which words are the vocabulary, and their order.

    Args:
        words: the word of each number.
        counts: how often each was seen in training.
        minimum: the smallest count of a word that is kept.
        unknown: what all others become, always in the vocabulary; None where none may be lost.
        always: words that are kept, or put in, whatever their count.

    Returns:
        the vocabulary, the most frequent first, and for each number the id of its word.
    """
    special = {*always, *([unknown] if unknown is not None else [])}
    kept = {
        word: int(count)
        for word, count in zip(words, counts, strict=True)
        if count >= minimum or word in special
    }
    for word in special:
        kept.setdefault(word, 0)
    if unknown is not None:
        kept[unknown] += int(counts.sum()) - sum(kept.values())
    vocabulary = tuple(sorted(kept, key=lambda word: (-kept[word], word)))
    index = {word: i for i, word in enumerate(vocabulary)}
    rank = (index[word] if unknown is None else index.get(word, index[unknown]) for word in words)
    return vocabulary, np.fromiter(rank, np.int32, len(words))


def renumber(ids: Ids, rank: Ids) -> None:
    """Put rank[i] in the place of every i."""
    for chunk in _chunks(ids):
        chunk[:] = rank[chunk]


def read_vocabulary(path: Path, always: Iterable[str]) -> tuple[str, ...]:
    """Read a vocabulary: one word a line; ids follow the lines.

    Args:
        path: a text file.
        always: words that are put at the end where the file lacks them.

    Raises:
        InputError: the file cannot be read, a line is not one word, or a word comes twice.
    """
    seen: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        words = line.split()
        if len(words) != 1:
            raise InputError(
                f"{path}, line {number}: '{line[:40]}' is not one word; a vocabulary has one word "
                "a line and nothing else"
            )
        if words[0] in seen:
            raise InputError(
                f"{path}, line {number}: '{words[0][:40]}' is already in line {seen[words[0]]}; "
                "a vocabulary names each word once"
            )
        seen[words[0]] = number
    return (*seen, *(word for word in always if word not in seen))


def _chunks(ids: Ids) -> Iterator[Ids]:
    return (ids[begin : begin + CHUNK] for begin in range(0, len(ids), CHUNK))
