"""A task's words as text, and this text as tokens of a model with a tokenizer of its own.

Context lengths are counted in words of the task, and targets are words, whatever a model reads. So
that a window of k words means the same wherever it is cut, every word has its own tokens, which
depend on no neighbouring word except the end of a line:

* A word is written with one space before it; directly after the end of a line, without. The first
  word of a window has the space: whether a line began there is not in the window.
* The end of a line (``<eos>``), and both ends of a sentence (``<s>``, ``</s>``), are a line feed.
* All other words are written as they are in the task: ``<unk>`` and ``@-@`` are ordinary text. No
  text becomes a special token of the model.
* Each such piece of text is encoded on its own, as in the middle of a text, and the tokens are
  concatenated: no token crosses the boundary of a word. The tokenizer might have merged some pieces
  (two line feeds); how much that changes the loss is measured by `encoding_cost`.

The loss of a word is the sum of the losses of its tokens. If the tokenizer has the same tokens for
several words (one token for all unknown words, or it drops accents), the model predicts all of them
together; the probability is split evenly, which adds the logarithm of their number to the loss. The
end of a word is predicted by the first token of the next word, which contains the space: a sum over
a text is the text's code length, but the loss of a single word may be too small (Pimentel & Meister
2024, arXiv 2406.14561).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.errors import InputError, NotApplicableError
from seqmem.measuring.arrays import Floats, Indices
from seqmem.submissions.hugging_face.token_model import PADDING
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.task import Split, Task

__all__ = [
    "WITHIN",
    "Passages",
    "WordPieces",
    "WordText",
    "encoded",
    "language_task",
    "ranges",
    "text_of",
    "word_pieces",
]

Encode = Callable[[Sequence[str]], list[list[int]]]  # texts -> tokens, without special tokens

LINE_FEED = "\n"
# The text before a word while it is encoded, so that it is in the middle of a text: some tokenizers
# put a space before every text, which would be a second one.
WITHIN, AT_LINE_START = "a", "a\n"


@dataclass(frozen=True)
class WordPieces:
    """The tokens of every word in its two forms.

    Forms are numbered: word w with a space is form w, at the start of a line it is form V + w.

    Attributes:
        tokens: (T,) the tokens of all forms, concatenated.
        begins: (2V,) where the tokens of each form begin.
        sizes: (2V,) the number of tokens of each form, at least one.
        prefixes: (2V,) an id of all tokens but the last, equal for equal tokens.
        utf8: (2V,) the number of bytes of each form's text.
        log_ambiguity: (2V,) the logarithm of the number of words with these tokens, in nats.
        ends_line: (V,) whether a word is the end of a line.
    """

    tokens: Indices
    begins: Indices
    sizes: Indices
    prefixes: Indices
    utf8: Indices
    log_ambiguity: Floats
    ends_line: npt.NDArray[np.bool_]

    def form(self, words: Indices, before: Indices) -> Indices:
        """Return the forms of words (n,) after other words (n,), −1 for the start of a window."""
        after_line = (before >= 0) & self.ends_line[before]
        return words + len(self.ends_line) * after_line

    def tokens_of(self, forms: Indices) -> Indices:
        """Return the tokens of forms (n,), concatenated."""
        return self.tokens[ranges(self.begins[forms], self.sizes[forms])]


def ranges(begins: Indices, counts: Indices) -> Indices:
    """Return begins[i], begins[i] + 1, …, counts[i] numbers for each i, concatenated."""
    before = np.cumsum(counts) - counts
    return np.repeat(begins - before, counts) + np.arange(int(counts.sum()))


def language_task(task: Task) -> LanguageTask:
    """Return the task if a model with a tokenizer can be measured on it.

    Raises:
        NotApplicableError: it is not a task of words.
    """
    if not isinstance(task, LanguageTask):
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


def text_of(task: LanguageTask, words: Indices) -> str:
    """Return words (n,) as text, written as described above."""
    written, line_start = [], False
    for word in words.tolist():
        text = task.words[word]
        ends = text in task.line_ends
        written.append(LINE_FEED if ends else text if line_start else " " + text)
        line_start = ends
    return "".join(written)


def word_pieces(task: LanguageTask, encode: Encode) -> WordPieces:
    """Return the tokens of every word of a task's vocabulary.

    Raises:
        InputError: the tokenizer returns no token for some word.
    """
    ends_line = np.array([word in task.line_ends for word in task.words])
    spaced = [LINE_FEED if word in task.line_ends else " " + word for word in task.words]
    bare = [LINE_FEED if word in task.line_ends else word for word in task.words]
    at_line_start = encoded(bare, AT_LINE_START, encode)
    both = encoded(spaced, WITHIN, encode)
    both += [
        both[i] if ends else tokens
        for i, (tokens, ends) in enumerate(zip(at_line_start, ends_line, strict=True))
    ]
    texts = [*spaced, *bare]
    for text, tokens in zip(texts, both, strict=True):
        if not tokens:
            raise InputError(
                f"the model's tokenizer returns no token for {text[:40]!r}, a word of "
                f"{task.id}; use one that drops no text"
            )
    sizes = np.array([len(tokens) for tokens in both], np.int64)
    ambiguity = [
        _ambiguity(half, form)
        for half, form in ((both[: len(bare)], spaced), (both[len(bare) :], bare))
    ]
    prefixes: dict[tuple[int, ...], int] = {}
    return WordPieces(
        tokens=np.array([token for tokens in both for token in tokens], np.int64),
        begins=np.cumsum(sizes) - sizes,
        sizes=sizes,
        prefixes=np.array(
            [prefixes.setdefault(tuple(t[:-1]), len(prefixes)) for t in both], np.int64
        ),
        utf8=np.array([len(text.encode()) for text in texts], np.int64),
        log_ambiguity=np.log(np.concatenate(ambiguity)),
        ends_line=ends_line,
    )


def encoded(texts: Sequence[str], before: str, encode: Encode) -> list[list[int]]:
    """Return the tokens of texts after another text; alone if that changes the other's tokens.

    Args:
        texts: the texts to encode.
        before: the text before each of them.
        encode: the tokenizer.
    """
    (start,) = encode([before])
    found = encode([before + text for text in texts])
    joined = [i for i, tokens in enumerate(found) if tokens[: len(start)] != start]
    found = [tokens[len(start) :] for tokens in found]
    for i, tokens in zip(joined, encode([texts[i] for i in joined]) if joined else [], strict=True):
        found[i] = tokens
    return found


def _ambiguity(tokens: Sequence[Sequence[int]], texts: Sequence[str]) -> Indices:
    """Return the number of different texts that have the same tokens as each text."""
    having: dict[tuple[int, ...], set[str]] = {}
    for own, text in zip(tokens, texts, strict=True):
        having.setdefault(tuple(own), set()).add(text)
    return np.array([len(having[tuple(own)]) for own in tokens], np.int64)


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
        """Return the tokens that are read of passages: (R, L) int64, PADDING after shorter rows."""
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
        tokens = torch.full((rows, int(width.max()) + 1), PADDING, dtype=torch.int64)
        tokens[:, :own] = torch.tensor(self.bos_tokens, dtype=torch.int64)
        row = torch.from_numpy(np.repeat(np.arange(rows), sizes))
        column = torch.from_numpy(own + ranges(np.zeros(rows, np.int64), sizes))
        tokens[row, column] = torch.from_numpy(self.pieces.tokens_of(forms))
        tokens[torch.arange(rows), width] = PADDING  # the target's last token is not read
        return tokens[:, :-1]
