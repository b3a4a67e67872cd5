"""A task's words as text, and that text as the tokens of a model that has a tokenizer of its own.

A task's context is counted in its words, and its targets are words, whatever a model reads. So that
a window of k words means the same wherever it is cut, every word has its own tokens, which do not
depend on what stands around it but for line ends:

* A word is written with one space before it; after a line end, and only there, without. The first
  word of a window has the space: whether a line began there is not in the window.
* The end of a line (``<eos>``), and both ends of a sentence (``<s>``, ``</s>``), are a line feed.
* All other words are written as the task has them: ``<unk>`` and ``@-@`` are text like any other.
  No text is taken for a control token of the model's.
* Each such piece of text is encoded on its own, as it would be in the middle of a text, and the
  tokens are put one behind the other: no token reaches across the edge of a word. The tokenizer
  might have joined what the rule keeps apart (two line feeds); what that costs is measured.

The loss of a word is the sum of those of its tokens. Where the tokenizer gives several words the
same tokens (all that it does not know are one token, or it drops accents), it gives a probability
for all of them together; they share it evenly, which adds the logarithm of their number to the
loss. That a word is over is paid for by the word behind it, whose first token has the space: a sum
over a text is the text's code length, but a single word may look cheaper than it is (Pimentel &
Meister 2024, arXiv 2406.14561).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError, NotApplicableError
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.task import Task

__all__ = ["WITHIN", "WordPieces", "encoded", "language_task", "ranges", "text_of", "word_pieces"]

Indices = npt.NDArray[np.int64]
Encode = Callable[[Sequence[str]], list[list[int]]]  # texts -> tokens, none of them put in

LINE_FEED = "\n"
# What stands before a word while it is encoded, so that it is in the middle of a text: some
# tokenizers put a space before every text, which would come twice.
WITHIN, AT_LINE_START = "a", "a\n"


@dataclass(frozen=True)
class WordPieces:
    """The tokens of every word, in its two forms.

    A form is numbered: that of word w with a space is w, that at the start of a line is V + w.

    Attributes:
        tokens: (T,) of all forms, end to end.
        begins: (2V,) where those of each form begin.
        sizes: (2V,) how many each has, at least one.
        heads: (2V,) a number for all tokens but the last, the same where these are the same.
        utf8: (2V,) the bytes of each form's text.
        shared: (2V,) the logarithm of how many words have these tokens, in nats.
        ends_line: (V,) whether a word is the end of a line.
    """

    tokens: Indices
    begins: Indices
    sizes: Indices
    heads: Indices
    utf8: Indices
    shared: npt.NDArray[np.float64]
    ends_line: npt.NDArray[np.bool_]

    def form(self, words: Indices, before: Indices) -> Indices:
        """Give the forms of words (n,) behind other words (n,), −1 for the start of a window."""
        behind_line = (before >= 0) & self.ends_line[before]
        return words + len(self.ends_line) * behind_line

    def spell(self, forms: Indices) -> Indices:
        """Give the tokens of forms (n,), end to end."""
        return self.tokens[ranges(self.begins[forms], self.sizes[forms])]


def ranges(begins: Indices, counts: Indices) -> Indices:
    """Give begins[i], begins[i] + 1, …, counts[i] numbers for each i, end to end."""
    before = np.cumsum(counts) - counts
    return np.repeat(begins - before, counts) + np.arange(int(counts.sum()))


def language_task(task: Task) -> LanguageTask:
    """Give the task if a model with a tokenizer can be measured on it.

    Raises:
        NotApplicableError: it is no text, or its targets are characters.
    """
    if not isinstance(task, LanguageTask):
        raise NotApplicableError(
            f"{task.id} is no text: a model with a tokenizer is measured on wikitext-2, "
            "wikitext-103, billion-word/… or text:FILE"
        )
    if task.unit != "word":
        raise NotApplicableError(
            f"{task.id}: its targets are characters, which a model with a tokenizer does not "
            "predict one by one; leave out ?unit=char"
        )
    return task


def text_of(task: LanguageTask, words: Indices) -> str:
    """Write words (n,) as text, in the way that is described above."""
    written, line_start = [], False
    for word in words.tolist():
        text = task.words[word]
        ends = text in task.line_ends
        written.append(LINE_FEED if ends else text if line_start else " " + text)
        line_start = ends
    return "".join(written)


def word_pieces(task: LanguageTask, encode: Encode) -> WordPieces:
    """Encode every word of a task's vocabulary.

    Raises:
        InputError: the tokenizer gives some word no token.
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
                f"the model's tokenizer gives no token for {text[:40]!r}, a word of {task.id}; "
                "take one that drops no text"
            )
    sizes = np.array([len(tokens) for tokens in both], np.int64)
    alike = [
        _alike(half, form)
        for half, form in ((both[: len(bare)], spaced), (both[len(bare) :], bare))
    ]
    heads: dict[tuple[int, ...], int] = {}
    return WordPieces(
        tokens=np.array([token for tokens in both for token in tokens], np.int64),
        begins=np.cumsum(sizes) - sizes,
        sizes=sizes,
        heads=np.array([heads.setdefault(tuple(t[:-1]), len(heads)) for t in both], np.int64),
        utf8=np.array([len(text.encode()) for text in texts], np.int64),
        shared=np.log(np.concatenate(alike)),
        ends_line=ends_line,
    )


def encoded(texts: Sequence[str], before: str, encode: Encode) -> list[list[int]]:
    """Encode texts as they are behind another one; alone, where that would change the other's end.

    Args:
        texts: what is encoded.
        before: the other one.
        encode: the tokenizer.
    """
    (start,) = encode([before])
    found = encode([before + text for text in texts])
    joined = [i for i, tokens in enumerate(found) if tokens[: len(start)] != start]
    found = [tokens[len(start) :] for tokens in found]
    for i, tokens in zip(joined, encode([texts[i] for i in joined]) if joined else [], strict=True):
        found[i] = tokens
    return found


def _alike(tokens: Sequence[Sequence[int]], texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count the different texts that have the tokens of each."""
    having: dict[tuple[int, ...], set[str]] = {}
    for own, text in zip(tokens, texts, strict=True):
        having.setdefault(tuple(own), set()).add(text)
    return np.array([len(having[tuple(own)]) for own in tokens], np.int64)
