"""LSTM encoder, attention, LSTM decoder: the shape of GNMT at small size."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqmem.baselines.dropout import Dropout
from seqmem.baselines.options import Count, Share
from seqmem.baselines.recurrent import open_forget_gates
from seqmem.baselines.source_target import Pieces, SourceTarget, attend
from seqmem.tasks.task import InputSpec

__all__ = ["Seq2Seq"]


class Seq2Seq(SourceTarget):
    """Encoder and decoder of LSTMs with attention (GNMT: Wu et al. 2016, arXiv 1609.08144).

    As in GNMT (section 3) the encoder's lowest layer reads the source in both directions, its
    others forwards, and the decoder's lowest layer asks the attention whose result its upper layers
    read. Unlike there, the lowest layer does not read the result of the step before, so that a
    whole target is read at once; attention is a scaled dot product instead of a small network; and
    one residual connection passes over the upper layers of the decoder. Features are
    tanh(W [outputs; attended]) (Luong et al. 2015, arXiv 1508.04025, section 3). The decoder's
    state after the source is a linear map of the encoder's last one, with a tanh for its outputs.

    Context: a window without the separator is read by the decoder alone, from a state of zeros and
    with nothing attended. Nothing is carried from window to window: at each k the source words
    that are in view are encoded again, in both directions, and the decoder starts at the separator.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 2,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: must be ids with a separator.
            outputs: the number of outputs for each position.
            hidden: size of the state vectors and of an id's embedding; of each direction half.
            layers: number of recurrent layers of the encoder, and of the decoder.
            dropout: share of features dropped in training, of the embedding and between layers.
            tied: whether embedding and readout share weights; needs as many outputs as ids.

        Raises:
            ValueError: the inputs have no separator.
        """
        super().__init__(inputs, outputs, hidden=hidden, dropout=dropout, tied=tied)
        self.layers = layers
        half = -(-hidden // 2)
        self.both_ways = _lstm(hidden, half, bidirectional=True)
        self.encoder = _upper(2 * half, hidden, layers - 1, dropout)
        self.width = hidden if layers > 1 else 2 * half  # of an encoded word
        self.begin = nn.Linear(self.width, 2 * layers * hidden)
        self.lowest = _lstm(hidden, hidden)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(self.width, hidden, bias=False)
        self.decoder = _upper(hidden + self.width, hidden, layers - 1, dropout)
        self.mix = nn.Linear(hidden + self.width, hidden)
        self.dropout = Dropout(dropout)

    def decoded(self, pieces: Pieces) -> Tensor:
        """Return features (N, T, hidden) of pieces."""
        entered = self.enter(pieces.targets)
        words, begin = self._encoded(pieces)
        h, c = self._states(begin, len(entered))  # (layers, N, hidden) each
        lowest, _ = self.lowest(entered, (h[:1], c[:1]))
        attended = attend(self.query(lowest), self.key(words), words, pieces.within)
        features = self.dropout(lowest)
        if self.decoder is not None:
            features = torch.cat([features, self.dropout(attended)], 2)
            above, _ = self.decoder(features, (h[1:], c[1:]))
            features = above + self.dropout(lowest)
        mixed = torch.tanh(self.mix(torch.cat([features, attended], 2)))
        dropped: Tensor = self.dropout(mixed)
        return dropped

    def _encoded(self, pieces: Pieces) -> tuple[Tensor, Tensor]:
        """Return the encoded sources (n, S, width), and what they amount to (n, width)."""
        entered = self.enter(pieces.sources)
        if len(entered) == 0:
            return entered.new_zeros(0, 0, self.width), entered.new_zeros(0, self.width)
        sizes = pieces.within.sum(1).cpu()
        packed = pack_padded_sequence(entered, sizes, batch_first=True, enforce_sorted=False)
        packed, (last, _) = self.both_ways(packed)
        whole = last.transpose(0, 1).flatten(1)
        if self.encoder is not None:
            packed = packed._replace(data=self.dropout(packed.data))
            packed, (last, _) = self.encoder(packed)
            whole = last[-1]
        return pad_packed_sequence(packed, batch_first=True)[0], whole

    def _states(self, begin: Tensor, pieces: int) -> tuple[Tensor, Tensor]:
        """Return the states (layers, N, hidden) of the decoder, zeros without a source."""
        states = self.begin(begin).unflatten(1, (2, self.layers, -1)).permute(1, 2, 0, 3)
        none = states.new_zeros(*states.shape[:2], pieces - len(begin), states.shape[3])
        h, c = torch.cat([states, none], 2)
        return h.tanh(), c.contiguous()

    def state_size(self, context: int) -> int:
        """Return the floats of the decoder's state, and of `context` words if all are a source."""
        return 2 * self.layers * self.leave.in_features + context * self.width


def _lstm(
    width: int, hidden: int, layers: int = 1, dropout: float = 0.0, **others: bool
) -> nn.LSTM:
    """Return recurrent layers that start by remembering, as those of `LSTM` do."""
    made = nn.LSTM(width, hidden, layers, batch_first=True, dropout=dropout, **others)
    open_forget_gates(made)
    return made


def _upper(width: int, hidden: int, layers: int, dropout: float) -> nn.LSTM | None:
    """Return the layers above the lowest one; None if there are none."""
    return _lstm(width, hidden, layers, dropout if layers > 1 else 0.0) if layers else None
