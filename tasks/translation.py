r"""Translation as one sequence: predict each word of the target, after the source.

A pair is the sequence s_1 … s_m ``<sep>`` t_1 … t_n of inputs; the targets are t_1 … t_n ``</s>``,
each predicted once the input before it has been read. Source words are never predicted. k counts
inputs: with small k only the latest target words are in view, a larger k reaches into the source.

``translation/bible-es-en`` is the Bible in Spanish (Reina-Valera 1909) and English (World English
Bible), verse by verse; splits by chapter. ``translation/multi30k-de-en`` are captions of
photographs (Elliott et al. 2016), tested on those of 2016. ``translation:FILE.tsv`` is the user's
own parallel text, a pair a line, source and target separated by a tab;
``translation:SOURCE+TARGET`` is two files, of which line i of one is the translation of line i of
the other. The first 90 % of the pairs train, the next 5 % validate, the last 5 % test (cut after
⌊0.9 n⌋ and ⌊0.95 n⌋ of at least 100); no pair may stand in two splits, spaces aside. Options follow
a comma or, after a file, a question mark: ``translation/bible-es-en,unit=char``,
``translation:FILE.tsv?unit=bpe&pieces=8000``. ``source=8`` and ``target=4`` leave a part of each
test pair out of view (`seqmem.tasks.translation_cuts`).

Tokens. ``unit=word`` (the default): words, with the apostrophes and hyphens in them, and each other
mark by itself, since texts are not tokenized. ``unit=char``: every character. ``unit=bpe``:
byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) of bytes, learned from both sides of the
training pairs, with ``pieces`` of them (8,000 unless the id says otherwise).

One vocabulary serves both sides: that of the training pairs, words seen at least ``min-count``
times on either side (3 unless the id says otherwise; of characters and pieces all), ``<sep>``,
``</s>`` and ``<unk>`` for all others. Loss: cross-entropy, for words as perplexity per target word,
where ends of sentences count as words; else in nats per character or piece. Chance: frequencies of
the training targets.

Neighbouring pairs are of one text, so intervals treat runs of consecutive pairs as the independent
units: runs of about 256 targets, but at least 8 and at most 100 of them.
"""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays, pack_words, unpack_words
from seqmem.tasks.data.parallel_text import Pair, pair_files, read_pairs
from seqmem.tasks.data.subwords import learn_pieces
from seqmem.tasks.data.text_files import file_digest
from seqmem.tasks.data.translation_files import PARALLEL_TEXTS
from seqmem.tasks.data.vocabulary import GrowingIndex, Ids, as_ids, build_vocabulary
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer, read_parameters, split_options
from seqmem.tasks.strata import Strata, kinds_of_target
from seqmem.tasks.task import InputSpec, Split, Task, Tokens
from seqmem.tasks.translation_cuts import CUT, WHOLE, Cuts, cut_split, with_parameters

__all__ = ["Translation"]

Unit = Literal["word", "char", "bpe"]
Tokenizer = Callable[[str], Sequence[str]]

SEPARATOR, END = "<sep>", "</s>"  # no text has them as tokens: marks are split off
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
SHORTEST = 100  # pairs
MIN_COUNT, PIECES = 3, 8000
RUN, RUNS = 256, (8, 100)
BEFORE = (4, 8, 16, 32)  # target words before a target: where strata begin
EXAMPLE = "translation:FILE.tsv?unit=bpe&pieces=8000"
# One target in a hundred has more inputs before it on the Bible: by unit, in inputs.
LONGEST: Mapping[Unit, int] = {"word": 128, "char": 512, "bpe": 128}
UNITS: Mapping[Unit, str] = {"word": "word", "char": "character", "bpe": "piece"}


