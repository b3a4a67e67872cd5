"""Convolutional encoder and decoder with attention in every layer of the decoder."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from seqmem.baselines.convolutions import CausalConv1d
from seqmem.baselines.dropout import Dropout
from seqmem.baselines.options import Count, Share
from seqmem.baselines.source_target import Pieces, SourceTarget, attend
from seqmem.tasks.task import InputSpec

__all__ = ["ConvS2S"]

HALF = math.sqrt(0.5)  # keeps the variance of a sum of two


class ConvS2S(SourceTarget):
    """Convolutional sequence to sequence learning (Gehring et al. 2017, arXiv 1705.03122).

    Blocks of a convolution and a gated linear unit, centred in the encoder and causal in the
    decoder, with residual connections and sums scaled by √0.5 (sections 3.2 and 3.4). Every block
    of the decoder attends to the encoded source: what is attended to is the encoding plus the
    embedding of a word (section 3.3). Unlike there, the dot products are divided by the square root
    of the width, and what is attended is not multiplied by the square root of the source's length:
    where the source is cut, the scale of all features would change with it.

    Positions count from the separator, backwards in the source and forwards in the target, and each
    has a learned vector (section 3.1, where both sides count from their starts). So a word that is
    in view has the same position however much of the source is cut. Positions beyond `places` share
    the last vector; where the separator is not in view, all share one.

    Context: the target side sees the last 1 + layers (kernel − 1) inputs, from the separator on, at
    most; the source side is unbounded. Without the separator in view nothing is attended. Nothing
    is carried from window to window: at each k the source words that are in view are encoded again.
    """

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 4,
        kernel: Count = 3,
        places: Count = 256,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: must be ids with a separator.
            outputs: the number of outputs for each position.
            hidden: number of features, and size of an id's embedding.
            layers: number of blocks of the encoder, and of the decoder.
            kernel: width of the convolutions.
            places: number of positions with a vector of their own, on each side.
            dropout: share of features dropped in training, of the embedding and before blocks.
            tied: whether embedding and readout share weights; needs as many outputs as ids.

        Raises:
            ValueError: the inputs have no separator.
        """
        super().__init__(inputs, outputs, hidden=hidden, dropout=dropout, tied=tied)
        self.scale = math.sqrt(hidden)  # embeddings have length 1
        self.source_places = nn.Parameter(torch.randn(places, hidden) / self.scale)
        self.target_places = nn.Parameter(torch.randn(places + 1, hidden) / self.scale)
        self.encoder = nn.ModuleList(_gated(hidden, kernel) for _ in range(layers))
        self.decoder = nn.ModuleList(_gated(hidden, kernel) for _ in range(layers))
        self.queries = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.merges = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.dropout = Dropout(dropout)
        self.kernel = kernel

    def decoded(self, pieces: Pieces) -> Tensor:
        """Return features (N, T, hidden) of pieces."""
        keys, values = self._encoded(pieces)
        steps = torch.arange(1, pieces.targets.shape[1] + 1, device=pieces.targets.device)
        place = steps * pieces.separated[:, None]  # (N, T), 0 where it is unknown
        entered = self._entered(pieces.targets, self.target_places, place)
        features = entered
        parts: Sequence[Sequence[nn.Module]] = list(
            zip(self.decoder, self.queries, self.merges, strict=True)
        )
        for convolution, query, merge in parts:
            own = _glu(convolution, self.dropout(features))
            asked = (query(own) + entered) * HALF
            attended = merge(attend(asked, keys, values, pieces.within))
            features = ((own + attended) * HALF + features) * HALF
        dropped: Tensor = self.dropout(features)
        return dropped

    def _encoded(self, pieces: Pieces) -> tuple[Tensor, Tensor]:
        """Return the encoded sources, and with embeddings added, (n, S, hidden) each."""
        mask = pieces.within[:, :, None]
        if len(mask) == 0:
            none = self.source_places.new_zeros(0, 0, self.source_places.shape[1])
            return none, none
        steps = torch.arange(mask.shape[1], device=mask.device)
        place = (mask.sum(1) - 1 - steps).clamp(min=0)  # (n, S), 0 right before the separator
        entered = self._entered(pieces.sources, self.source_places, place)
        features, right = entered, self.kernel // 2
        for convolution in self.encoder:
            within = self.dropout(features) * mask  # as if nothing were after the source
            own = _glu(convolution, F.pad(within, (0, 0, 0, right)))[:, right:]
            features = (own + features) * HALF
        return features, (features + entered) * HALF

    def _entered(self, ids: Tensor, places: Tensor, place: Tensor) -> Tensor:
        """Return the embeddings of ids and of their positions (…, L), (…, L, hidden)."""
        vectors = self.enter.dropout(places[place.clamp(max=len(places) - 1)])
        entered: Tensor = (self.enter(ids) + vectors) * self.scale
        return entered

    def state_size(self, context: int) -> int:
        """Return the floats of past features, and of `context` words if all are a source."""
        hidden, past = self.leave.in_features, min(self.kernel - 1, context)
        return hidden * (len(self.decoder) * past + 2 * context)


def _gated(hidden: int, kernel: int) -> nn.Module:
    """Return a convolution to features and their gates."""
    normed: nn.Module = weight_norm(CausalConv1d(hidden, 2 * hidden, kernel, 1))
    return normed


def _glu(convolution: nn.Module, features: Tensor) -> Tensor:
    """(N, T, hidden) -> (N, T, hidden)."""
    return F.glu(convolution(features.transpose(1, 2)).transpose(1, 2), 2)
