"""Score words with a model that reads tokens: in windows, and in the reference pass.

A window of k words is read as the tokens of these words, followed by the target's tokens but the
last: the loss of the target is the sum of its tokens' losses, each predicted from all tokens before
it. Every window is encoded from its first word on and read from position 0 on. No window is cut:
windows that exceed the model's longest input are reported before any window is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from seqmem.errors import NotFiniteError
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.reference import LONGEST_PASS, PIECE, Reference
from seqmem.measuring.scoring import Sink
from seqmem.measuring.window_scores import Features, Scorer
from seqmem.measuring.windows import DistinctWindows
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.passages import PassageReader, Scored, readout_room
from seqmem.submissions.hugging_face.word_pieces import ranges
from seqmem.submissions.hugging_face.word_text import Passages, WordText

__all__ = ["WordScorer"]


SHORTEST_PIECE = 512  # tokens of overlapping pieces at least, if the model reads as many


@dataclass(frozen=True)
class WordScorer(Scorer):
    """A Scorer for a model that reads tokens, on a split with a target for every input.

    One step is one token; steps of the reference pass are counted at k = 0.

    Attributes:
        text: the split's words as tokens.
    """

    model: HuggingFaceModel
    text: WordText

    @property
    def most_tokens(self) -> int:
        """The most tokens to read at once."""
        return min(self.model.longest or LONGEST_PASS, LONGEST_PASS)

    def windows(
        self,
        targets: Indices,
        k: int,
        reference: Features | None = None,
        distinct: DistinctWindows | None = None,
    ) -> Sink:
        """Score targets from windows of k words; see Scorer. Features are not compared.

        Equal windows are read once for all targets that have the same tokens but the last.
        """
        forms = self.text.targets[targets]
        if distinct is None:
            first = passage = np.arange(len(targets))
        else:
            prefixes = self.text.pieces.prefixes[forms]
            both = distinct.window * (int(prefixes.max(initial=0)) + 1) + prefixes
            _, first, passage = np.unique(both, return_index=True, return_inverse=True)
        order, last = np.argsort(passage, kind="stable"), targets[first]
        reader = self._read(
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
        reader = self._read(
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

    def _read(self, passages: Passages, scored: Scored, k: int) -> PassageReader:
        reader = PassageReader(
            self.model,
            self.text,
            passages,
            scored,
            device=self.device,
            progress=lambda steps: self.progress(k, steps),
        )
        reader.run()
        return reader

    def _sink(self, places: Indices, losses: Floats) -> Sink:
        sink = self.sink(len(losses), None)
        sink.store(places, torch.from_numpy(losses))
        return sink

    def _pieces(
        self, start: int, stop: int, most: int, overlap: int
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the pieces of a sequence: first input read, first input scored, last input."""
        text, span = self.text, readout_room(self.model, self.device)
        before = text.before
        # The tokens up to each input's target, without the target's last token.
        through = before[start + 1 : stop + 1] + text.pieces.sizes[text.targets[start:stop]] - 1
        first = start
        while first < stop:
            begin = start
            if text.width_of(start, first) > most:
                begin = int(np.searchsorted(before, before[first + 1] - overlap))
                begin = min(max(begin, start), first)
                while text.width_of(begin, first) > most:
                    begin += 1
            fits = through[first - start] + most - text.width_of(begin, first)
            readable = before[first + 1] + span - 1
            end = start + int(np.searchsorted(through, min(fits, readable), side="right")) - 1
            end = max(end, first)
            yield begin, first, end
            first = end + 1
