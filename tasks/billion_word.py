"""One Billion Word: predict the next word of a news sentence, from that sentence alone.

Chelba et al. 2013 (arXiv 1312.3005). Sentences are shuffled, so context never extends across them:
each sentence w_1 … w_n is a sequence of its own with inputs ``<s>`` w_1 … w_n and targets
w_1 … w_n ``</s>``. The first word is predicted from ``<s>``; the sentence's end is scored, ``<s>``
never is. Loss: cross-entropy, reported as perplexity per word, where ends of sentences count as
words (as in the benchmark: its test set, held-out shard 0, has 159,658). Intervals treat sentences
as the independent units.

The full benchmark is 0.8 billion words; a task here is a *slice* of it: some shards to train on,
some to validate, some to test. ``billion-word/heldout-10-13`` trains on held-out shards 10, 11 and
12, validates on 13 and tests on 0. Other slices are defined in the id:
``billion-word/train=heldout:10+11+12,valid=heldout:13,test=heldout:0,min-count=3`` is the same one,
``train=train:1+2`` uses training shards; ``+`` joins shards, and a part applies until the next one.

The vocabulary is that of the training slice: words seen at least ``min-count`` times (3 unless the
id says otherwise), ``<unk>`` for all others, ``</s>`` and ``<s>``. Published perplexities are for
the full training set and its 793,471 words and are not comparable. Chance: word frequencies of the
training slice, ``<unk>`` included.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch

from seqmem.errors import InputError
from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays, pack_words, unpack_words
from seqmem.tasks.data.lm1b import (
    HELD_OUT_10_TO_13,
    SHARDS,
    Shard,
    find_shards,
    official_md5,
    shard_lines,
)
from seqmem.tasks.data.text_files import file_digest
from seqmem.tasks.data.vocabulary import (
    GrowingIndex,
    Ids,
    IndexWithUnknown,
    as_ids,
    build_vocabulary,
)
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, integer
from seqmem.tasks.task import Split

__all__ = ["SLICES", "BillionWord", "Slice"]

BEGIN, END = "<s>", "</s>"
MIN_COUNT = 3


@dataclass(frozen=True)
class Slice:
    """The shards of each split, and the smallest count of a word.

    Attributes:
        splits: "train", "valid", "test" -> shards; those to train on also define the vocabulary.
        min_count: the smallest count, in training, of a word of the vocabulary.
    """

    splits: Mapping[str, tuple[Shard, ...]]
    min_count: int = MIN_COUNT

    def __str__(self) -> str:
        """Return the slice as the parameters of an id."""
        shards = [f"{name}={_write(part)}" for name, part in self.splits.items()]
        return ",".join([*shards, f"min-count={self.min_count}"])


# The slices that have names.
SLICES: Mapping[str, Slice] = {
    "heldout-10-13": Slice(
        {
            "train": HELD_OUT_10_TO_13[:3],
            "valid": HELD_OUT_10_TO_13[3:],
            "test": (Shard("heldout", 0),),
        }
    )
}


class BillionWord(LanguageTask):
    """``billion-word/NAME`` or ``billion-word/train=…,valid=…,test=…[,min-count=…]``."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "sentence"
    line_ends: ClassVar[tuple[str, ...]] = (BEGIN, END)

    def __init__(self, chosen: Slice, name: str = "") -> None:
        """Take a slice, and its name if it has one; data are read when they are first needed."""
        self.id = f"billion-word/{name or chosen}"
        self.slice = chosen
        self.loss = CrossEntropy(score="perplexity", unit="nats per word")
        # One target in eighty is later in its sentence. On this benchmark an LSTM with about
        # 13 words of context matches one that reads the sentence (Chelba et al. 2017, arXiv
        # 1703.10724).
        self.longest_context = 64

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "BillionWord":
        """Return the task of an id's parameters.

        Raises:
            InputError: one is missing or unknown, a shard does not exist or is in two splits.
        """
        if "variant" in parameters:
            check_names(parameters, ("variant",), "billion-word/heldout-10-13")
            return cls(SLICES[parameters["variant"]], parameters["variant"])
        given = {"min-count": str(MIN_COUNT), **parameters}
        example = f"billion-word/{SLICES['heldout-10-13']}"
        check_names(given, ("train", "valid", "test", "min-count"), example)
        splits = {name: _read(name, given[name]) for name in ("train", "valid", "test")}
        chosen = Slice(splits, integer("min-count", given["min-count"], 1, 10**6))
        seen: dict[Shard, str] = {}
        for name, shards in splits.items():
            for shard in shards:
                if shard in seen:
                    raise InputError(
                        f"shard {shard.part}:{shard.number} is in {seen[shard]} and in {name}; "
                        "each shard belongs to one split, once"
                    )
                seen[shard] = name
        return cls(chosen)

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The vocabulary: id -> word.

        Raises:
            InputError: a shard is missing, damaged or altered.
        """
        return unpack_words(self._arrays["words"])

    @cached_property
    def _arrays(self) -> Arrays:
        files = {name: find_shards(shards) for name, shards in self.slice.splits.items()}
        shards = [item for part in files.values() for item in part.items()]
        # The checksums as well: a shard accepted without one is checked again when there is one.
        checks = [official_md5(shard, path) or "" for shard, path in shards]
        digests = [file_digest(path) for _, path in shards]
        key = cache_key(["billion-word", str(self.slice), *checks, *digests])
        return cached_arrays("billion-word", key, lambda: _encode(files, self.slice.min_count))

    @cache  # noqa: B019 - a task lives as long as the run
    def _split(self, name: str) -> Split:
        targets = torch.from_numpy(self._arrays[f"ids.{name}"])  # </s> after each sentence
        starts = torch.from_numpy(self._arrays[f"starts.{name}"])
        # Inputs are the targets one step later; <s> precedes a sentence's first word.
        inputs = targets.roll(1)
        inputs[starts[:-1]] = self.words.index(BEGIN)
        return Split(
            inputs=inputs,
            starts=starts,
            positions=torch.arange(len(targets)),
            targets=targets,
            blocks=torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff()),
        )

    def train(self, seed: int, epoch: int) -> Split:
        """Return the training sentences, the same for every seed and epoch."""
        return self._split("train")

    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the validation or test sentences."""
        return self._split(name)

    def counted_ids(self) -> Ids:
        """Return the training slice."""
        return self._arrays["ids.train"]


