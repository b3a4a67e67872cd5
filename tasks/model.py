"""What can be measured: a causal map from inputs to outputs, best split into hidden and readout."""

import hashlib
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.errors import CellError

__all__ = [
    "FullOutputs",
    "SequenceModel",
    "State",
    "as_sequence_model",
    "check_features",
    "detach",
    "weights_sha256",
]

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
        floats_per_step: how many floats `hidden` gives for each input where they are so many that
            they bound what is read at once, as where features are the outputs; 0: they are few.
    """

    receptive_field: int | None = None
    stateful: bool = False
    float32_only: bool = False
    next_token_only: bool = False
    floats_per_step: int = 0

    @abstractmethod
    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Read inputs (B, L) or (B, L, D); give features (B, L, H) and the state behind them.

        A state of None is the start of a sequence.
        """

    @abstractmethod
    def readout(self, hidden: Tensor) -> Tensor:
        """Turn features (…, H) into outputs (…, outputs)."""

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Read inputs as `hidden` does; give the features at m of the positions only.

        A model for which that is cheaper than all of them, or for which all are too many to keep,
        has its own way.

        Args:
            inputs: (B, L) or (B, L, D).
            rows: (m,) which of the B sequences.
            columns: (m,) which of its L inputs.
            state: as in `hidden`.

        Returns:
            features (m, H), and the state behind the inputs.

        Raises:
            CellError: `hidden` gave something else than one feature vector for each input.
        """
        features, state = self.hidden(inputs, state)
        check_features(features, inputs)
        return features[rows.to(features.device), columns.to(features.device)], state

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

    def __init__(self, module: nn.Module, outputs: int = 0) -> None:
        """Wrap a module; its attribute `receptive_field` is taken over where it has one.

        Args:
            module: gives (B, L, outputs).
            outputs: how many, so that no more is read at once than memory holds; 0: few.
        """
        super().__init__()
        self.module = module
        self.floats_per_step = outputs
        field = getattr(module, "receptive_field", None)
        self.receptive_field = None if field is None else int(field)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Give the outputs themselves."""
        return self.module(inputs), None

    def readout(self, hidden: Tensor) -> Tensor:
        """Pass on what is an output already."""
        return hidden


def as_sequence_model(module: nn.Module, outputs: int = 0) -> SequenceModel:
    """Give the module itself if it is a SequenceModel, or else a wrapper that makes it one."""
    return module if isinstance(module, SequenceModel) else FullOutputs(module, outputs)


def check_features(features: Tensor, inputs: Tensor) -> None:
    """Hold a model to one feature vector for each input.

    Raises:
        CellError: it gave something else.
    """
    if not isinstance(features, Tensor):
        raise CellError(f"the model returned {type(features).__name__}, and must return one tensor")
    if features.ndim != 3 or features.shape[:2] != inputs.shape[:2]:
        raise CellError(
            f"for inputs of shape {tuple(inputs.shape)} the model returned features of shape "
            f"{tuple(features.shape)}; the first two dimensions must be the same"
        )


def detach(state: State) -> State:
    """Cut a state from the graph that made it."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return state.detach()
    return tuple(detach(part) for part in state)


def weights_sha256(model: SequenceModel) -> str:
    """Hash names, shapes and values of a model's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
