"""The one tensor that is meant in what a user's module returns."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from seqmem.errors import CellError

__all__ = ["are_probabilities", "main_tensor"]

NAMES = ("logits", "outputs", "output", "scores")


def main_tensor(returned: object, shape: tuple[int, ...], what: str) -> Tensor:
    """Return the tensor that is meant in what a module returned.

    Args:
        returned: a tensor, or a tuple, list or mapping that contains tensors.
        shape: of the tensor that is meant.
        what: what the module is, for the message.

    Raises:
        CellError: there is none, or several.
    """
    if isinstance(returned, Tensor):
        if tuple(returned.shape) != shape:
            raise CellError(
                f"{what} returned a tensor of shape {tuple(returned.shape)}, and must return "
                f"{shape}"
            )
        return returned
    items: Iterable[tuple[object, object]] = ()
    if isinstance(returned, Mapping):
        items = returned.items()
    elif isinstance(returned, tuple | list):
        items = enumerate(returned)
    fitting = {
        key: value
        for key, value in items
        if isinstance(value, Tensor) and tuple(value.shape) == shape
    }
    # Models return their scores first, or under a usual name.
    for key in (0, *NAMES) if isinstance(returned, Mapping) or 0 in fitting else ():
        if key in fitting:
            return fitting[key]
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    found = f"{len(fitting)} of them" if fitting else "none"
    raise CellError(
        f"{what} returned {type(returned).__name__}, and must return one tensor of shape {shape}: "
        f"{found} in it"
    )


@torch.no_grad()
def are_probabilities(outputs: Tensor) -> bool:
    """Return whether outputs (B, L, V) seem to have gone through a softmax already."""
    return bool(
        outputs.shape[-1] > 1 and (outputs >= 0).all() and (outputs.sum(-1) - 1).abs().max() < 1e-4
    )
