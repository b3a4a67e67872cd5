"""The layers that every baseline shares: the input layer and the readout."""

import torch
from torch import Tensor, nn

from seqmem.baselines.dropout import Dropout
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Features, InputSpec, Tokens

__all__ = ["InputLayer", "LinearReadout", "readout_layer"]


class InputLayer(nn.Module):
    """An embedding of ids, with dropout in training; floats pass unchanged.

    Dropout of a task's own features would hide inputs, such as keys of a chord, from the model.

    Attributes:
        width: the size of an output vector.
        bounded: whether the floats are known to lie in [−1, 1]; of ids, the embedding decides.
    """

    def __init__(self, spec: InputSpec, width: int, dropout: float = 0.0) -> None:
        """Create the layer.

        Args:
            spec: the type and size of one input.
            width: the size of an embedding vector.
            dropout: share of an embedding vector dropped in training.
        """
        super().__init__()
        self.dropout = Dropout(dropout)
        self.embedding: nn.Embedding | None = None
        if isinstance(spec, Tokens):
            self.embedding = nn.Embedding(spec.vocabulary, width)
            nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.bounded = not isinstance(spec, Features) or spec.bounded
        self.width = spec.dimension if isinstance(spec, Features) else width

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) ids or (B, L, D) floats -> (B, L, width)."""
        if self.embedding is None:
            return inputs
        weight = self.embedding.weight
        if self.embedding.sparse or weight.device.type != "cpu":
            vectors = self.embedding(inputs)
        else:
            # The same vectors. On a CPU the backward pass of index_select with 64-bit ids is
            # faster than that of an embedding; on a GPU it is not deterministic.
            vectors = weight.index_select(0, inputs.flatten().long())
            vectors = vectors.view(*inputs.shape, self.width)
        dropped: Tensor = self.dropout(vectors)
        return dropped


def readout_layer(width: int, outputs: int, tie: InputLayer | None) -> nn.Linear:
    """Return the last layer; it shares the embedding's weights if `tie` is given.

    Weight tying: Press & Wolf 2017 (arXiv 1608.05859).

    Raises:
        ValueError: the weights cannot be shared.
    """
    readout = nn.Linear(width, outputs)
    nn.init.zeros_(readout.bias)
    if tie is not None:
        if tie.embedding is None or tie.embedding.num_embeddings != outputs:
            raise ValueError("tied=true needs ids as inputs, and as many outputs as there are ids")
        readout.weight = tie.embedding.weight
    return readout


class LinearReadout(SequenceModel):
    """A model whose outputs are a linear map, `leave`, of its features."""

    leave: nn.Linear

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, hidden) -> (…, outputs)."""
        outputs: Tensor = self.leave(hidden)
        return outputs

    def start_from(self, outputs: Tensor) -> None:
        """Set the readout's bias to the constant outputs (outputs,)."""
        with torch.no_grad():
            self.leave.bias.copy_(outputs)
