"""The modes of a module's parts, restored after it was measured."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["modes_kept"]


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Restore at the end which parts of a module are in training mode: a user may freeze some."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        module.train(modes[0][1])  # with whatever its own `train` does
        for part, training in modes:
            part.training = training
