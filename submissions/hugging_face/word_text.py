"""A split's words as tokens: how many a window has, and what they are."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.submissions.hugging_face.word_pieces import WordPieces, ranges
from seqmem.tasks.task import Split

__all__ = ["Passages", "WordText"]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Passages:
    """Texts to read: words that follow each other, and the beginning of the word behind them.

    Attributes:
        begin: (R,) the first input.
        end: (R,) the last input.
        target: (R,) the form of the word behind it, whose tokens but the last are read as well.
    """

    begin: Indices
    end: Indices
    target: Indices

    def take(self, rows: Indices) -> "Passages":
        """Give some of them."""
        return Passages(self.begin[rows], self.end[rows], self.target[rows])


@dataclass(frozen=True)
class WordText:
    """A split with a target for every input, and the tokens of its words.

    Attributes:
        split: of words.
        pieces: the tokens of each word.
        opening: the tokens that stand before everything that is read.
    """

    split: Split
    pieces: WordPieces
    opening: tuple[int, ...]

    @cached_property
    def words(self) -> Indices:
        """(N,) the input words; each is also the number of its form with a space."""
        words: Indices = self.split.inputs.numpy().astype(np.int64)
        return words

    @cached_property
    def forms(self) -> Indices:
        """(N,) the form of each input, its sequence read from the start."""
        before = np.concatenate([[-1], self.words[:-1]])
        before[self.split.starts[:-1].numpy()] = -1
        return self.pieces.form(self.words, before)

    @cached_property
    def targets(self) -> Indices:
        """(N,) the form of each target."""
        return self.pieces.form(self.split.targets.numpy().astype(np.int64), self.words)

    @cached_property
    def before(self) -> Indices:
        """(N + 1,) the tokens before each input, all sequences read from their starts."""
        return np.concatenate([[0], np.cumsum(self.pieces.sizes[self.forms])])

    def size(self, begin: Indices, end: Indices) -> Indices:
        """Count the tokens of the words begin … end, read from there, and of the opening."""
        first = self.pieces.sizes[self.words[begin]]
        found: Indices = len(self.opening) + first + self.before[end + 1] - self.before[begin + 1]
        return found

    def width(self, passages: Passages) -> Indices:
        """Count the tokens that a model reads of passages: (R,)."""
        size = self.size(passages.begin, passages.end)
        return size + self.pieces.sizes[passages.target] - 1

    def width_of(self, begin: int, end: int) -> int:
        """Count those of one passage whose last word is the input `end`, with its target."""
        at = np.array([end])
        return int(self.width(Passages(np.array([begin]), at, self.targets[at]))[0])

    def longest_window(self, k: int) -> int:
        """Count those of the longest window of k words, or fewer at the start of a sequence."""
        end = np.arange(len(self.words))
        begin = end - np.minimum(self.split.available.numpy(), k) + 1
        return int(self.width(Passages(begin, end, self.targets)).max())

    def tokens(self, passages: Passages) -> Tensor:
        """Write out what is read of passages: (R, L) int64, zeros behind the end of short ones."""
        counts = passages.end - passages.begin + 2  # the words, and the target
        bounds = np.cumsum(counts)
        forms = np.empty(int(bounds[-1]), np.int64)
        inside = np.ones(len(forms), bool)
        inside[bounds - 1] = False
        forms[inside] = self.forms[ranges(passages.begin, counts - 1)]
        forms[bounds - counts] = self.words[passages.begin]  # with the space before it
        forms[bounds - 1] = passages.target
        rows, own = len(counts), len(self.opening)
        width = torch.from_numpy(self.width(passages))
        sizes = width.numpy() - own + 1
        tokens = torch.zeros(rows, int(width.max()) + 1, dtype=torch.int64)
        tokens[:, :own] = torch.tensor(self.opening, dtype=torch.int64)
        row = torch.from_numpy(np.repeat(np.arange(rows), sizes))
        column = torch.from_numpy(own + ranges(np.zeros(rows, np.int64), sizes))
        tokens[row, column] = torch.from_numpy(self.pieces.spell(forms))
        tokens[torch.arange(rows), width] = 0  # the target's last token is never read
        return tokens[:, :-1]
