"""What models of two sides share: a row of ids as a source, a separator and a target.

The first separator of a row ends its source; any other one is an ordinary id. From there on a row
has a piece of its own, which a decoder reads from its start: the separator and what follows it,
given the source. What precedes the separator (all of a row without one) is another piece, which
the decoder reads without a source. An output thus depends on no later input, whatever the inputs
are, and a window of k inputs without the separator is a text of the target side alone.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec, Tokens

__all__ = ["Pieces", "SourceTarget", "attend", "separated"]


@dataclass(frozen=True)
class Pieces:
    """What a decoder reads for some positions of a batch, and the sources, if there are any.

    Attributes:
        sources: (n, S) ids of the sources of the first n pieces; padded at the end.
        within: (n, S) whether an id belongs to the source.
        targets: (N, T) ids of the pieces; after a piece's end, others.
        separated: (N,) whether a piece begins with the separator.
        piece: (m,) the piece of each position.
        step: (m,) where in its piece each position is.
    """

    sources: Tensor
    within: Tensor
    targets: Tensor
    separated: Tensor
    piece: Tensor
    step: Tensor


def separated(inputs: Tensor, separator: int, rows: Tensor, columns: Tensor) -> Pieces:
    """Return the pieces that are needed for some positions, those with a source first.

    Args:
        inputs: (B, L) ids.
        separator: the id that ends a source.
        rows: (m,) which of the B rows, at least one.
        columns: (m,) which of its L inputs.
    """
    batch, length = inputs.shape
    found = inputs == separator
    first = torch.where(found.any(1), found.int().argmax(1), length)  # (B,)
    after = columns >= first[rows]
    kind = torch.where(after & (first[rows] > 0), 0, torch.where(after, 1, 2))
    keys, piece = (batch * kind + rows).unique(return_inverse=True)
    row, kind = keys % batch, keys // batch
    begin = torch.where(kind < 2, first[row], 0)  # (N,)
    step = columns - begin[piece]
    steps = torch.arange(int(step.max()) + 1, device=inputs.device)
    index = (begin[:, None] + steps).clamp(max=length - 1)
    of = row[kind == 0]  # (n,) the rows that have a source
    sizes = first[of]
    longest = int(sizes.max()) if len(of) else 0
    return Pieces(
        sources=inputs[of, :longest],
        within=torch.arange(longest, device=inputs.device) < sizes[:, None],
        targets=inputs[row[:, None], index],
        separated=kind < 2,
        piece=piece,
        step=step,
    )


def attend(queries: Tensor, keys: Tensor, values: Tensor, within: Tensor) -> Tensor:
    """Return the attended values of all pieces (N, T, V), zeros for those without a source.

    Scaled dot products (Vaswani et al. 2017, arXiv 1706.03762, section 3.2.1).

    Args:
        queries: (N, T, H).
        keys: (n, S, H) of the first n pieces.
        values: (n, S, V).
        within: (n, S) which keys belong to the source: at least one.
    """
    some = len(keys)
    logits = queries[:some] @ keys.transpose(1, 2) / keys.shape[2] ** 0.5  # (n, T, S)
    weights = logits.masked_fill(~within[:, None], -torch.inf).softmax(2)
    none = values.new_zeros(len(queries) - some, queries.shape[1], values.shape[2])
    return torch.cat([weights.to(values.dtype) @ values, none])


class SourceTarget(LinearReadout):
    """A model that reads a source and predicts a target, for tasks that have both.

    It has no state, since what it makes of a source depends on all of it: windows of k inputs are
    read anew at each k. A window that reaches into the source holds its latest words, and they are
    encoded as if they were all.
    """

    needs_separator = True

    def __init__(
        self, inputs: InputSpec, outputs: int, *, hidden: int, dropout: float, tied: bool
    ) -> None:
        """Create the layers of ids and outputs, with random weights.

        Args:
            inputs: must be ids with a separator.
            outputs: the number of outputs for each position.
            hidden: number of features, and size of an id's embedding.
            dropout: share of an embedding dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.

        Raises:
            ValueError: the inputs have no separator.
        """
        super().__init__()
        if not isinstance(inputs, Tokens) or inputs.separator is None:
            raise ValueError("inputs must be ids of which one separates a source from its target")
        self.separator = inputs.separator
        self.enter = InputLayer(inputs, hidden, dropout)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)

    @abstractmethod
    def decoded(self, pieces: Pieces) -> Tensor:
        """Return features (N, T, hidden) of pieces, each causal within its piece."""

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L) -> (B, L, hidden); no state."""
        rows, columns = torch.ones_like(inputs).nonzero(as_tuple=True)
        features, _ = self.features_at(inputs, rows, columns)
        return features.view(*inputs.shape, -1), None

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return the features (m, hidden) at some positions; only their pieces are read."""
        device = inputs.device
        if len(rows) == 0:
            return self.leave.weight.new_zeros(0, self.leave.in_features), None
        pieces = separated(inputs, self.separator, rows.to(device), columns.to(device))
        return self.decoded(pieces)[pieces.piece, pieces.step], None
