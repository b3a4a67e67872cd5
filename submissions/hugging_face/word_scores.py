"""Score words with a model that reads tokens: in windows, and in the reference pass.

A window of k words is read as the tokens of these words, followed by the target's: its loss is the
sum of its tokens' losses, each predicted from all tokens before it, and what the end of the word
costs (docs/text.md). Every window is encoded from its first word on and read from position 0 on. No
window is cut: windows that exceed the model's longest input are reported before any window is read.

Windows that are read together have the same number of tokens, so that none depends on what is
beside it: positions may be scaled by the longest row of a batch (Ding et al. 2024, arXiv
2402.13753), and nothing is padded.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.errors import NotFiniteError
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.reference import LONGEST_PASS, PIECE, Reference
from seqmem.measuring.scoring import READOUT, Sink, in_batches
from seqmem.measuring.window_scores import Features, Scorer
from seqmem.measuring.windows import DistinctWindows
from seqmem.submissions.hugging_face.token_model import TokenModel
from seqmem.submissions.hugging_face.word_pieces import Lists, ranges
from seqmem.submissions.hugging_face.word_text import Passages, WordText

__all__ = ["Scored", "WordScorer"]

SHORTEST_PIECE = 512  # tokens of overlapping pieces at least, if the model reads as many
# The limits of one pass: tokens read, and outputs computed.
TOKENS = {"cpu": 1 << 13, "cuda": 1 << 17}
NUMBERS = {"cpu": 1 << 26, "cuda": 1 << 30}


@dataclass(frozen=True)
class Scored:
    """Words to score in passages, at least one in each.

    Attributes:
        passage: (S,) the passage of each word, ascending.
        position: (S,) the input that it follows, ascending within a passage.
        form: (S,) its form.
    """

    passage: Indices
    position: Indices
    form: Indices


@dataclass(frozen=True)
class WordScorer(Scorer):
    """A Scorer for a model that reads tokens, on a split with a target for every input.

    One step is one token; steps of the reference pass are counted at k = 0.

    Attributes:
        text: the split's words as tokens.
    """

    model: TokenModel
    text: WordText

    @property
    def most_tokens(self) -> int:
        """The most tokens to read at once."""
        return min(self.model.longest or LONGEST_PASS, LONGEST_PASS)

    @property
    def readout_room(self) -> int:
        """The number of positions whose outputs one pass may compute."""
        return max(NUMBERS[torch.device(self.device).type] // self.model.vocabulary, 1)

    def windows(
        self,
        targets: Indices,
        k: int,
        reference: Features | None = None,
        distinct: DistinctWindows | None = None,
    ) -> Sink:
        """Score targets from windows of k words; see Scorer. Features are not compared.

        Equal windows are read once for all targets of which the same tokens are read.
        """
        forms = self.text.targets[targets]
        if distinct is None:
            first = passage = np.arange(len(targets))
        else:
            prefixes = self.text.pieces.prefixes[forms]
            both = distinct.window * (int(prefixes.max(initial=0)) + 1) + prefixes
            _, first, passage = np.unique(both, return_index=True, return_inverse=True)
        order, last = np.argsort(passage, kind="stable"), targets[first]
        reader = _PassageReader(
            self,
            Passages(last - k + 1, last, forms[first]),
            Scored(passage[order], last[passage[order]], forms[order]),
            k,
        )
        return self._sink(order, reader.losses)

    def reference(self, longest: int, full: bool) -> tuple[Reference, int]:
        """Read the split once, every target with as much context as exists or fits.

        If a sequence is not read whole, pieces overlap: a target then has at least twice as much
        context as the longest window, or half of the model's longest input if that is less; and all
        of its sequence before it if that fits.

        Args:
            longest: the tokens of the longest window that is compared with the reference.
            full: whether sequences are read whole whenever the model can.

        Returns:
            the reference, and the most tokens that are read at once.

        Raises:
            NotFiniteError: the model's outputs are not finite.
        """
        whole = self.text.longest_window(len(self.split))
        usual = min(self.most_tokens, max((1 + PIECE) * 2 * longest, SHORTEST_PIECE))
        is_full = whole <= (self.most_tokens if full else usual)
        most = whole if is_full else usual
        bounds = self.split.starts.tolist()
        begin, first, end = np.array(
            [
                piece
                for start, stop in pairwise(bounds)
                for piece in self._pieces(start, stop, most, min(2 * longest, most // 2))
            ]
        ).T
        counts = end - first + 1
        reader = _PassageReader(
            self,
            Passages(begin, end, self.text.targets[end]),
            Scored(
                np.repeat(np.arange(len(first)), counts), ranges(first, counts), self.text.targets
            ),
            0,
        )
        if not np.isfinite(reader.losses).all():
            raise NotFiniteError("the model's outputs are not finite (NaN or infinity)")
        scores = self._sink(np.arange(len(self.split)), reader.losses).scores()
        return Reference(scores, is_full, {}, reader.steps), most

    def _sink(self, places: Indices, losses: Floats) -> Sink:
        sink = self.sink(len(losses), None)
        sink.store(places, torch.from_numpy(losses))
        return sink

    def _pieces(
        self, start: int, stop: int, most: int, overlap: int
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the pieces of a sequence: first input read, first input scored, last input."""
        text, span, before = self.text, self.readout_room, self.text.before
        # The tokens that are read up to each input's target.
        through = before[start + 1 : stop + 1] + text.pieces.reads[text.targets[start:stop]]
        first = start
        while first < stop:
            begin = start
            if text.width_of(start, first) > most:
                begin = int(np.searchsorted(before, before[first + 1] - overlap))
                begin = min(max(begin, start), first)
                while text.width_of(begin, first) > most:
                    begin += 1
            width = text.width_of(begin, first)
            longest = min((n for n in self.model.regimes if width <= n <= most), default=most)
            fits = through[first - start] + longest - width
            readable = before[first + 1] + span - 1
            end = start + int(np.searchsorted(through, min(fits, readable), side="right")) - 1
            end = max(end, first)
            yield begin, first, end
            first = end + 1


