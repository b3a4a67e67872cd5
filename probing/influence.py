"""How much inputs move outputs: vector–Jacobian products, or inputs that are replaced.

A gradient of one output, multiplied by a random vector (cotangent), is zero at an input exactly if
the output does not depend on it near these inputs, up to coincidences of probability zero. Inputs
that are replaced need no gradients and see also what is computed without one (a comparison, a
lookup), but only what is larger than rounding. In both, rows that are compared stand at the same
place of batches of one shape, so that what does not depend on a change is equal to the last bit.
"""

import torch
from torch import Tensor

from seqmem.probing.inputs import Source
from seqmem.probing.network import Network

__all__ = ["ROUNDING", "changes", "gradients", "repeated"]

# What is smaller, relative to the largest influence or to the outputs, may be rounding.
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5}
PASS = 1 << 13  # inputs read at once
SMALL = 100_000  # parameters up to which they are four times as many
NUMBERS = 1 << 25  # outputs computed at once
SQUARES = 1 << 21  # pairs of positions at once: attention stores several numbers for each


def gradients(network: Network, inputs: Tensor, outputs: Tensor, seed: int) -> Tensor | None:
    """Return the sizes (B, L) of the gradients of one output of each row by every input.

    Args:
        network: the network.
        inputs: (B, L, …).
        outputs: (B,) which output of each row.
        seed: of the cotangents, which are normal.

    Returns:
        Euclidean norms over what an input consists of; None where there are no gradients.
    """
    random = torch.Generator().manual_seed(seed)
    found = []
    for rows in _batches(network, inputs):
        traced = network.traced(inputs[rows])
        if traced is None:
            return None
        leaf, given = traced
        width = given.shape[-1]
        cotangent = torch.randn(len(rows), width, generator=random, dtype=given.dtype)
        chosen = given[torch.arange(len(rows)), outputs[rows]]  # (B, V)
        if not chosen.requires_grad:
            return None
        (slopes,) = torch.autograd.grad(chosen, leaf, cotangent, allow_unused=True)
        slopes = torch.zeros_like(leaf) if slopes is None else slopes
        if slopes.ndim == 2:
            slopes = slopes[..., None]
        # In two steps: squares of small numbers would be zero.
        largest = slopes.flatten(2).abs().amax(-1, keepdim=True)
        safe = torch.where(largest > 0, largest, torch.ones_like(largest))
        found.append((slopes.flatten(2) / safe).norm(dim=-1) * largest[..., 0])
    return torch.cat(found)


def changes(network: Network, inputs: Tensor, others: Tensor) -> Tensor:
    """Return how much every output differs between two sets of inputs: (B, L).

    The largest difference, relative to the largest output.

    Args:
        network: the network.
        inputs: (B, L, …).
        others: the same, with some of them replaced.
    """
    found = []
    for rows in _batches(network, inputs):
        before, after = network(inputs[rows]), network(others[rows])
        scale = float(before.abs().max()) or 1.0
        found.append((after - before).abs().amax(-1) / scale)
    return torch.cat(found)


def repeated(source: Source, length: int, rows: int, draws: int, seed: int) -> Tensor:
    """Return inputs (draws × rows, length, …), each of a number of draws repeated in rows."""
    return source.draw(draws, length, seed).repeat_interleave(rows, 0)


def _batches(network: Network, inputs: Tensor) -> list[Tensor]:
    """Return which rows are read at once, so that a pass fits the memory."""
    length = inputs.shape[1]
    most = PASS if network.parameters > SMALL else 4 * PASS
    steps = min(most, NUMBERS // max(network.width, 1))
    size = max(min(steps // length, SQUARES // length**2, network.rows), 1)
    return list(torch.arange(len(inputs)).split(size))