class Translation(LanguageTask):
    """``translation/NAME[,unit=…]`` or ``translation:FILE[?unit=…][&min-count=N][&pieces=N]``."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "run of consecutive pairs"
    line_ends: ClassVar[tuple[str, ...]] = (END,)
    every_token: ClassVar[bool] = False

    def __init__(
        self,
        given: str,
        *,
        name: str = "",
        pattern: str | None = None,
        tokens: Unit = "word",
        min_count: int = MIN_COUNT,
        pieces: int = PIECES,
        cuts: Cuts = WHOLE,
    ) -> None:
        """Take the text; data are read when they are first needed.

        Args:
            given: what follows the family in the id, without cuts.
            name: of a published text.
            pattern: the user's files; None for a published text.
            tokens: what the sides consist of.
            min_count: the smallest count of a word of the vocabulary.
            pieces: how many pieces a byte-pair encoding has.
            cuts: what of the test pairs is in view.
        """
        self._whole_id = f"translation{'/' if pattern is None else ':'}{given}"
        self.id, self.cuts = with_parameters(self._whole_id, cuts.options), cuts
        self.name, self.pattern = name, pattern
        self.tokens, self.min_count, self.pieces = tokens, min_count, pieces
        self.loss = CrossEntropy(
            score="perplexity" if tokens == "word" else "loss", unit=f"nats per {UNITS[tokens]}"
        )
        self.longest_context = min(LONGEST[tokens], cuts.longest or LONGEST[tokens])

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Translation":
        """Return the task of an id, with a published text's name or the user's text.

        Raises:
            InputError: no file is named, or an option is unknown or out of range.
        """
        if "variant" in parameters:
            options = {key: value for key, value in parameters.items() if key != "variant"}
            given = ",".join([parameters["variant"], *_without_cuts(options)])
            return cls(given, name=parameters["variant"], **_options(options))
        text = parameters.get("text", "")
        pattern, written = split_options(text)
        if not pattern:
            raise InputError("no file is named; write translation:FILE.tsv")
        options = read_parameters(written, "&", EXAMPLE)
        kept = "&".join(_without_cuts(options))
        return cls(f"{pattern}?{kept}" if kept else pattern, pattern=pattern, **_options(options))

    @cached_property
    def trained_on(self) -> Task:
        """The task whose test pairs are in view as a whole, unless training cuts them too."""
        return self if self.cuts == WHOLE or self.cuts.trained else load_task(self._whole_id)

    @property
    def user_file(self) -> str | None:
        """The user's file or files; None for a published text."""
        return self.pattern

    @cached_property
    def inputs(self) -> InputSpec:  # type: ignore[override]
        """Ids of both sides, and the separator."""
        return Tokens(self.outputs, self.words.index(SEPARATOR))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary of both sides: id -> word, character or piece.

        Raises:
            InputError: a file is missing or damaged, or a line is not a pair.
        """
        return unpack_words(self._arrays["words"])

    @cached_property
    def _arrays(self) -> Arrays:
        if self.pattern is None:
            found = PARALLEL_TEXTS[self.name].find()
            files = tuple(path for paths in found.values() for path in paths)
        else:
            files = pair_files(self.pattern)
        settings = f"{self.tokens} {self.min_count} {self.pieces}"
        key = cache_key(["translation", settings, *map(file_digest, files)])
        return cached_arrays("translation", key, lambda: self._encode(files))

    def _encode(self, files: tuple[Path, ...]) -> Arrays:
        """Number the tokens of all pairs; map those that are rare in training to <unk>."""
        parts: Mapping[str, Sequence[Pair]]
        if self.pattern is None:
            text = PARALLEL_TEXTS[self.name]
            parts = {name: list(text.pairs(name)) for name in ("train", "valid", "test")}
        else:
            parts = _cut(self.pattern, list(read_pairs(files)))
        tokenize: Tokenizer = list if self.tokens == "char" else WORD.findall
        if self.tokens == "bpe":
            learned = [side for pair in parts["train"] for side in (pair.source, pair.target)]
            tokenize = learn_pieces(learned, self.pieces)
        growing = GrowingIndex()
        streams = {name: _number(pairs, tokenize, growing) for name, pairs in parts.items()}
        ids = np.concatenate(list(streams.values()))
        words = build_vocabulary(
            growing,
            ids,
            counted=len(streams["train"]),
            minimum=self.min_count,
            unknown=True,
            always=(SEPARATOR, END),
        )
        bounds = np.cumsum([len(stream) for stream in streams.values()])[:-1]
        encoded = dict(zip(streams, np.split(ids, bounds), strict=True))
        return {f"ids.{name}": part for name, part in encoded.items()} | {
            "words": pack_words(words)
        }

    @cache  # noqa: B019 - a task lives as long as the run
    def _split(self, name: str) -> Split:
        separator, end = self.words.index(SEPARATOR), self.words.index(END)
        return _as_split(self._arrays[f"ids.{name}"], separator, end)

    def train(self, seed: int, epoch: int) -> Split:
        """Return what is in view of the training pairs, the same for every seed and epoch."""
        return self._in_view("train")

    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return what is in view of the validation pairs or of the test pairs."""
        return self._in_view(name)

    @cache  # noqa: B019 - a task lives as long as the run
    def _in_view(self, name: str) -> Split:
        split = self._split(name)
        if self.cuts == WHOLE or (name != "test" and not self.cuts.trained):
            return split
        return cut_split(split, self.words.index(SEPARATOR), self.cuts)

    @cache  # noqa: B019 - a task lives as long as the run
    def strata(self) -> tuple[Strata, ...]:
        """Return targets also by how many target words are before them.

        The separator is in view where k is larger than that number.
        """
        split = self._split("test")
        inputs, positions = split.inputs.numpy(), split.positions.numpy()
        separators = np.flatnonzero(inputs == self.words.index(SEPARATOR))
        before = positions - separators[np.searchsorted(separators, positions, side="right") - 1]
        labels = ["0–3", *(f"{a}–{2 * a - 1}" for a in BEFORE[:-1]), f"{BEFORE[-1]} or more"]
        what = f"target {UNITS[self.tokens]}s before"
        meaning = f"how many {UNITS[self.tokens]}s of the translation are before the target"
        of = np.searchsorted(BEFORE, before, side="right")
        return super().strata() + kinds_of_target(what, meaning, labels, of)

    def counted_ids(self) -> Ids:
        """Return the targets of the training pairs."""
        counted: Ids = self._split("train").targets.numpy()
        return counted


