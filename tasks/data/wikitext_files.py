"""The WikiText corpora: their files, their expected content, and their ids.

A corpus is looked up in the data directory (``--data-dir`` or SEQMEM_DATA), in the folder of its
name, as ``train.txt`` or ``wiki.train.tokens`` and so on, plain or compressed (.xz, .gz). Only if
no data directory is given is it loaded from the hub. In both cases the `datasets` library streams
the lines, and counts and hashes are checked before anything is measured. The ids are cached under a
hash of the files, and memory-mapped from there.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays, pack_words, unpack_words
from seqmem.tasks.data.dataset_rows import file_rows, hub_rows
from seqmem.tasks.data.line_checks import checked_lines
from seqmem.tasks.data.sources import Facts, Located, Source, expected_content
from seqmem.tasks.data.text_files import file_digest, find_file
from seqmem.tasks.data.vocabulary import (
    UNKNOWN,
    GrowingIndex,
    Ids,
    IndexWithUnknown,
    as_ids,
    build_vocabulary,
    read_vocabulary,
)

__all__ = [
    "END_OF_LINE",
    "WIKITEXT_2",
    "WIKITEXT_103",
    "Corpus",
    "CorpusSource",
    "VocabularyFrom",
    "load_corpus",
]

END_OF_LINE = "<eos>"

# The published vocabulary is that of the training split; others are words of valid or of a file.
VocabularyFrom = Literal["train", "valid"] | Path


@dataclass(frozen=True)
class CorpusSource(Source):
    """A corpus: its source and expected content.

    Attributes:
        hub: repository and configuration on the Hugging Face hub.
        splits: the expected content by split name.
        vocabulary: the number of distinct tokens in the training split.
        without_train: ids of tasks that can be measured without the training split.
    """

    hub: tuple[str, str]
    splits: Mapping[str, Facts]
    vocabulary: int
    without_train: tuple[str, ...] = ()

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        files = ", ".join(f"{split}.txt" for split in self.splits)
        return (
            f"`seqmem data fetch {self.name}`; or put {files} (also wiki.train.tokens and so on, "
            f".xz, .gz) into DIR/{self.name} and give --data-dir DIR; with no data directory, "
            f"{self.hub[0]} ({self.hub[1]}) is loaded from the hub"
        )

    def present(self, folder: Path) -> dict[str, Path]:
        """Return the file of each split that has one in a folder."""
        names = {split: (f"{split}.txt", f"wiki.{split}.tokens") for split in self.splits}
        found = {split: find_file(folder, names[split]) for split in self.splits}
        return {split: path for split, path in found.items() if path is not None}

    def find(self, folder: Path, splits: Iterable[str]) -> dict[str, Path]:
        """Return one file for each split.

        Raises:
            InputError: a split has no file.
        """
        found = self.present(folder)
        for split in splits:
            if split not in found:
                ways = (
                    "put it there, give another directory with --data-dir or SEQMEM_DATA, or unset "
                    "SEQMEM_DATA to load it from the hub"
                )
                if split == "train" and self.without_train:
                    ways += f"; without it only {' or '.join(self.without_train)} can be measured"
                raise InputError(
                    f"{self.name}: {split}.txt or wiki.{split}.tokens (or .xz, .gz) is not in "
                    f"{folder}; {ways}"
                )
        return {split: found[split] for split in splits}

    def locate(self) -> Located:
        """Search for the files on this machine."""
        if self.folder is None:
            problem = "no data directory is given (--data-dir or SEQMEM_DATA)"
            return Located(f"hub: {self.hub[0]}, {self.hub[1]}", None, problem)
        here = self.present(self.folder)
        try:
            return Located(str(self.folder), self.find(self.folder, self.splits), "")
        except InputError as error:
            evaluable = self.without_train and {"valid", "test"} <= here.keys()
            return Located(str(self.folder), here if evaluable else None, str(error))

    def check(self) -> str | None:
        """Load and check the available files; return what is not available.

        Raises:
            InputError: a file is damaged or altered.
        """
        if not self.locate().problem:
            load_corpus(self)
            return None
        load_corpus(self, "valid")
        return f"no training split; only {' or '.join(self.without_train)} can be measured"


@dataclass(frozen=True)
class Corpus:
    """A checked corpus.

    Attributes:
        words: id -> word; the most frequent first, equal counts in alphabetical order, or in the
            order of the vocabulary file.
        ids: by split, (tokens,) int32.
        articles: by split, (articles,) the index of each article's first token.
    """

    words: tuple[str, ...]
    ids: Mapping[str, Ids]
    articles: Mapping[str, npt.NDArray[np.int64]]


WIKITEXT_2 = CorpusSource(
    name="wikitext-2",
    title="WikiText-2 (Merity et al. 2016, arXiv 1609.07843)",
    licence="CC BY-SA 3.0, Wikipedia contributors",
    hub=("Salesforce/wikitext", "wikitext-2-v1"),
    **expected_content("wikitext-2"),
)

WIKITEXT_103 = CorpusSource(
    name="wikitext-103",
    title="WikiText-103 (Merity et al. 2016, arXiv 1609.07843)",
    licence="CC BY-SA 3.0, Wikipedia contributors",
    hub=("Salesforce/wikitext", "wikitext-103-v1"),
    without_train=("wikitext-103/vocabulary=valid", "wikitext-103/vocabulary=FILE"),
    **expected_content("wikitext-103"),
)


def load_corpus(source: CorpusSource, vocabulary: VocabularyFrom = "train") -> Corpus:
    """Return a checked corpus, from the data directory if one is given, else from the hub.

    Args:
        source: the corpus.
        vocabulary: the source of the words. With "valid" or a file the training split is
            neither needed nor read, and other words are ``<unk>``.

    Raises:
        InputError: a file is missing, damaged or altered.
    """
    splits = tuple(source.splits) if vocabulary == "train" else ("valid", "test")
    words: tuple[str, ...] | None = None
    expected = repr(([source.splits[split] for split in splits], source.vocabulary))
    parts = [source.name, expected, vocabulary if isinstance(vocabulary, str) else "file"]
    if isinstance(vocabulary, Path):
        words = read_vocabulary(vocabulary, (UNKNOWN, END_OF_LINE))
        parts.append("\n".join(words))
    lines: Mapping[str, Callable[[], Iterator[str]]]
    if source.folder is None:
        where = f"hub: {source.hub[0]}"
        lines, rows = hub_rows(source.name, source.hub, splits)
        key = cache_key([*parts, rows]) if rows else ""
    else:
        where = str(source.folder)
        files = source.find(source.folder, splits)
        lines = {split: partial(file_rows, path) for split, path in files.items()}
        key = cache_key([*parts, *(file_digest(path) for path in files.values())])

    def make() -> Arrays:
        return _check_and_encode(source, lines, where, vocabulary == "train", words)

    arrays = cached_arrays(source.name, key, make) if key else make()
    return Corpus(
        unpack_words(arrays["words"]),
        {split: arrays[f"ids.{split}"] for split in splits},
        {split: arrays[f"articles.{split}"] for split in splits},
    )


def _check_and_encode(
    source: CorpusSource,
    lines: Mapping[str, Callable[[], Iterator[str]]],
    where: str,
    published: bool,
    words: tuple[str, ...] | None,
) -> Arrays:
    """Return ids, articles and words, with lines checked against the expected content."""
    first = next(iter(lines))  # the split that defines the vocabulary, unless one is given
    arrays: dict[str, npt.NDArray[np.generic]] = {}

    def encode(split: str, index: dict[str, int]) -> Ids:
        checked = checked_lines(lines[split](), source.splits[split], f"{where}, {split}")
        ids, articles = _encode(checked, index)
        arrays[f"ids.{split}"], arrays[f"articles.{split}"] = ids, articles
        return ids

    if words is None:
        growing = GrowingIndex()
        ids = encode(first, growing)
        words = build_vocabulary(growing, ids, unknown=not published)
    if published and len(words) != source.vocabulary:
        raise InputError(
            f"{where}: the training split has {len(words):,} distinct tokens, expected "
            f"{source.vocabulary:,}; it is altered, get it again (see `seqmem data`)"
        )
    index = GrowingIndex(words) if published else IndexWithUnknown(words)
    for split in lines:
        if f"ids.{split}" not in arrays:
            encode(split, index)
        if len(index) > len(words):
            raise InputError(
                f"{where}, {split}: '{[*index][len(words)][:40]}' is not in the vocabulary of the "
                "training split; the files do not belong together, get them again"
            )
    return {**arrays, "words": pack_words(words)}


def _encode(
    lines: Iterable[Sequence[str]], index: dict[str, int]
) -> tuple[Ids, npt.NDArray[np.int64]]:
    """Return the ids of the words of one split's lines, and where its articles begin.

    An article begins at a line ``= Title =`` with a blank line, or nothing, before and after.
    """
    number, end = index.__getitem__, index[END_OF_LINE]
    ids = array("i")
    articles: list[int] = []
    blank_before, title_at = True, -1
    for words in lines:
        if title_at >= 0 and not words:
            articles.append(title_at)
        title_at = len(ids) if blank_before and _is_title(words) else -1
        blank_before = not words
        ids.extend(map(number, words))
        ids.append(end)
    if title_at >= 0:
        articles.append(title_at)
    if not articles or articles[0] > 1:
        articles.insert(0, 0)
    articles[0] = 0  # the blank line before the first title belongs to it
    return as_ids(ids), np.array(articles, np.int64)


def _is_title(line: Sequence[str]) -> bool:
    """Return whether a line is ``= Title =``; sections have two or more equals signs."""
    return len(line) > 2 and line[0] == "=" == line[-1] and line[1] != "=" and line[-2] != "="
