"""Models measured while they are trained: their training goes on as if they had not been.

Scores are computed in inference mode. What a module makes there and keeps, as a mask made at its
first call, could not be used in its training: so the module itself is called outside of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from seqmem.baselines.own.whole import WholeModel
from seqmem.baselines.training.loop import seeded
from seqmem.measuring.modes import modes_kept
from seqmem.submissions.hugging_face.model import HuggingFaceModel, longest_input
from seqmem.tasks.model import SequenceModel, State

__all__ = ["UndisturbedModel", "UndisturbedTokens", "undisturbed"]


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Restore modes, settings and torch's random numbers at the end; compute no gradients."""
    config = getattr(module, "config", None)
    use_cache = getattr(config, "use_cache", None)
    try:
        with modes_kept(module), seeded(0), torch.no_grad():
            yield
    finally:
        if use_cache is not None:
            vars(config)["use_cache"] = use_cache


@contextmanager
def _usable_later() -> Iterator[None]:
    with torch.inference_mode(False), torch.no_grad():
        yield


class UndisturbedModel(SequenceModel):
    """A module from inputs to scores, or a SequenceModel, called outside of inference mode.

    Attributes:
        longest: the longest input that its settings allow; None where they name none.
    """

    def __init__(self, module: nn.Module, outputs: int) -> None:
        """Wrap a module that has `outputs` outputs for each position."""
        super().__init__()
        own = module if isinstance(module, SequenceModel) else WholeModel(module, outputs)
        self.module, self.name = own, type(module).__name__
        self.receptive_field, self.stateful = own.receptive_field, own.stateful
        self.floats_per_step = own.floats_per_step
        config: Any = getattr(module, "config", None)
        self.longest = longest_input(config) if hasattr(config, "get_text_config") else None

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return what the module returns."""
        with _usable_later():
            return self.module.hidden(_inputs(inputs), state)

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return what the module returns."""
        with _usable_later():
            return self.module.features_at(_inputs(inputs), rows.clone(), columns.clone(), state)

    def readout(self, hidden: Tensor) -> Tensor:
        """Return what the module returns."""
        with _usable_later():
            return self.module.readout(hidden.clone())


class UndisturbedTokens(HuggingFaceModel):
    """A network that reads tokens, called outside of inference mode."""

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return what the network returns."""
        with _usable_later():
            return super().hidden(inputs.clone(), state)

    def features_at(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State = None
    ) -> tuple[Tensor, State]:
        """Return what the network returns."""
        with _usable_later():
            return super().features_at(inputs.clone(), rows.clone(), columns.clone(), state)


def _inputs(inputs: Tensor) -> Tensor:
    """Return a copy; ids as int64, which every embedding takes."""
    return inputs.clone() if inputs.is_floating_point() else inputs.to(torch.int64, copy=True)
