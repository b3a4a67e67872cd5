"""Finding, checking and reading text corpora; the ids are cached by the content they came from.

A corpus is looked for in the data directory (``--data-dir`` or SEQMEM_DATA), in the folder of its
name, as ``train.txt`` and so on, plain or compressed (.xz, .gz). Only where no data directory is
given is it taken from the hub. Either way the lines go through the `datasets` library, and counts
and hashes are checked before anything is measured.
"""

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.tasks.sources import Located, cache_directory, data_directory

__all__ = [
    "WIKITEXT_2",
    "Corpus",
    "CorpusSource",
    "Expected",
    "find_files",
    "lines_sha256",
    "load_corpus",
]

END_OF_LINE = "<eos>"
SUFFIXES = (".txt", ".txt.xz", ".txt.gz")
CACHE_VERSION = 1


@dataclass(frozen=True)
class Expected:
    """What one split must hold.

    Attributes:
        lines: the number of lines.
        tokens: the number of words, with one <eos> for each line.
        sha256: of the lines, words joined by single spaces; see `ordered`.
        ordered: False where copies with another order of the articles are in circulation: the
            lines are sorted before they are hashed.
    """

    lines: int
    tokens: int
    sha256: str
    ordered: bool = True


@dataclass(frozen=True)
class CorpusSource:
    """Where a corpus comes from and what it must be.

    Attributes:
        name: its folder in the data directory.
        title: its name in full, with the paper.
        licence: the licence of the text.
        hub: repository and configuration on the Hugging Face hub.
        splits: the expected content by split name.
        vocabulary: the number of distinct tokens in the training split.
    """

    name: str
    title: str
    licence: str
    hub: tuple[str, str]
    splits: Mapping[str, Expected]
    vocabulary: int

    @property
    def how_to_get(self) -> str:
        """Say what to do to have it here."""
        files = ", ".join(f"{split}.txt" for split in self.splits)
        return (
            f"put {files} (also .xz or .gz) into DIR/{self.name} and give --data-dir DIR; with no "
            f"data directory, {self.hub[0]} ({self.hub[1]}) is loaded from the hub"
        )

    def locate(self) -> Located:
        """Look for the files on this machine."""
        directory = data_directory()
        if directory is None:
            problem = "no data directory is given (--data-dir or SEQMEM_DATA)"
            return Located(f"hub: {self.hub[0]}, {self.hub[1]}", None, problem)
        where = str(directory / self.name)
        try:
            return Located(where, find_files(self, directory), "")
        except InputError as error:
            return Located(where, None, str(error))

    def check(self) -> None:
        """Load the corpus, which checks it."""
        load_corpus(self)


@dataclass(frozen=True)
class Corpus:
    """A checked corpus.

    Attributes:
        words: id -> word; the most frequent first, equal counts in alphabetical order.
        ids: by split, (tokens,) int32.
        articles: by split, (articles,) the index of each article's first token.
    """

    words: tuple[str, ...]
    ids: Mapping[str, npt.NDArray[np.int32]]
    articles: Mapping[str, npt.NDArray[np.int64]]


WIKITEXT_2 = CorpusSource(
    name="wikitext-2",
    title="WikiText-2 (Merity et al. 2016, arXiv 1609.07843)",
    licence="CC BY-SA 3.0, Wikipedia contributors",
    hub=("Salesforce/wikitext", "wikitext-2-v1"),
    splits=MappingProxyType(
        {
            "train": Expected(
                36_718,
                2_088_628,
                "2df88faa335514e035066653e297fadf54619839c6ee8ab37cd28e71b10aec3b",
                ordered=False,
            ),
            "valid": Expected(
                3_760,
                217_646,
                "4427e8fc24d5ceaaff4f1d9ee42f4e82172572b107d6a4e1f32d84fa7913c3ff",
            ),
            "test": Expected(
                4_358,
                245_569,
                "f68796e87c3250872a5a82da5027c4f75494ca617fbad67e36acce8a057ff3e8",
            ),
        }
    ),
    vocabulary=33_278,
)


def find_files(source: CorpusSource, directory: Path) -> dict[str, Path]:
    """Find one file for each split.

    Raises:
        InputError: a split has none.
    """
    found = {}
    for split in source.splits:
        candidates = [directory / source.name / (split + suffix) for suffix in SUFFIXES]
        present = [path for path in candidates if path.is_file()]
        if not present:
            raise InputError(
                f"{source.name}: {split}.txt (or .txt.xz, .txt.gz) is not in "
                f"{directory / source.name}; put it there, name another directory with --data-dir "
                "or SEQMEM_DATA, or unset SEQMEM_DATA to load it from the hub"
            )
        found[split] = present[0]
    return found


def load_corpus(source: CorpusSource) -> Corpus:
    """Load and check a corpus, from the data directory if one is given, else from the hub.

    Raises:
        InputError: a file is missing, damaged or altered, or the hub cannot be reached.
    """
    directory = data_directory()
    if directory is None:
        return _check_and_encode(source, _read_hub(source), f"hub:{source.hub[0]}")
    files = find_files(source, directory)
    digest = hashlib.sha256(f"{CACHE_VERSION} {source}".encode())
    for path in files.values():
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    cached = cache_directory() / f"{source.name}-{digest.hexdigest()[:32]}.npz"
    if cached.exists():
        return _load_cached(source, cached)
    lines = {split: _read_lines(path) for split, path in files.items()}
    corpus = _check_and_encode(source, lines, str(directory / source.name))
    _save_cached(corpus, cached)
    return corpus


