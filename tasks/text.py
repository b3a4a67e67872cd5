r"""Your own text: predict its next word or character.

``text:FILE`` with FILE a text file, plain, .gz or .xz; or a glob (``text:*.txt``; quote it), whose
files are read one after the other in order of their names. Options follow a question mark:
``text:FILE?unit=char&min-count=2``. The id is the user's text; the content of the files determines
the data hash of every record.

Tokens. ``unit=word`` (the default): words separated by whitespace, and an ``<eos>`` after every
line, also an empty one. ``unit=char``: every character, and a newline after every line. A line ends
at ``\n`` or ``\r\n``, which are equivalent. Words and lines may have any length. A word
``<eos>`` or ``<unk>`` in the text is that token.

Splits, by position: the first 90 % of the tokens train, the next 5 % validate, the last 5 % test
(cut after ⌊0.9 n⌋ and ⌊0.95 n⌋ of them); each is one stream, whose first token is not scored. A
text has at least 1,000 tokens.

The vocabulary is that of the training part: words seen there at least ``min-count`` times (3
unless the id says otherwise) and ``<eos>``, or all its characters (``min-count`` 1); everything
else is ``<unk>``. Loss: cross-entropy; words as perplexity per word, characters in nats per
character. Chance: frequencies in the training part, ``<unk>`` counted at least once.

Document boundaries are unknown, so intervals treat contiguous runs of targets as the independent
units: the test part is cut into equal runs of about 256 targets, but at least 8 and at most 100.
"""

import re
from array import array
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from seqmem.errors import InputError
from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays, pack_words, unpack_words
from seqmem.tasks.data.text_files import expand, file_digest, read_lines
from seqmem.tasks.data.vocabulary import (
    GrowingIndex,
    Ids,
    as_ids,
    build_vocabulary,
)
from seqmem.tasks.language import LanguageTask, stream_split
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer, read_parameters
from seqmem.tasks.task import Split

__all__ = ["Text"]

END_OF_LINE = "<eos>"
SHORTEST = 1000
MIN_COUNT = 3
RUN, RUNS = 256, (8, 100)
EXAMPLE = "text:FILE?unit=char&min-count=2"


class Text(LanguageTask):
    """``text:FILE[?unit=word|char][&min-count=N]``."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "run of consecutive tokens"
    stream: ClassVar[bool] = True

    def __init__(
        self, pattern: str, unit: Literal["word", "char"], min_count: int, given: str
    ) -> None:
        """Take a file or glob, the unit, the smallest count of a word, and the id's text."""
        self.id = f"text:{given}"
        self.pattern, self.unit, self.min_count = pattern, unit, min_count
        self.loss = CrossEntropy(
            score="perplexity" if unit == "word" else "loss",
            unit="nats per word" if unit == "word" else "nats per character",
        )
        self.longest_context = RUN

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Text":
        """Return the task of an id, whose text is under the key "text".

        Raises:
            InputError: no file is named, or an option is unknown or out of range.
        """
        given = parameters["text"]
        # Globs have question marks as well: what looks like options is options.
        match = re.fullmatch(r"(.*)\?([^?=/&]+=[^?/]*)", given)
        pattern, options = (match[1], match[2]) if match else (given, "")
        if not pattern:
            raise InputError("no file is named; write text:FILE")
        read = {"unit": "word", **read_parameters(options, "&", EXAMPLE)}
        read.setdefault("min-count", f"{MIN_COUNT}" if read["unit"] == "word" else "1")
        check_names(read, ("unit", "min-count"), EXAMPLE)
        unit = read["unit"]
        if unit not in ("word", "char"):
            raise InputError(f"unit={unit}: the unit is word or char, as in {EXAMPLE}")
        count = integer("min-count", read["min-count"], 1, 10**6)
        return cls(pattern, "char" if unit == "char" else "word", count, given)

    @property
    def user_file(self) -> str:
        """The file or glob."""
        return self.pattern

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary: id -> word or character.

        Raises:
            InputError: there is no such file, or it cannot be read or split.
        """
        return unpack_words(self._arrays["words"])

    @cached_property
    def _arrays(self) -> Arrays:
        files = expand(self.pattern)
        settings = f"{self.unit} {self.min_count}"
        key = cache_key(["text", settings, *map(file_digest, files)])
        return cached_arrays("text", key, lambda: self._encode(files))

    def _encode(self, files: Sequence[Path]) -> Arrays:
        """Number the tokens of all files; map those that are rare in the training part to <unk>."""
        growing, numbers = GrowingIndex(), array("i")
        number = growing.__getitem__
        end = number("\n" if self.unit == "char" else END_OF_LINE)
        for path in files:
            for line in read_lines(path):
                numbers.extend(map(number, line if self.unit == "char" else line.split()))
                numbers.append(end)
        ids = as_ids(numbers)
        if len(ids) < SHORTEST:
            raise InputError(
                f"{self.pattern}: too short to split, {len(ids):,} {self.unit}s with line ends "
                f"counted; a text has at least {SHORTEST:,}"
                + ("" if self.unit == "char" else " (or use its characters: ?unit=char)")
            )
        words = build_vocabulary(
            growing,
            ids,
            counted=len(_part(ids, "train")),
            minimum=self.min_count,
            unknown=True,
            always=(END_OF_LINE,) if self.unit == "word" else (),
        )
        return {"ids": ids, "words": pack_words(words)}

    def train(self, seed: int, epoch: int) -> Split:
        """Return the first 90 %, the same for every seed and epoch."""
        return stream_split(_part(self._arrays["ids"], "train"))

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the validation or test part."""
        ids = _part(self._arrays["ids"], name)
        targets = len(ids) - 1
        runs = min(max(targets // RUN, RUNS[0]), RUNS[1])
        return stream_split(ids, np.arange(targets) * runs // targets)

    def counted_ids(self) -> Ids:
        """Return the first 90 %."""
        return _part(self._arrays["ids"], "train")


def _part(ids: Ids, name: str) -> Ids:
    cuts = {"train": (0, 90), "valid": (90, 95), "test": (95, 100)}[name]
    begin, end = (len(ids) * cut // 100 for cut in cuts)
    return ids[begin:end]
