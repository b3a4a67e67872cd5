"""A split's words as tokens: the number of tokens of windows, and the tokens themselves."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.submissions.hugging_face.word_pieces import WordPieces, ranges
from seqmem.tasks.task import Split

__all__ = ["Passages", "WordText"]


@dataclass(frozen=True)
class Passages:
    """Texts to read: consecutive words, and the beginning of the word after them.

    Attributes:
        begin: (R,) the first input.
        end: (R,) the last input.
        target: (R,) the form of the next word, whose tokens but the last are read as well.
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
        pieces: the tokens of each word.
        bos_tokens: the tokens at the beginning of every text that is read.
    """

    split: Split
    pieces: WordPieces
    bos_tokens: tuple[int, ...]

    @cached_property
    def words(self) -> Indices:
        """The input words (N,); each is also the number of its form with a space."""
        words: Indices = self.split.inputs.numpy().astype(np.int64)
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
        return self.pieces.form(self.split.targets.numpy().astype(np.int64), self.words)

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
        return size + self.pieces.sizes[passages.target] - 1

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
        """Return the tokens that are read of passages: (R, L) int64, padded with zeros."""
        counts = passages.end - passages.begin + 2  # the words, and the target
        bounds = np.cumsum(counts)
        forms = np.empty(int(bounds[-1]), np.int64)
        inside = np.ones(len(forms), bool)
        inside[bounds - 1] = False
        forms[inside] = self.forms[ranges(passages.begin, counts - 1)]
        forms[bounds - counts] = self.words[passages.begin]  # with the space before it
        forms[bounds - 1] = passages.target
        rows, own = len(counts), len(self.bos_tokens)
        width = torch.from_numpy(self.width(passages))
        sizes = width.numpy() - own + 1
        tokens = torch.zeros(rows, int(width.max()) + 1, dtype=torch.int64)
        tokens[:, :own] = torch.tensor(self.bos_tokens, dtype=torch.int64)
        row = torch.from_numpy(np.repeat(np.arange(rows), sizes))
        column = torch.from_numpy(own + ranges(np.zeros(rows, np.int64), sizes))
        tokens[row, column] = torch.from_numpy(self.pieces.tokens_of(forms))
        tokens[torch.arange(rows), width] = 0  # the target's last token is not read
        return tokens[:, :-1]