def _read_lines(path: Path) -> list[str]:
    """Read a text file through `datasets`, which also undoes the compression."""
    # A throw-away cache: the library recognises a file by path and time, not by content.
    with tempfile.TemporaryDirectory() as scratch:
        try:
            rows = _datasets().load_dataset(
                "text",
                data_files={"text": str(path)},
                split="text",
                cache_dir=scratch,
                keep_linebreaks=True,
            )
            return list(rows["text"])
        except InputError:
            raise
        except Exception as error:  # the library wraps whatever went wrong, as one of many types
            reason = error.__cause__ or error
            raise InputError(
                f"{path} cannot be read: {type(reason).__name__}: {reason}; "
                "the file is truncated or damaged, copy it again"
            ) from None


def _read_hub(source: CorpusSource) -> dict[str, list[str]]:
    names = {"train": "train", "valid": "validation", "test": "test"}
    try:
        rows = _datasets().load_dataset(*source.hub)
        return {split: list(rows[names[split]]["text"]) for split in source.splits}
    except (OSError, KeyError) as error:
        raise InputError(
            f"{source.name}: no data directory is given (--data-dir or SEQMEM_DATA), and "
            f"{source.hub[0]} cannot be loaded from the hub: {error}"
        ) from None


def _datasets() -> Any:  # the library ships no types
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets

    datasets.disable_progress_bars()
    return datasets


def _check_and_encode(
    source: CorpusSource, lines: Mapping[str, Iterable[str]], where: str
) -> Corpus:
    """Hold lines against what is expected, then turn words into ids."""
    words = {split: [line.split() for line in lines[split]] for split in source.splits}
    for split, expected in source.splits.items():
        _check(f"{where}, {split}", words[split], expected)
    counts = Counter(word for line in words["train"] for word in line)
    counts[END_OF_LINE] += len(words["train"])
    vocabulary = tuple(sorted(counts, key=lambda word: (-counts[word], word)))
    if len(vocabulary) != source.vocabulary:
        raise InputError(
            f"{where}: the training split has {len(vocabulary)} distinct tokens, "
            f"expected {source.vocabulary}"
        )
    index = {word: i for i, word in enumerate(vocabulary)}
    encoded = {split: _encode(words[split], index) for split in source.splits}
    return Corpus(
        vocabulary,
        {split: ids for split, (ids, _) in encoded.items()},
        {split: articles for split, (_, articles) in encoded.items()},
    )


def _check(where: str, words: list[list[str]], expected: Expected) -> None:
    tokens = sum(map(len, words)) + len(words)
    for what, found, right in (
        ("lines", len(words), expected.lines),
        ("tokens", tokens, expected.tokens),
    ):
        if found != right:
            raise InputError(
                f"{where}: {found:,} {what}, expected {right:,}; the file is truncated or "
                "altered, get it again (`seqmem data` says where from)"
            )
    digest = lines_sha256(words, ordered=expected.ordered)
    if digest != expected.sha256:
        raise InputError(
            f"{where}: sha256 of the text is {digest[:16]}…, expected {expected.sha256[:16]}…; "
            "the file is altered, get it again (`seqmem data` says where from)"
        )


def lines_sha256(words: Iterable[list[str]], *, ordered: bool) -> str:
    """Hash lines of words, joined by single spaces; in any order where not `ordered`."""
    lines = [" ".join(line) + "\n" for line in words]
    return hashlib.sha256("".join(lines if ordered else sorted(lines)).encode()).hexdigest()


def _encode(
    words: list[list[str]], index: Mapping[str, int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    end = index[END_OF_LINE]
    ids: list[int] = []
    articles = []
    for i, line in enumerate(words):
        blank_around = not (i and words[i - 1]) and not (i + 1 < len(words) and words[i + 1])
        if blank_around and _is_title(line):
            articles.append(len(ids))
        ids.extend(index[word] for word in line)
        ids.append(end)
    if not articles or articles[0] > 1:
        articles.insert(0, 0)
    articles[0] = 0  # the blank line before the first title belongs to it
    return np.array(ids, np.int32), np.array(articles, np.int64)


def _is_title(line: list[str]) -> bool:
    """Say whether a line reads ``= Title =``; sections have two or more equals signs."""
    return len(line) > 2 and line[0] == "=" == line[-1] and line[1] != "=" and line[-2] != "="


def _save_cached(corpus: Corpus, path: Path) -> None:
    """Write whole or not at all; two processes may do so at once. A full disk costs the cache."""
    arrays: dict[str, npt.NDArray[Any]] = {f"ids.{split}": a for split, a in corpus.ids.items()}
    arrays |= {f"articles.{split}": starts for split, starts in corpus.articles.items()}
    text = np.frombuffer(json.dumps(corpus.words).encode(), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            try:
                np.savez(file, allow_pickle=False, words=text, **arrays)
                file.close()
                temporary.replace(path)
            except BaseException:
                temporary.unlink()
                raise
    except OSError:
        return  # the cache only saves time


def _load_cached(source: CorpusSource, path: Path) -> Corpus:
    with np.load(path) as arrays:
        return Corpus(
            tuple(json.loads(arrays["words"].tobytes())),
            {split: arrays[f"ids.{split}"] for split in source.splits},
            {split: arrays[f"articles.{split}"] for split in source.splits},
        )