class _PassageReader:
    """A reader of passages, each from position 0 on, in batches of equal length.

    Attributes:
        losses: (S,) of the scored words, in nats; not finite where the model's outputs are not.
        steps: the number of tokens read.
    """

    def __init__(self, scorer: WordScorer, passages: Passages, scored: Scored, k: int) -> None:
        """Read all passages.

        Args:
            scorer: the model, and the split's words as tokens.
            passages: the passages to read.
            scored: the words to score.
            k: the window length for which tokens are counted.
        """
        self._scorer, self._k = scorer, k
        self._model, self._text = scorer.model, scorer.text
        self._kind = torch.device(scorer.device).type
        self._passages, self._scored = passages, scored
        # The position of the output that predicts a word's first token.
        begin = passages.begin[scored.passage]
        self._place = self._text.size(begin, scored.position) - 1
        # The form of the word before each: the first word of a passage has a space.
        before, first = scored.position, scored.position == begin
        self._before = np.where(first, self._text.words[before], self._text.forms[before])
        self._bounds = np.searchsorted(scored.passage, np.arange(len(passages.begin) + 1))
        self._first = self._place[self._bounds[:-1]]  # in each passage
        self.losses: Floats = np.full(len(scored.form), np.nan)
        self.steps = 0
        width = self._text.width(passages)
        for rows in self._groups(width):
            most = max(TOKENS[self._kind] // int(width[rows[0]]), 1)
            in_batches(
                torch.from_numpy(rows), min(most, self._most_read_out(rows, width)), self._read
            )

    def _groups(self, width: Indices) -> Iterator[Indices]:
        """Yield the passages of each width, in the order of their first scored positions."""
        order = np.lexsort((self._first, width))
        yield from np.split(order, np.flatnonzero(np.diff(width[order])) + 1)

    def _most_read_out(self, rows: Indices, width: Indices) -> int:
        """Return how many passages of a width may be read out at once."""
        longest = int(width[rows[0]])
        if self._model.reads_out_last:
            longest -= int(self._first[rows].min())
        return max(self._scorer.readout_room // longest, 1)

    def _read(self, batch: Tensor) -> None:
        """Read some passages and store the losses of their scored words."""
        rows, pieces = batch.numpy(), self._text.pieces
        tokens = self._text.tokens(self._passages.take(rows))  # (B, L)
        counts = np.diff(self._bounds)[rows]
        words = ranges(self._bounds[rows], counts)
        forms = self._scored.form[words]
        sizes = pieces.sizes[forms]
        longer = np.flatnonzero(pieces.longer.sizes[forms])
        # The outputs that predict each token, then those that predict what follows longer words.
        begin = np.repeat(np.arange(len(rows)), counts) * tokens.shape[1] + self._place[words]
        wanted = np.concatenate([ranges(begin, sizes), (begin + sizes)[longer]])
        read, at = np.unique(wanted, return_inverse=True)
        row, column = map(torch.from_numpy, np.divmod(read, tokens.shape[1]))
        scores, _ = self._model.features_at(tokens.to(self._scorer.device), row, column)  # (m, V)
        self._scorer.progress(self._k, tokens.numel())
        self.steps += tokens.numel()
        first = np.cumsum(sizes) - sizes
        # Before a word's first token no token counts that would continue the word before it.
        inner = _only_at(first, pieces.inner.take(self._before[words]), int(sizes.sum()))
        label = pieces.tokens.joined(forms)
        losses = self._token_losses(scores, at[: len(label)], label, inner)
        total = np.add.reduceat(losses, first) + pieces.log_ambiguity[forms]
        # After its last token, none that would make it a longer word.
        total[longer] += self._end_losses(
            scores, at[len(label) :], pieces.longer.take(forms[longer])
        )
        self.losses[words] = total

    def _token_losses(self, scores: Tensor, at: Indices, label: Indices, excluded: Lists) -> Floats:
        """Return the losses (n,) of tokens, predicted from scores without some others."""

        def loss(part: Indices) -> Tensor:
            chosen = _excluding(scores[at[part]].float(), excluded.take(part))
            wanted = torch.from_numpy(label[part]).to(chosen.device)
            return F.cross_entropy(chosen, wanted, reduction="none")

        return self._in_chunks(len(label), loss)

    def _end_losses(self, scores: Tensor, at: Indices, longer: Lists) -> Floats:
        """Return the losses (n,) of the event that none of these tokens follows."""

        def loss(part: Indices) -> Tensor:
            chosen = scores[at[part]].double()
            every = chosen.logsumexp(-1)
            return every - _excluding(chosen, longer.take(part)).logsumexp(-1)

        return self._in_chunks(len(at), loss)

    def _in_chunks(self, count: int, loss: Callable[[Indices], Tensor]) -> Floats:
        losses = np.empty(count)

        def chunk(part: Tensor) -> None:
            losses[part.numpy()] = loss(part.numpy()).double().cpu().numpy()

        in_batches(
            torch.arange(count), max(READOUT[self._kind] // self._model.vocabulary, 1), chunk
        )
        return losses


def _excluding(scores: Tensor, tokens: Lists) -> Tensor:
    """Set the scores (n, V) of n lists of tokens to minus infinity, in place; return them."""
    rows = np.arange(len(scores))
    row, column = np.repeat(rows, tokens.sizes), tokens.joined(rows)
    scores[torch.from_numpy(row), torch.from_numpy(column)] = -torch.inf
    return scores


def _only_at(places: Indices, lists: Lists, count: int) -> Lists:
    """Return these lists at some of `count` places, and empty ones at all others."""
    begins, sizes = np.zeros((2, count), np.int64)
    begins[places], sizes[places] = lists.begins, lists.sizes
    return Lists(lists.tokens, begins, sizes)
