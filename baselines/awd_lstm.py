"""AWD-LSTM: the LSTM of word-level language models, with dropout of weights, words and features."""

from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.baselines.options import Count, Range, Share
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = ["AWDLSTM"]

RECURRENT = "weight_hh_l0"  # torch's name of a layer's hidden-to-hidden matrices (4 H, H)


class AWDLSTM(LinearReadout):
    """Stacked LSTM layers regularised by dropout (Merity et al. 2018, arXiv 1708.02182).

    Each layer is i, f, o = σ(U x + V h + b), g = tanh(U x + V h + b), where each gate has its own
    rows of U, V and b, then c' = f c + i g and h' = o tanh(c'); f's bias starts at 1. In training,
    every forward pass draws one mask for each of

    - V, all four gates' matrices: DropConnect, element by element (section 2; 0.5 in the paper).
      The mask is the same at all steps and for all sequences of the pass;
    - the words of the vocabulary: a dropped word's vector is zero wherever the word is read
      (section 4.3; 0.1 in the paper);
    - the features of each sequence's vectors, layers' outputs and readout's inputs: variational
      dropout, the same at all steps (section 4.2). The paper has a share for each of these places,
      0.4, 0.25 and 0.4 on Penn Treebank; here `dropout` is that of all three.

    What is kept is divided by the share kept. The task's own floats are never dropped.

    Left out is what belongs to the training loop, which all models share: averaged SGD and segments
    of random lengths, and activation regularisation, a second loss on the features, because the
    loop backpropagates the task's loss alone.
    """

    stateful = True

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 3,
        embedding: Annotated[int, Range(0, 100_000)] = 0,
        dropout: Share = 0.0,
        weight_dropout: Share = 0.5,
        word_dropout: Share = 0.1,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: size of a layer's state vectors.
            layers: number of layers.
            embedding: size of an id's vector; 0: `hidden`.
            dropout: share of features dropped in training.
            weight_dropout: share of the hidden-to-hidden weights dropped in training.
            word_dropout: share of words dropped in training.
            tied: whether embedding and readout share weights, and the last layer has the
                embedding's size (section 4.5); needs as many outputs as ids.
        """
        super().__init__()
        embedding = embedding or hidden
        self.enter = InputLayer(inputs, embedding)
        last = embedding if tied else hidden
        sizes = [self.enter.width, *[hidden] * (layers - 1), last]
        self.layers = nn.ModuleList(
            nn.LSTM(before, after, batch_first=True) for before, after in pairwise(sizes)
        )
        self.leave = readout_layer(last, outputs, self.enter if tied else None)
        self.dropout, self.weight_dropout, self.word_dropout = dropout, weight_dropout, word_dropout
        self._state = 2 * sum(sizes[1:])
        with torch.no_grad():
            for layer in self.layers:
                bias, other = layer.get_parameter("bias_ih_l0"), layer.get_parameter("bias_hh_l0")
                size = len(bias) // 4
                bias.zero_()[size : 2 * size] = 1.0
                other.zero_()

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, H), and (h, c) of each layer in turn, each (1, B, its size)."""
        features = self.enter(inputs)
        if self.enter.embedding is not None:
            features = self._locked(self._without_words(features, inputs))
        after: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            given = (features, None if state is None else tuple(state[2 * i : 2 * i + 2]))
            if self.training and self.weight_dropout:
                kept = F.dropout(layer.get_parameter(RECURRENT), self.weight_dropout)
                features, own = functional_call(layer, {RECURRENT: kept}, given)
            else:
                features, own = layer(*given)
            features = self._locked(features)
            after += own
        return features, tuple(after)

    def state_size(self, context: int) -> int:
        """Return the number of floats of the state, the same after any number of inputs."""
        return self._state

    def _without_words(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Return vectors (B, L, E) of ids (B, L), those of dropped words zero in training."""
        if not (self.training and self.word_dropout):
            return vectors
        assert self.enter.embedding is not None
        words = vectors.new_ones(self.enter.embedding.num_embeddings)
        return vectors * F.dropout(words, self.word_dropout)[ids.long(), None]

    def _locked(self, features: Tensor) -> Tensor:
        """Return features (B, L, H), in training with some of each sequence's zero at all steps."""
        if not (self.training and self.dropout):
            return features
        return features * F.dropout(torch.ones_like(features[:, :1]), self.dropout)
