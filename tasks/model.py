"""What can be measured: a causal map from inputs to outputs, best split into hidden and readout."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FullOutputs", "SequenceModel", "State", "as_sequence_model", "detach"]

State = Any  # nested tuples of tensors, or None; its meaning belongs to the model


class SequenceModel(nn.Module):
    """A causal sequence model: the output at t depends on inputs up to t only.

    The outputs are raw scores; the suite turns them into probabilities. `hidden` and `readout` are
    separate because only some positions are scored, and a large readout dominates the cost.

    Attributes:
        receptive_field: how many of the latest inputs an output depends on; None: all of them.
        next_token_only: whether it is made for tasks whose targets are the next inputs, and for
            no others.
        stateful: whether `hidden` takes and returns a state, so that a sequence can be read in
            pieces.
        float32_only: whether it cannot compute with shorter floats.
    """

    receptive_field: int | None = None
    stateful: bool = False
    float32_only: bool = False
    next_token_only: bool = False

    @abstractmethod
    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read inputs (B, L) or (B, L, D); give features (B, L, H) and the state behind them.

        A state of None is the start of a sequence.
        """

    @abstractmethod
    def readout(self, hidden: Tensor) -> Tensor:
        """Turn features (…, H) into outputs (…, outputs)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, L) or (B, L, D) -> outputs (B, L, outputs)."""
        outputs: Tensor = self.readout(self.hidden(inputs)[0])
        return outputs

    def start_from(self, outputs: Tensor) -> None:
        """Begin training from constant outputs (outputs,); models that cannot do nothing."""

    def constrain(self) -> None:
        """Put the weights back into the set they are constrained to; most models have none.

        Called at the start of training and after every optimiser step.
        """

    def state_size(self, context: int) -> int | None:
        """Count the floats kept between steps once `context` inputs are read; None: not known."""
        return None


class FullOutputs(SequenceModel):
    """Any module that maps (B, L, …) inputs to (B, L, outputs): slower, as it reads out all."""

    def __init__(self, module: nn.Module) -> None:
        """Wrap a module; its attribute `receptive_field` is taken over where it has one."""
        super().__init__()
        self.module = module
        field = getattr(module, "receptive_field", None)
        self.receptive_field = None if field is None else int(field)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Give the outputs themselves."""
        return self.module(inputs), None

    def readout(self, hidden: Tensor) -> Tensor:
        """Pass on what is an output already."""
        return hidden


def as_sequence_model(module: nn.Module) -> SequenceModel:
    """Give the module itself if it is a SequenceModel, or else a wrapper that makes it one."""
    return module if isinstance(module, SequenceModel) else FullOutputs(module)


def detach(state: State) -> State:
    """Cut a state from the graph that made it."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return state.detach()
    return tuple(detach(part) for part in state)
