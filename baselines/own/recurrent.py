"""A recurrent layer, constructed as torch's are, in the place of the LSTM's.

    layer = Class(input_size, hidden_size, num_layers=1, batch_first=True)
    features, state = layer(inputs, state)

`inputs` is (B, L, input_size) and `features` (B, L, hidden_size). A state of None is the start of a
sequence; any other is the one that the layer returned for the previous inputs: a tensor, or nested
tuples of tensors. Of `num_layers`, `batch_first` and `dropout` it is given what it names; a class
without `num_layers` is stacked. A layer that takes no state reads every sequence from its start.
"""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.baselines.dropout import Dropout
from seqmem.baselines.layers import InputLayer, LinearReadout, readout_layer
from seqmem.baselines.own.outputs import main_tensor
from seqmem.errors import CellError
from seqmem.tasks.model import State
from seqmem.tasks.task import Features, InputSpec

__all__ = ["LAYER_OPTIONS", "RecurrentModel", "features_and_state", "takes_state"]

# What a layer is given besides its sizes, if it names it.
LAYER_OPTIONS = frozenset({"num_layers", "batch_first", "dropout"})


class RecurrentModel(LinearReadout):
    """Embedding, a user's recurrent layers, readout, and dropout between them."""

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        make: Callable[..., nn.Module],
        arguments: Mapping[str, Any],
        named: Collection[str] = (),
        *,
        hidden: int = 128,
        layers: int = 1,
        dropout: float = 0.0,
        tied: bool = False,
    ) -> None:
        """Create a model with random weights.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            make: the user's class.
            arguments: its further keyword arguments.
            named: those of LAYER_OPTIONS that it names.
            hidden: number of features, and size of an id's embedding.
            layers: number of recurrent layers.
            dropout: share of features dropped in training.
            tied: whether embedding and readout share weights.
        """
        super().__init__()
        self.enter = InputLayer(inputs, hidden, dropout)
        between = dropout if layers > 1 else 0.0
        offered = {"num_layers": layers, "batch_first": True, "dropout": between}
        given = {name: offered[name] for name in named}
        stacked = 1 if "num_layers" in given else layers
        widths = [self.enter.width, *[hidden] * (stacked - 1)]
        self.layers = nn.ModuleList(make(width, hidden, **given, **arguments) for width in widths)
        self.stateful = all(takes_state(layer) for layer in self.layers)
        self.dropout = Dropout(dropout)
        self.leave = readout_layer(hidden, outputs, self.enter if tied else None)
        self.width, self.inputs = hidden, inputs

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, hidden), and the state after the last input."""
        features = self.enter(inputs)
        states = state or (None,) * len(self.layers)
        after = []
        for layer, before in zip(self.layers, states, strict=True):
            returned = layer(features, before) if self.stateful else layer(features)
            name, shape = type(layer).__name__, (*features.shape[:2], self.width)
            if self.stateful:
                features, own = features_and_state(returned, shape, name)
                after.append(own)
            else:
                features = main_tensor(returned, shape, name)
            features = self.dropout(features)
        return features, tuple(after) if self.stateful else None

    @torch.no_grad()
    def state_size(self, context: int) -> int | None:
        """Return the number of floats of the state, taken to be the same after any inputs."""
        if not self.stateful:
            return None
        device = self.leave.weight.device
        one = torch.zeros(1, 1, dtype=torch.int32, device=device)
        if isinstance(self.inputs, Features):
            one = torch.zeros(1, 1, self.inputs.dimension, device=device)
        training = self.training
        _, state = self.eval().hidden(one)
        self.train(training)
        return _floats(state)


def features_and_state(returned: object, shape: tuple[int, ...], name: str) -> tuple[Tensor, State]:
    """Return the features and the state in what a layer that takes a state returned.

    Args:
        returned: what it returned.
        shape: of the features.
        name: the layer's, for the message.

    Raises:
        CellError: it is something else.
    """
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise CellError(
            f"{name} takes a state and returned {type(returned).__name__}; it must return a pair, "
            "features and the state after them"
        )
    features, state = returned
    if not _is_state(state):
        raise CellError(
            f"{name} returned {type(state).__name__} as its state; it must be None, a tensor or a "
            "tuple of these"
        )
    return main_tensor(features, shape, name), state


def _is_state(state: object) -> bool:
    if isinstance(state, tuple | list):
        return all(map(_is_state, state))
    return state is None or isinstance(state, Tensor)


def _floats(state: State) -> int:
    if isinstance(state, Tensor):
        return state.numel()
    return sum(map(_floats, state or ()))


def takes_state(layer: nn.Module) -> bool:
    """Return whether a layer's forward takes a second argument, the state."""
    parameters = [
        p
        for p in inspect.signature(layer.forward).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(parameters) >= 2
