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

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import chain
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
from seqmem.tasks.parameters import check_names, integer, read_parameters, split_options
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
        pattern, options = split_options(given)
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
    def user_file(self) -> str | None:
        """The file or glob."""
        return self.pattern

    def parts(self) -> tuple[tuple[Path, ...], ...]:
        """Return the files in their order: one group, or those of training, validation and test.

        Raises:
            InputError: there is no such file.
        """
        return (tuple(expand(self.pattern)),)

    def lines(self) -> Iterator[str]:
        """Yield the lines of all files in their order.

        Raises:
            InputError: a file cannot be read.
        """
        for part in self.parts():
            for path in part:
                yield from read_lines(path)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary: id -> word or character.

        Raises:
            InputError: there is no such file, or it cannot be read or split.
        """
        return unpack_words(self._arrays["words"])

    @cached_property
    def _arrays(self) -> Arrays:
        parts = self.parts()
        settings = f"{self.unit} {self.min_count} {' '.join(str(len(part)) for part in parts)}"
        key = cache_key(["text", settings, *map(file_digest, chain.from_iterable(parts))])
        return cached_arrays("text", key, lambda: self._encode(parts))

    def _encode(self, parts: Sequence[Sequence[Path]]) -> Arrays:
        """Number the tokens of all files; map those that are rare in the training part to <unk>."""
        growing, numbers = GrowingIndex(), array("i")
        number = growing.__getitem__
        end = number("\n" if self.unit == "char" else END_OF_LINE)
        cuts = [0]
        for part in parts:
            for path in part:
                for line in read_lines(path):
                    numbers.extend(map(number, line if self.unit == "char" else line.split()))
                    numbers.append(end)
            cuts.append(len(numbers))
        ids = as_ids(numbers)
        if len(parts) == 1:
            cuts = [len(ids) * cut // 100 for cut in (0, 90, 95, 100)]
        if len(ids) < SHORTEST:
            raise InputError(
                f"{self.pattern}: too short to split, {len(ids):,} {self.unit}s with line ends "
                f"counted; a text has at least {SHORTEST:,}"
                + ("" if self.unit == "char" else " (or use its characters: ?unit=char)")
            )
        words = build_vocabulary(
            growing,
            ids,
            counted=cuts[1],
            minimum=self.min_count,
            unknown=True,
            always=(END_OF_LINE,) if self.unit == "word" else (),
        )
        return {"ids": ids, "words": pack_words(words), "cuts": np.array(cuts)}

    def _part(self, name: str) -> Ids:
        index = ("train", "valid", "test").index(name)
        begin, end = self._arrays["cuts"][index : index + 2]
        part: Ids = self._arrays["ids"][begin:end]
        return part

    def train(self, seed: int, epoch: int) -> Split:
        """Return the training part, the same for every seed and epoch."""
        return stream_split(self._part("train"))

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the validation or test part."""
        ids = self._part(name)
        targets = len(ids) - 1
        runs = min(max(targets // RUN, RUNS[0]), RUNS[1])
        return stream_split(ids, np.arange(targets) * runs // targets)

    def counted_ids(self) -> Ids:
        """Return the training part."""
        return self._part("train")
