"""The interface of a model: a causal map from inputs to outputs, split into hidden and readout."""

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

State = Any  # nested tuples of tensors, or None; defined by the model


class SequenceModel(nn.Module):
    """A causal sequence model: the output at t depends on inputs up to t only.

    The outputs are raw scores; seqmem turns them into probabilities. `hidden` and `readout` are
    separate because only some positions are scored, and a large readout dominates the cost.

    Attributes:
        receptive_field: how many of the latest inputs an output depends on; None: all of them.
        trained_on_segments: whether it is trained on segments of k_train inputs, although it has a
            longer receptive field.
        next_token_only: whether it works only on tasks whose targets are the next inputs.
        needs_separator: whether it works only on tasks whose inputs have a source and a target.
        stateful: whether `hidden` takes and returns a state, so that a sequence can be read in
            pieces.
        float32_only: whether it cannot compute in shorter floating-point types.
        floats_per_step: how many floats `hidden` returns for each input if they are so many that
            they limit what is read at once, as when features are the outputs; 0: they are few.
    """

    receptive_field: int | None = None
    stateful: bool = False
    trained_on_segments: bool = False
    float32_only: bool = False
    next_token_only: bool = False
    needs_separator: bool = False
    floats_per_step: int = 0

    @abstractmethod
    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return features (B, L, H) of inputs (B, L) or (B, L, D), and the state after them.

        A state of None is the start of a sequence.
        """

    @abstractmethod
    def readout(self, hidden: Tensor) -> Tensor:
        """Return outputs (…, outputs) of features (…, H)."""

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return what `hidden` returns, with the features at m of the positions only.

        Overridden by a model for which that is cheaper than all of them, or for which all are too
        many for the memory.

        Args:
            inputs: (B, L) or (B, L, D).
            rows: (m,) which of the B sequences.
            columns: (m,) which of its L inputs.
            state: as in `hidden`.

        Returns:
            features (m, H), and the state after the inputs.

        Raises:
            CellError: `hidden` returned something else than one feature vector for each input.
        """
        features, state = self.hidden(inputs, state)
        check_features(features, inputs)
        return features[rows.to(features.device), columns.to(features.device)], state

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs (B, L) or (B, L, D) -> outputs (B, L, outputs)."""
        outputs: Tensor = self.readout(self.hidden(inputs)[0])
        return outputs

    def start_from(self, outputs: Tensor) -> None:
        """Set the outputs at the start of training, (outputs,); models that cannot do nothing."""

    def constrain(self) -> None:
        """Project the weights onto the set to which they are constrained; most models have none.

        Called at the start of training and after every optimiser step.
        """

    def state_size(self, context: int) -> int | None:
        """Return the floats stored between steps after `context` inputs; None if unknown."""
        return None


class FullOutputs(SequenceModel):
    """Any module that maps (B, L, …) inputs to (B, L, outputs): slower, as it computes them all."""

    def __init__(self, module: nn.Module, outputs: int = 0) -> None:
        """Wrap a module, with its attribute `receptive_field` if it has one.

        Args:
            module: returns (B, L, outputs).
            outputs: how many, to limit what is read at once to the memory; 0: few.
        """
        super().__init__()
        self.module = module
        self.floats_per_step = outputs
        field = getattr(module, "receptive_field", None)
        self.receptive_field = None if field is None else int(field)

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return the outputs themselves."""
        return self.module(inputs), None

    def readout(self, hidden: Tensor) -> Tensor:
        """Return the features, which are outputs already."""
        return hidden


def as_sequence_model(module: nn.Module, outputs: int = 0) -> SequenceModel:
    """Return the module itself if it is a SequenceModel, or else a wrapper that makes it one."""
    return module if isinstance(module, SequenceModel) else FullOutputs(module, outputs)


def check_features(features: Tensor, inputs: Tensor) -> None:
    """Check that a model returned one feature vector for each input.

    Raises:
        CellError: it returned something else.
    """
    if not isinstance(features, Tensor):
        raise CellError(f"the model returned {type(features).__name__}, and must return one tensor")
    if features.ndim != 3 or features.shape[:2] != inputs.shape[:2]:
        raise CellError(
            f"for inputs of shape {tuple(inputs.shape)} the model returned features of shape "
            f"{tuple(features.shape)}; the first two dimensions must be the same"
        )


def detach(state: State) -> State:
    """Return a state detached from the graph that computed it."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return state.detach()
    return tuple(detach(part) for part in state)


def weights_sha256(model: SequenceModel) -> str:
    """Return the hash of names, shapes and values of a model's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
