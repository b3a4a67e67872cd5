"""What every baseline shares: how inputs enter, and how features leave."""

import torch
from torch import Tensor, nn

from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Features, InputSpec, Tokens

__all__ = ["InputLayer", "LinearReadout", "readout_layer", "start_readout"]


class InputLayer(nn.Module):
    """Ids become learned vectors; floats go through as they are.

    Attributes:
        width: the size of a vector it gives.
    """

    def __init__(self, spec: InputSpec, width: int) -> None:
        """Take what the inputs are and how wide an id's vector is."""
        super().__init__()
        self.embedding: nn.Embedding | None = None
        if isinstance(spec, Tokens):
            self.embedding = nn.Embedding(spec.vocabulary, width)
            nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.width = spec.dimension if isinstance(spec, Features) else width

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) ids or (B, L, D) floats -> (B, L, width)."""
        if self.embedding is None:
            return inputs
        weight = self.embedding.weight
        vectors: Tensor
        if self.embedding.sparse or weight.device.type != "cpu":
            vectors = self.embedding(inputs)
        else:
            # The same vectors. On a CPU the gradient of a selection by 64-bit ids is added up
            # sooner than by others, or than an embedding's; elsewhere it would differ between runs.
            vectors = weight.index_select(0, inputs.flatten().long())
            vectors = vectors.view(*inputs.shape, self.width)
        return vectors


def readout_layer(width: int, outputs: int, tie: InputLayer | None) -> nn.Linear:
    """Make the last layer, sharing the embedding's weights where `tie` is given.

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


def start_readout(readout: nn.Linear, outputs: Tensor) -> None:
    """Set the bias, so that the first outputs are these and little else."""
    with torch.no_grad():
        readout.bias.copy_(outputs)


class LinearReadout(SequenceModel):
    """A model whose outputs are one linear map, `leave`, of its features."""

    leave: nn.Linear

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, hidden) -> (…, outputs)."""
        outputs: Tensor = self.leave(hidden)
        return outputs

    def start_from(self, outputs: Tensor) -> None:
        """Put the constant outputs (outputs,) into the readout's bias."""
        start_readout(self.leave, outputs)
