"""Words as tokens: those of every word, and which of them are the beginning of a longer word.

Context lengths are counted in words of the task, and targets are words, whatever a model reads. So
that a window of k words means the same wherever it is cut, every word has its own tokens, which
depend on no neighbouring word except the end of a line:

* A word is written with one space before it; directly after the end of a line, without. The first
  word of a window has the space: whether a line began there is not in the window.
* The end of a line (``<eos>``), and both ends of a sentence (``<s>``, ``</s>``), are a line feed.
* All other words are written as in the text: ``<unk>`` and ``@-@`` are ordinary text if the text
  contains them. No text becomes a special token of the model.
* Each such piece of text is encoded on its own, as in the middle of a text, and the tokens are
  concatenated: no token crosses the boundary of a word. The tokenizer might have merged some pieces
  (two line feeds); how much that changes the loss is measured by `encoding_cost`.

The tokens of one word may be the first tokens of another. What a word then costs, and why the
probabilities of all words sum to at most one: docs/text.md.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.measuring.arrays import Floats, Indices

__all__ = [
    "LINE_FEED",
    "WITHIN",
    "Lists",
    "WordPieces",
    "encoded",
    "ranges",
    "word_pieces",
]

Encode = Callable[[Sequence[str]], list[list[int]]]  # texts -> tokens, without special tokens

LINE_FEED = "\n"
# The text before a word while it is encoded, so that it is in the middle of a text: some tokenizers
# put a space before every text, which would be a second one.
WITHIN, AT_LINE_START = "a", "a\n"


def ranges(begins: Indices, counts: Indices) -> Indices:
    """Return begins[i], begins[i] + 1, …, counts[i] numbers for each i, concatenated."""
    before = np.cumsum(counts) - counts
    return np.repeat(begins - before, counts) + np.arange(int(counts.sum()))


@dataclass(frozen=True)
class Lists:
    """Lists of tokens in one array.

    Attributes:
        tokens: (T,) of all lists.
        begins: (n,) where each list begins.
        sizes: (n,) how long it is.
    """

    tokens: Indices
    begins: Indices
    sizes: Indices

    @staticmethod
    def of(lists: Sequence[Sequence[int]]) -> "Lists":
        """Return lists one after the other."""
        sizes = np.array([len(each) for each in lists], np.int64)
        tokens = np.array([token for each in lists for token in each], np.int64)
        return Lists(tokens, np.cumsum(sizes) - sizes, sizes)

    def take(self, rows: Indices) -> "Lists":
        """Return some of the lists, in the order requested; tokens are not copied."""
        return Lists(self.tokens, self.begins[rows], self.sizes[rows])

    def joined(self, rows: Indices) -> Indices:
        """Return the tokens of some lists, concatenated."""
        return self.tokens[ranges(self.begins[rows], self.sizes[rows])]


@dataclass(frozen=True)
class WordPieces:
    """The tokens of W words, each in two forms.

    Forms are numbered: word w with a space is form w, at the start of a line it is form W + w.

    Attributes:
        tokens: (2W,) the tokens of each form, at least one.
        reads: (2W,) how many of them a model reads when the form is a target: all but the last, or
            all where a longer word begins with them.
        prefixes: (2W,) an id of the tokens that are read, equal for equal tokens.
        longer: (2W,) the tokens that continue a form as a longer word's.
        inner: (2W,) those of `longer` with which no word after this form begins.
        utf8: (2W,) the number of bytes of each form's text.
        log_ambiguity: (2W,) the logarithm of the number of words with these tokens, in nats.
        ends_line: (W,) whether a word is the end of a line.
    """

    tokens: Lists
    reads: Indices
    prefixes: Indices
    longer: Lists
    inner: Lists
    utf8: Indices
    log_ambiguity: Floats
    ends_line: npt.NDArray[np.bool_]

    @property
    def sizes(self) -> Indices:
        """The number of tokens of each form (2W,)."""
        return self.tokens.sizes

    def form(self, words: Indices, before: Indices) -> Indices:
        """Return the forms of words (n,) after other words (n,), −1 for the start of a window."""
        after_line = (before >= 0) & self.ends_line[before]
        return words + len(self.ends_line) * after_line


def word_pieces(words: Sequence[str], line_ends: Sequence[str], encode: Encode) -> WordPieces:
    """Return the tokens of words.

    Args:
        words: the words, all different.
        line_ends: those of them that are the end of a line.
        encode: the tokenizer.

    Raises:
        InputError: the tokenizer returns no token for some word.
    """
    ends_line = np.array([word in line_ends for word in words])
    spaced = [LINE_FEED if ends else " " + w for w, ends in zip(words, ends_line, strict=True)]
    bare = [LINE_FEED if ends else w for w, ends in zip(words, ends_line, strict=True)]
    within = encoded(spaced, WITHIN, encode)
    at_line_start = [
        after_text if ends else after_line
        for after_text, after_line, ends in zip(
            within, encoded(bare, AT_LINE_START, encode), ends_line, strict=True
        )
    ]
    texts = [*spaced, *bare]
    for text, tokens in zip(texts, within + at_line_start, strict=True):
        if not tokens:
            raise InputError(
                f"the model's tokenizer returns no token for {text[:40]!r}, a word of the text; "
                "use one that drops no text"
            )
    trees = [_Tree(within), _Tree(at_line_start)]
    nodes = [np.array(trees[0].ends), np.array(trees[1].ends) + len(trees[0].children)]
    parents = [np.array(trees[0].parents), np.array(trees[1].parents) + len(trees[0].children)]
    node, parent = np.concatenate(nodes), np.concatenate(parents)
    longer = Lists.of(trees[0].children + trees[1].children).take(node)
    alike = Counter(number for number, _ in {*zip(node.tolist(), texts, strict=True)})
    return WordPieces(
        tokens=Lists.of(within + at_line_start),
        reads=np.array([*map(len, within + at_line_start)]) - (longer.sizes == 0),
        prefixes=np.where(longer.sizes > 0, node, parent),
        longer=longer,
        inner=_without(longer, node, np.tile(ends_line, 2), [tree.children[0] for tree in trees]),
        utf8=np.array([len(text.encode()) for text in texts], np.int64),
        log_ambiguity=np.log([alike[number] for number in node.tolist()]),
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


class _Tree:
    """A prefix tree of lists of tokens; node 0 is its root.

    Attributes:
        children: the tokens that follow each node.
        ends: the node at which each list ends.
        parents: the node before that.
    """

    def __init__(self, lists: Sequence[Sequence[int]]) -> None:
        """Add all lists."""
        self.children: list[list[int]] = [[]]
        self.ends: list[int] = []
        self.parents: list[int] = []
        known: dict[tuple[int, int], int] = {}
        for tokens in lists:
            node = parent = 0
            for token in tokens:
                parent, node = node, known.setdefault((node, token), len(self.children))
                if node == len(self.children):
                    self.children.append([])
                    self.children[parent].append(token)
            self.ends.append(node)
            self.parents.append(parent)


def _without(
    longer: Lists, node: Indices, ends_line: npt.NDArray[np.bool_], first: Sequence[Sequence[int]]
) -> Lists:
    """Return lists without the first tokens of the words that may follow each form.

    Args:
        longer: (2W,) the lists.
        node: (2W,) equal for equal lists.
        ends_line: (2W,) whether the words that follow are at the start of a line.
        first: the first tokens of all words within a line, and at its start.
    """
    begin = [frozenset(tokens) for tokens in first]
    _, row, which = np.unique(2 * node + ends_line, return_index=True, return_inverse=True)
    lists = [
        [token for token in longer.joined(np.array([i])).tolist() if token not in begin[after]]
        for i, after in zip(row.tolist(), ends_line[row].astype(int).tolist(), strict=True)
    ]
    return Lists.of(lists).take(which)
