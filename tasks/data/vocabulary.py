"""From words to ids in one pass, with four bytes per word.

A first pass numbers words in order of appearance. When all are counted, the vocabulary is built
(the most frequent word first, equal counts in alphabetical order, rare words dropped), and the
numbers are replaced by ids in place.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import read_lines

__all__ = [
    "UNKNOWN",
    "GrowingIndex",
    "Ids",
    "IndexWithUnknown",
    "as_ids",
    "build_vocabulary",
    "count_ids",
    "read_vocabulary",
]

UNKNOWN = "<unk>"
CHUNK = 1 << 22  # ids processed at a time, so that a pass needs no copy of all of them

Ids = npt.NDArray[np.int32]


class GrowingIndex(dict[str, int]):
    """word -> number; a new word gets the next number."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        """Take the first words."""
        super().__init__(zip(words, range(len(words)), strict=True))

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


class IndexWithUnknown(GrowingIndex):
    """word -> id; any other word is ``<unk>``."""

    def __missing__(self, word: str) -> int:
        return self[UNKNOWN]


def as_ids(numbers: "array[int]") -> Ids:
    """Return an array of C ints as ids, without a copy."""
    return np.frombuffer(numbers, np.int32)


def count_ids(ids: Ids, size: int) -> npt.NDArray[np.int64]:
    """Return how often each id below `size` occurs: (size,)."""
    counts = np.zeros(size, np.int64)
    for chunk in _chunks(ids):
        counts += np.bincount(chunk, minlength=size)
    return counts


def build_vocabulary(
    index: Mapping[str, int],
    ids: Ids,
    *,
    counted: int | None = None,
    minimum: int = 1,
    unknown: bool = False,
    always: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return the vocabulary, the most frequent word first; replace numbers by its ids, in place.

    Args:
        index: word -> number, in the order of numbers.
        ids: (n,) the numbers of words, replaced by ids.
        counted: how many of them, from the first on, are training data; None: all.
        minimum: the smallest count of a word of the vocabulary.
        unknown: whether all others are ``<unk>``, which is then always in the vocabulary.
        always: words that are always in the vocabulary, whatever their count.
    """
    counts = count_ids(ids[:counted], len(index))
    special = {*always, *([UNKNOWN] if unknown else [])}
    kept = {
        word: int(count)
        for word, count in zip(index, counts, strict=True)
        if count >= minimum or word in special
    }
    for word in special:
        kept.setdefault(word, 0)
    if unknown:
        kept[UNKNOWN] += int(counts.sum()) - sum(kept.values())
    vocabulary = tuple(sorted(kept, key=lambda word: (-kept[word], word)))
    id_of = (IndexWithUnknown if unknown else GrowingIndex)(vocabulary)
    rank = np.fromiter(map(id_of.__getitem__, index), np.int32, len(index))
    for chunk in _chunks(ids):
        chunk[:] = rank[chunk]
    return vocabulary


def read_vocabulary(path: Path, always: Iterable[str]) -> tuple[str, ...]:
    """Return the vocabulary of a file: one word a line; ids in order of lines.

    Args:
        path: a text file.
        always: words that are appended if the file lacks them.

    Raises:
        InputError: the file cannot be read, a line is not one word, or a word is there twice.
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
                "a vocabulary contains each word once"
            )
        seen[words[0]] = number
    return (*seen, *(word for word in always if word not in seen))


def _chunks(ids: Ids) -> Iterator[Ids]:
    return (ids[begin : begin + CHUNK] for begin in range(0, len(ids), CHUNK))