def _options(written: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of an id as arguments of `Translation`.

    Raises:
        InputError: one is unknown or out of range.
    """
    read = {"unit": "word", **written}
    unit = read["unit"]
    if unit not in get_args(Unit):
        raise InputError(f"unit={unit}: the unit is word, char or bpe, as in {EXAMPLE}")
    read.setdefault("min-count", str(MIN_COUNT if unit == "word" else 1))
    sizes = ("pieces",) if unit == "bpe" else ()
    check_names(read, ("unit", "min-count"), EXAMPLE, optional=(*sizes, *CUT))
    return {
        "tokens": unit,
        "min_count": integer("min-count", read["min-count"], 1, 10**6),
        "pieces": integer("pieces", read.get("pieces", str(PIECES)), 300, 100_000),
        "cuts": Cuts.parse(read),
    }


def _without_cuts(options: Mapping[str, str]) -> list[str]:
    """Return the options of an id as they are written, without those of cuts."""
    return [f"{name}={value}" for name, value in options.items() if name not in CUT]


def _cut(pattern: str, pairs: Sequence[Pair]) -> dict[str, Sequence[Pair]]:
    """Return the user's pairs by split.

    Raises:
        InputError: they are too few, or one stands in two splits.
    """
    if len(pairs) < SHORTEST:
        raise InputError(
            f"{pattern}: too short to split, {len(pairs):,} pairs; a parallel text has at least "
            f"{SHORTEST}"
        )
    cuts = [0, len(pairs) * 90 // 100, len(pairs) * 95 // 100, len(pairs)]
    parts = {
        name: pairs[begin:end]
        for name, begin, end in zip(("train", "valid", "test"), cuts, cuts[1:], strict=False)
    }
    seen: dict[tuple[str, str], tuple[str, Pair]] = {}
    for name, part in parts.items():
        for pair in part:
            sides = " ".join(pair.source.split()), " ".join(pair.target.split())
            split, first = seen.setdefault(sides, (name, pair))
            if split != name:
                raise InputError(
                    f"{pair.where}: the pair of the {name} split is also in the {split} split "
                    f"({first.where}); keep each pair once"
                )
    return parts


def _number(pairs: Iterable[Pair], tokenize: Tokenizer, index: GrowingIndex) -> Ids:
    """Return the numbers of all tokens: of each pair source, <sep>, target, </s>."""
    numbers = array("i")
    separator, end = index[SEPARATOR], index[END]
    for pair in pairs:
        numbers.extend(map(index.__getitem__, tokenize(pair.source)))
        numbers.append(separator)
        numbers.extend(map(index.__getitem__, tokenize(pair.target)))
        numbers.append(end)
    return as_ids(numbers)


def _as_split(ids: Ids, separator: int, end: int) -> Split:
    """Return pairs as a split: an input at every token but </s>, a target from <sep> on."""
    ends = np.flatnonzero(ids == end)
    lengths = np.diff(ends, prepend=-1)  # of the pairs, with </s>
    pair = np.repeat(np.arange(len(ends)), lengths)
    separators = np.flatnonzero(ids == separator)
    at = np.flatnonzero((np.arange(len(ids)) >= separators[pair]) & (ids != end))
    return Split(
        inputs=torch.from_numpy(ids[ids != end]),
        starts=torch.from_numpy(np.concatenate([[0], np.cumsum(lengths - 1)])),
        positions=torch.from_numpy(at - pair[at]),  # one </s> fewer for each pair before it
        targets=torch.from_numpy(ids[at + 1]),
        blocks=torch.from_numpy(_runs(pair[at], len(ends))),
    )


def _runs(pair: npt.NDArray[np.int64], pairs: int) -> npt.NDArray[np.int64]:
    """Return the run of consecutive pairs that each target is in."""
    runs = min(max(len(pair) // RUN, RUNS[0]), RUNS[1], pairs)
    return pair * runs // pairs
