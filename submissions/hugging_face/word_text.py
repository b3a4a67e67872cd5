"""A split's text as tokens of a model: what is read of a passage, and how long that is.

How words become tokens: `seqmem.submissions.hugging_face.word_pieces`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import NotApplicableError
from seqmem.measuring.arrays import Indices
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.submissions.hugging_face.word_pieces import LINE_FEED, WordPieces, ranges, word_pieces
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.original_text import OriginalText, original_text
from seqmem.tasks.task import Split, Task

__all__ = ["Passages", "WordText", "language_task", "text_of", "word_text"]


def language_task(task: Task) -> LanguageTask:
    """Return the task if a model with a tokenizer can be measured on it.

    Raises:
        NotApplicableError: it is not a task of words.
    """
    if not isinstance(task, LanguageTask) or not task.every_token:
        raise NotApplicableError(
            f"{task.id} is not a text: a model with a tokenizer is measured on wikitext-2, "
            "wikitext-103, billion-word/… or text:FILE"
        )
    if task.unit != "word":
        raise NotApplicableError(
            f"{task.id}: its targets are characters, which a model with a tokenizer does not "
            "predict one by one; leave out ?unit=char"
        )
    return task


def text_of(words: Sequence[str], line_ends: Sequence[str]) -> str:
    """Return words as text, written as in `word_pieces`."""
    written, line_start = [], False
    for word in words:
        ends = word in line_ends
        written.append(LINE_FEED if ends else word if line_start else " " + word)
        line_start = ends
    return "".join(written)


@dataclass(frozen=True)
class Passages:
    """Texts to read: consecutive words, and the beginning of the word after them.

    Attributes:
        begin: (R,) the first input.
        end: (R,) the last input.
        target: (R,) the form of the next word, whose first tokens are read as well.
    """

    begin: Indices
    end: Indices
    target: Indices

    def take(self, rows: Indices) -> "Passages":
        """Return some of the passages."""
        return Passages(self.begin[rows], self.end[rows], self.target[rows])


@dataclass(frozen=True)
class WordText:
    """A split with a target for every input, and the tokens of its words.

    Attributes:
        split: the split.
        original: its words.
        pieces: the tokens of each word.
        bos_tokens: the tokens at the beginning of every text that is read.
    """

    split: Split
    original: OriginalText
    pieces: WordPieces
    bos_tokens: tuple[int, ...]

    @cached_property
    def words(self) -> Indices:
        """The input words (N,); each is also the number of its form with a space."""
        words: Indices = self.original.inputs.astype(np.int64)
        return words

    @cached_property
    def forms(self) -> Indices:
        """The form of each input (N,) if its sequence is read from the start."""
        before = np.concatenate([[-1], self.words[:-1]])
        before[self.split.starts[:-1].numpy()] = -1
        return self.pieces.form(self.words, before)

    @cached_property
    def targets(self) -> Indices:
        """The form of each target (N,)."""
        return self.pieces.form(self.original.targets.astype(np.int64), self.words)

    @cached_property
    def before(self) -> Indices:
        """The number of tokens before each input (N + 1,), with whole sequences read."""
        return np.concatenate([[0], np.cumsum(self.pieces.sizes[self.forms])])

    def size(self, begin: Indices, end: Indices) -> Indices:
        """Return the number of tokens of the words begin … end, bos_tokens included."""
        first = self.pieces.sizes[self.words[begin]]
        found: Indices = (
            len(self.bos_tokens) + first + self.before[end + 1] - self.before[begin + 1]
        )
        return found

    def width(self, passages: Passages) -> Indices:
        """Return the number of tokens that a model reads of each passage (R,)."""
        size = self.size(passages.begin, passages.end)
        return size + self.pieces.reads[passages.target]

    def width_of(self, begin: int, end: int) -> int:
        """Return that number for one passage, whose last word is the input `end`."""
        at = np.array([end])
        return int(self.width(Passages(np.array([begin]), at, self.targets[at]))[0])

    def longest_window(self, k: int) -> int:
        """Return that number for the longest window of up to k words."""
        end = np.arange(len(self.words))
        begin = end - np.minimum(self.split.available.numpy(), k) + 1
        return int(self.width(Passages(begin, end, self.targets)).max())

    def tokens(self, passages: Passages) -> Tensor:
        """Return the tokens that are read of passages of equal width: (R, width) int64."""
        counts = passages.end - passages.begin + 2  # the words, and the target
        bounds = np.cumsum(counts)
        forms = np.empty(int(bounds[-1]), np.int64)
        inside = np.ones(len(forms), bool)
        inside[bounds - 1] = False
        forms[inside] = self.forms[ranges(passages.begin, counts - 1)]
        forms[bounds - counts] = self.words[passages.begin]  # with the space before it
        forms[bounds - 1] = passages.target
        sizes = self.pieces.sizes[forms]
        sizes[bounds - 1] = self.pieces.reads[passages.target]
        words = ranges(self.pieces.tokens.begins[forms], sizes)
        tokens = torch.from_numpy(self.pieces.tokens.tokens[words]).view(len(counts), -1)
        own = torch.tensor(self.bos_tokens, dtype=torch.int64).expand(len(counts), -1)
        return torch.cat([own, tokens], 1)


def word_text(task: LanguageTask, model: TokenModel, split: Split | None = None) -> WordText:
    """Return a split as tokens of a model.

    Args:
        task: the task.
        model: the model, whose tokenizer encodes the words.
        split: another split than the test split; its rare words are ``<unk>``, as in the task.

    Raises:
        InputError: the tokenizer drops a word, or returns tokens that the model does not have.
    """
    if split is None:
        split, original = task.split("test"), original_text(task)
    else:
        original = OriginalText(task.words, split.inputs.numpy(), split.targets.numpy())
    pieces = word_pieces(original.words, task.line_ends, model.encode)
    return WordText(split, original, pieces, model.bos_tokens)
