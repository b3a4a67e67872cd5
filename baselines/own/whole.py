"""A whole model: ``Class(inputs, outputs, **options)``.

Any `torch.nn.Module` that maps ids (B, L) or floats (B, L, D) to scores (B, L, outputs) will do. A
`seqmem.tasks.model.SequenceModel` may carry a state, and is read out at scored positions only.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from seqmem.baselines.own.outputs import main_tensor
from seqmem.tasks.model import FullOutputs, SequenceModel, State
from seqmem.tasks.task import InputSpec

__all__ = ["WholeModel", "whole_model"]


def whole_model(
    make: Callable[..., nn.Module], inputs: InputSpec, outputs: int, options: Mapping[str, Any]
) -> SequenceModel:
    """Return a model of the user's class.

    Args:
        make: the class.
        inputs: the type and size of one input.
        outputs: the number of outputs for each position.
        options: its further keyword arguments.
    """
    module = make(inputs, outputs, **options)
    return module if isinstance(module, SequenceModel) else WholeModel(module, outputs)


class WholeModel(FullOutputs):
    """A module that computes all outputs; of a tuple or mapping, the part with their shape."""

    def __init__(self, module: nn.Module, outputs: int) -> None:
        """Wrap a module that has `outputs` outputs for each position."""
        super().__init__(module, outputs)
        self.outputs = outputs

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return the outputs (B, L, outputs) themselves."""
        shape = (*inputs.shape[:2], self.outputs)
        return main_tensor(self.module(inputs), shape, type(self.module).__name__), None
