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
    "renumber",
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
    training: Ids,
    *,
    minimum: int = 1,
    unknown: str | None = None,
    always: Sequence[str] = (),
) -> tuple[tuple[str, ...], Ids]:
    """Return the vocabulary, and the id of each number.

    Args:
        index: word -> number, in the order of numbers.
        training: (n,) the numbers of the training data.
        minimum: the smallest count of a word of the vocabulary.
        unknown: the word for all others, always in the vocabulary; None if there must be none.
        always: words that are always in the vocabulary, whatever their count.

    Returns:
        the vocabulary, the most frequent first, and for each number the id of its word.
    """
    counts = count_ids(training, len(index))
    special = {*always, *([unknown] if unknown is not None else [])}
    kept = {
        word: int(count)
        for word, count in zip(index, counts, strict=True)
        if count >= minimum or word in special
    }
    for word in special:
        kept.setdefault(word, 0)
    if unknown is not None:
        kept[unknown] += int(counts.sum()) - sum(kept.values())
    vocabulary = tuple(sorted(kept, key=lambda word: (-kept[word], word)))
    ids = {word: i for i, word in enumerate(vocabulary)}
    rank = (ids[word] if unknown is None else ids.get(word, ids[unknown]) for word in index)
    return vocabulary, np.fromiter(rank, np.int32, len(index))


def renumber(ids: Ids, rank: Ids) -> None:
    """Replace every i by rank[i], in place."""
    for chunk in _chunks(ids):
        chunk[:] = rank[chunk]


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
