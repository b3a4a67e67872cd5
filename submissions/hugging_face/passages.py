"""Read passages with a model that reads tokens, and score words in them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.scoring import READOUT, in_batches
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.word_pieces import ranges
from seqmem.submissions.hugging_face.word_text import Passages, WordText

__all__ = ["PassageReader", "Scored", "readout_room"]


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


def readout_room(model: HuggingFaceModel, device: str) -> int:
    """Return the number of positions whose outputs one pass may compute."""
    return max(NUMBERS[torch.device(device).type] // model.vocabulary, 1)


class PassageReader:
    """A reader of passages, each from position 0 on, in batches of similar length.

    Attributes:
        losses: (S,) of the scored words, in nats; not finite where the model's outputs are not.
        steps: the number of tokens read so far.
    """

    def __init__(
        self,
        model: HuggingFaceModel,
        text: WordText,
        passages: Passages,
        scored: Scored,
        *,
        device: str,
        progress: Callable[[int], object],
    ) -> None:
        """Configure a reader; `run` reads.

        Args:
            model: the model in evaluation mode, on the device.
            text: the split's words as tokens.
            passages: the passages to read.
            scored: the words to score.
            device: where the model runs.
            progress: called with the number of tokens just read.
        """
        self._model, self._text, self._device, self._progress = model, text, device, progress
        self._kind = torch.device(device).type
        self._passages, self._scored = passages, scored
        self._width = text.width(passages)
        # The position of the output that predicts a word's first token.
        self._place = text.size(passages.begin[scored.passage], scored.position) - 1
        self._bounds = np.searchsorted(scored.passage, np.arange(len(passages.begin) + 1))
        self._first = self._place[self._bounds[:-1]]  # in each passage
        self.losses: Floats = np.full(len(scored.form), np.nan)
        self.steps = 0

    def run(self) -> None:
        """Read all passages."""
        for group in self._groups():
            in_batches(torch.from_numpy(group), len(group), self._read)

    def _groups(self) -> Iterator[Indices]:
        """Yield the passages of each batch."""
        room = readout_room(self._model, self._device)
        group: list[int] = []
        widest = 0
        for row in np.lexsort((self._width, self._first)).tolist():
            width = max(widest, int(self._width[row]))
            read_out = width
            if group and self._model.reads_out_last:
                read_out -= int(self._first[group[0]])
            rows = len(group) + 1
            if group and (rows * width > TOKENS[self._kind] or rows * read_out > room):
                yield np.array(group)
                group, width = [], int(self._width[row])
            group.append(row)
            widest = width
        if group:
            yield np.array(group)

    def _read(self, batch: Tensor) -> None:
        """Read some passages and store the losses of their scored words."""
        rows, pieces = batch.numpy(), self._text.pieces
        tokens = self._text.tokens(self._passages.take(rows))  # (B, L)
        offset = int(self._first[rows].min())
        lengths = torch.from_numpy(self._width[rows])
        scores = self._model.outputs(
            tokens.to(self._device), lengths, last=tokens.shape[1] - offset
        )  # (B, L − offset, vocabulary)
        self._progress(tokens.numel())
        self.steps += tokens.numel()
        counts = np.diff(self._bounds)[rows]
        words = ranges(self._bounds[rows], counts)
        forms = self._scored.form[words]
        sizes = pieces.sizes[forms]
        row = torch.from_numpy(np.repeat(np.repeat(np.arange(len(rows)), counts), sizes))
        place = torch.from_numpy(ranges(self._place[words] - offset, sizes))
        label = torch.from_numpy(pieces.tokens_of(forms))
        losses = np.empty(len(label))

        def chunk(part: Tensor) -> None:
            chosen = scores[row[part], place[part]].float()
            found = F.cross_entropy(chosen, label[part].to(chosen.device), reduction="none")
            losses[part.numpy()] = found.double().cpu().numpy()

        most = max(READOUT[self._kind] // self._model.vocabulary, 1)
        in_batches(torch.arange(len(label)), most, chunk)
        # A word's loss is the sum of its tokens' losses, plus the cost of ambiguous tokens.
        total = np.add.reduceat(losses, np.cumsum(sizes) - sizes)
        self.losses[words] = total + pieces.log_ambiguity[forms]