def _encode(files: Mapping[str, Mapping[Shard, Path]], min_count: int) -> Arrays:
    """Read all shards, compare their checksums, number their words."""
    growing = GrowingIndex()
    train = _number(files["train"], growing)
    words = build_vocabulary(growing, train, minimum=min_count, unknown=True, always=(BEGIN, END))
    index = IndexWithUnknown(words)
    ids = {"train": train}
    ids |= {name: _number(files[name], index) for name in ("valid", "test")}
    starts = {
        f"starts.{name}": np.concatenate([[0], np.flatnonzero(part == index[END]) + 1])
        for name, part in ids.items()
    }
    return (
        {f"ids.{name}": part for name, part in ids.items()} | starts | {"words": pack_words(words)}
    )


def _number(shards: Mapping[Shard, Path], index: dict[str, int]) -> Ids:
    ids = array("i")
    number, end = index.__getitem__, index[END]
    for shard, path in shards.items():
        for at, line in enumerate(shard_lines(shard, path), 1):
            words = line.split()
            if END in words or BEGIN in words:
                raise InputError(
                    f"{path}, line {at}: contains {END} or {BEGIN}, which the task adds around "
                    "each sentence; use the benchmark's shards, which contain neither"
                )
            ids.extend(map(number, words))
            ids.append(end)
    return as_ids(ids)


def _read(name: str, text: str) -> tuple[Shard, ...]:
    """Return the shards of ``heldout:10+11+train:3``."""
    part, shards = "", []
    for item in text.split("+"):
        named, colon, number = item.rpartition(":")
        if colon:
            if named not in SHARDS:
                raise InputError(
                    f"{name}={text}: there are no shards '{named}'; write heldout:NUMBER or "
                    "train:NUMBER, more of them with +, as in heldout:10+11"
                )
            part = named
        if not part:
            raise InputError(
                f"{name}={text}: the part is missing; write heldout:{text} or train:{text}"
            )
        shards.append(Shard(part, integer(f"{name}={part}", number, *SHARDS[part])))
    return tuple(sorted(shards))


def _write(shards: Iterable[Shard]) -> str:
    """Return the text that `_read` reads, shards in order."""
    texts, part = [], ""
    for shard in shards:
        texts.append(f"{shard.number}" if shard.part == part else f"{shard.part}:{shard.number}")
        part = shard.part
    return "+".join(texts)
