"""Recurrent networks: RNN, GRU and LSTM."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from seqmem.baselines.dropout import Dropout
from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.baselines.options import Count, Share
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "open_forget_gates"]


class Recurrent(LinearReadout):
    """Embedding, recurrent layers and readout, with dropout between them.

    Dropout acts on the embedding and on the outputs of the layers, not on the recurrence (Zaremba
    et al. 2014, arXiv 1409.2329).
    """

    stateful = True
    layer: ClassVar[type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]]
    states: ClassVar[int]  # state vectors of one layer

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        hidden: Count = 128,
        layers: Count = 1,
        dropout: Share = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            hidden: size of the state vectors and of an id's embedding.
            layers: number of recurrent layers.
            dropout: share of features dropped in training.
            tied: whether embedding and readout share weights; needs as many outputs as ids.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden, dropout)
        between = dropout if layers > 1 else 0.0
        self.layers = self.layer(
            self.enter.width, hidden, layers, batch_first=True, dropout=between
        )
        self.dropout = Dropout(dropout)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self.start()

    def start(self) -> None:
        """Set the weights that should not start at random; here none."""

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden), and the state after the last input."""
        features, state = self.layers(self.enter(inputs), state)
        return self.dropout(features), state

    def state_size(self, context: int) -> int:
        """Return the number of floats of the state, the same after any number of inputs."""
        return self.states * self.layers.num_layers * self.layers.hidden_size


class RNN(Recurrent):
    """The simple recurrent network, h' = tanh(W h + U x + b) (Elman 1990)."""

    layer = nn.RNN
    states = 1


class GRU(Recurrent):
    """Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078, section 2.3).

    With reset gate r and update gate z, h' = (1 − z) n + z h. The reset gate is applied after the
    matrix product, n = tanh(U x + b + r (W h + b')), as in torch and cuDNN; in the paper it is
    applied before, n = tanh(U x + W (r h)).
    """

    layer = nn.GRU
    states = 1


class LSTM(Recurrent):
    """Long short-term memory with forget gates (Gers et al. 2000); initial forget bias 1."""

    layer = nn.LSTM
    states = 2

    def start(self) -> None:
        """Start with open forget gates, so that it remembers at first."""
        open_forget_gates(self.layers)


def open_forget_gates(layers: nn.RNNBase) -> None:
    """Set an LSTM's biases to 0, and those of its forget gates to 1.

    Jozefowicz et al. 2015; of torch's two biases one.
    """
    hidden = layers.hidden_size
    with torch.no_grad():
        for name, parameter in layers.named_parameters():
            if "bias" in name:
                parameter.zero_()
            if "bias_ih" in name:
                parameter[hidden : 2 * hidden] = 1.0
