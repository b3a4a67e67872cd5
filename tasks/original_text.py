"""The test split as its files write it, without the ``<unk>`` that stands for rare words.

A task replaces words that are not in its vocabulary. A model with a tokenizer of its own can read
and predict them, and should not be given five characters in their place. Where a corpus is
published with ``<unk>``, as WikiText is, that is its text.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seqmem.errors import InputError
from seqmem.tasks.billion_word import BillionWord
from seqmem.tasks.data.dataset_rows import file_rows, hub_rows
from seqmem.tasks.data.lm1b import find_shards, shard_lines
from seqmem.tasks.data.vocabulary import UNKNOWN, GrowingIndex, Ids
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.text import Text
from seqmem.tasks.wikitext import WikiText103

__all__ = ["OriginalText", "original_text"]


@dataclass(frozen=True)
class OriginalText:
    """A test split with all its words.

    Attributes:
        words: number -> word: those of the task's vocabulary, then the others.
        inputs: (N,) the numbers of the inputs.
        targets: (n,) the numbers of the targets.
    """

    words: tuple[str, ...]
    inputs: Ids
    targets: Ids

    def share_of(self, word: str) -> float:
        """Return the share of targets that are this word."""
        return float(np.mean([self.words[i] == word for i in self.targets.tolist()]))


def original_text(task: LanguageTask) -> OriginalText:
    """Return the words of a task's test split; ``<unk>`` only where the files contain it.

    Raises:
        InputError: the files cannot be read, or have changed since they were encoded.
    """
    split, vocabulary = task.split("test"), task.words
    inputs, targets = split.inputs.numpy(), split.targets.numpy()
    written = _written(task)
    if written is None or UNKNOWN not in vocabulary:
        return OriginalText(vocabulary, inputs, targets)
    # A stream begins with an input that is no target.
    whole = np.concatenate([inputs[:1], targets]) if task.stream else targets
    numbers = GrowingIndex(vocabulary)
    found = np.fromiter(map(numbers.__getitem__, written), np.int32)
    unknown = vocabulary.index(UNKNOWN)
    if not np.array_equal(np.where(found < len(vocabulary), found, unknown), whole):
        raise InputError(f"{task.id}: its files have changed since they were encoded; run it again")
    if task.stream:
        return OriginalText(tuple(numbers), found[:-1], found[1:])
    own = np.roll(found, 1)
    own[split.starts[:-1].numpy()] = inputs[split.starts[:-1].numpy()]
    return OriginalText(tuple(numbers), own, found)


def _written(task: LanguageTask) -> Iterable[str] | None:
    """Return the words of the test split, or None where the task replaces none."""
    if isinstance(task, Text):
        # The last part of the text, whose length the split knows.
        return deque(_words(task.lines(), "<eos>"), maxlen=len(task.split("test")) + 1)
    if isinstance(task, WikiText103) and task.vocabulary != "train":
        source = task.source
        if source.folder is None:
            lines = hub_rows(source.name, source.hub, ["test"])[0]["test"]()
        else:
            lines = file_rows(source.find(source.folder, ["test"])["test"])
        return _words(lines, "<eos>")
    if isinstance(task, BillionWord):
        shards = find_shards(task.slice.splits["test"])
        return (
            w for shard, path in shards.items() for w in _words(shard_lines(shard, path), "</s>")
        )
    return None


def _words(lines: Iterable[str], end: str) -> Iterator[str]:
    for line in lines:
        yield from line.split()
        yield end
