"""Echo state network: a random recurrent network of which only the readout is fitted."""

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.layers import LinearReadout
from seqmem.baselines.options import Count, Range
from seqmem.baselines.ridge import ridge_readout
from seqmem.tasks.model import State
from seqmem.tasks.task import InputSpec, Task, Tokens

__all__ = ["EchoState", "Reservoir"]


class EchoState(LinearReadout):
    """Leaky tanh units with fixed random weights (Jaeger 2001, GMD report 148).

    With inputs u, one-hot for ids, the state is

        x_t = (1 − a) x_{t−1} + a tanh(W x_{t−1} + V u_t + b)

    (Lukoševičius 2012, "A practical guide to applying echo state networks", equations 2 and 3; his
    order of x_{t−1} and its leak). V and b are uniform on [−`input_scale`, `input_scale`]. Each row
    of W has `connections` normal numbers at random places, and W is scaled so that the largest
    magnitude of its eigenvalues is `radius`. The readout is linear in x and fitted by ridge
    regression, as `ridge_readout` describes for each kind of loss. It is fitted from the initial
    state on, without a washout: windows of k inputs are read from there too.
    """

    stateful = True
    float32_only = True  # a readout with a small λ is a difference of large numbers
    reads_training_data = True  # see ClosedForm

    read: Tensor  # V (inputs, units)
    bias: Tensor

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        units: Count = 200,
        radius: Annotated[float, Range(0, 100)] = 0.9,
        leak: Annotated[float, Range(0, 1, open_low=True)] = 0.3,
        input_scale: Annotated[float, Range(0, 1000)] = 0.3,
        connections: Count = 10,
    ) -> None:
        """Create a model with a random reservoir and a readout that returns zeros.

        Args:
            inputs: the type and size of one input.
            outputs: the number of outputs for each position.
            units: size of the state. The recipes' `hidden` sets that of models whose weights are
                all trained; here a unit costs no training.
            radius: largest magnitude of the recurrent weights' eigenvalues.
            leak: a, the share of the state that each step replaces.
            input_scale: largest weight of an input, and of the bias.
            connections: inputs of a unit from other units; at most `units`.
        """
        super().__init__()
        self.ids = isinstance(inputs, Tokens)
        size = inputs.vocabulary if isinstance(inputs, Tokens) else inputs.dimension
        self.register_buffer("read", input_scale * (2 * torch.rand(size, units) - 1))
        self.register_buffer("bias", input_scale * (2 * torch.rand(units) - 1))
        self.reservoir = Reservoir(units, radius, leak, connections)
        self.leave = nn.Linear(units, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def fit(self, task: Task, seed: int) -> None:
        """Set the readout from the task's training and validation data.

        Raises:
            InputError: the task has no training data.
        """
        weight, bias = ridge_readout(self, task, seed)
        with torch.no_grad():
            self.leave.weight.copy_(weight)
            self.leave.bias.copy_(bias)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> the state after each input (B, L, units), and the last (1, B, units)."""
        driven = F.embedding(inputs, self.read) if self.ids else inputs @ self.read
        if state is None:
            state = driven.new_zeros(1, len(driven), driven.shape[2])
        states: Tensor = self.reservoir(driven + self.bias, state)
        return states, states[None, :, -1]

    def state_size(self, context: int) -> int:
        """Return the number of units."""
        return len(self.bias)


class Reservoir(nn.Module):
    """The recurrence of an echo state network.

    Attributes:
        recurrent: W (units, units).
        leak: a.
    """

    recurrent: Tensor

    def __init__(self, units: int, radius: float, leak: float, connections: int) -> None:
        """Draw the weights."""
        super().__init__()
        connections = min(connections, units)
        places = torch.rand(units, units).argsort(1)[:, :connections]
        weights = torch.zeros(units, units).scatter(1, places, torch.randn(units, connections))
        largest = torch.linalg.eigvals(weights.double()).abs().max().float()
        self.register_buffer("recurrent", radius / largest * weights)
        self.leak = leak

    def forward(self, driven: Tensor, state: Tensor) -> Tensor:
        """V u + b (B, L, units), state (1, B, units) -> states after each input (B, L, units)."""
        (now,), states = state, []
        turned = self.recurrent.T
        for step in driven.unbind(1):
            now = torch.lerp(now, torch.tanh(torch.addmm(step, now, turned)), self.leak)
            states.append(now)
        return torch.stack(states, 1)
