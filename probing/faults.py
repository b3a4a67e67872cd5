"""What outputs must not depend on: other rows, their number, the length, earlier calls, chance."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seqmem.errors import InputError
from seqmem.probing.influence import ROUNDING
from seqmem.probing.inputs import Source
from seqmem.probing.network import Network

__all__ = ["Fault", "check_batch", "check_length", "check_repeats"]

# Relative to the largest output: sums of other shapes round differently, and networks in float64
# may hold constants in float32.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}


@dataclass(frozen=True)
class Fault:
    """Something that outputs depend on and must not.

    Attributes:
        name: causality, batch, "batch size", length, random, state, repeat or "receptive field".
        text: what was seen, as a sentence without a full stop.
    """

    name: str
    text: str


def check_repeats(network: Network, source: Source, length: int, seed: int) -> list[Fault]:
    """Return faults of calls that do not repeat; a network with a state is copied for each call.

    Random numbers that follow torch's seed are "random", as of dropout that is left on; what stays
    from earlier calls is "state"; all else is "repeat".
    """
    inputs, between = source.draw(3, length, seed), source.draw(3, length, seed + 1)
    faults = []
    first = network(inputs)
    network(between)
    again = network(inputs)
    if (moved := _difference(network, first, again)) > 0:
        network.fresh = True
        if _difference(network, network(inputs), network(inputs)) > 0:
            text = f"a second call changes outputs by {moved:.2g} of the largest, in a new copy too"
            return [Fault("repeat", f"{text}, whatever torch's seed")]
        text = f"an earlier call changes outputs by {moved:.2g} of the largest: a state is kept"
        faults.append(Fault("state", text))
    if (moved := _difference(network, network(inputs), network(inputs, seed=1))) > 0:
        on = [name for name, part in network.module.named_modules() if _is_dropout_on(part)]
        cause = f"{', '.join(on[:3])} is on" if on else "is dropout left on?"
        text = f"another seed of torch changes outputs by {moved:.2g} of the largest: {cause}"
        faults.append(Fault("random", text))
    return faults


def check_batch(
    network: Network, source: Source, length: int, seed: int, *, random: bool
) -> list[Fault]:
    """Return faults of rows that influence each other; they are then read one at a time.

    Args:
        network: the network.
        source: of inputs.
        length: of the sequences.
        seed: of the inputs.
        random: whether it draws random numbers, which differ between batches of other sizes.
    """
    inputs = source.draw(3, length, seed)
    whole, other = network(inputs), source.other(inputs, seed + 2)
    for row in range(3):  # of a batch that is flattened, the first depends on no other
        others = other.clone()
        others[row] = inputs[row]
        moved = _difference(network, whole[[row]], network(others)[[row]], ROUNDING)
        if moved > 0:
            network.rows = 1
            text = f"other sequences of the batch change outputs by {moved:.2g} of the largest"
            return [Fault("batch", text)]
    if random:
        return []
    try:
        alone = network(inputs[1:2])
    except InputError:  # it reads batches of one size only
        return []
    if (moved := _difference(network, whole[1:2], alone)) > 0:
        text = f"a batch of 1 instead of 3 changes outputs by {moved:.2g} of the largest"
        return [Fault("batch size", text)]
    return []


def check_length(network: Network, source: Source, length: int, seed: int) -> list[Fault]:
    """Return the fault of outputs that change when a sequence goes on."""
    inputs = source.draw(2, length, seed)
    whole = network(inputs)
    for cut in sorted({length // 3, length // 2, length - 1} - {0}):
        try:
            part = network(inputs[:, :cut])
        except InputError:  # it reads sequences of one length only
            continue
        if (moved := _difference(network, whole[:, :cut], part)) > 0:
            text = f"reading {cut} of {length} inputs changes outputs by {moved:.2g} of the largest"
            return [Fault("length", text)]
    return []


def _difference(
    network: Network,
    one: Tensor,
    other: Tensor,
    tolerance: Mapping[torch.dtype, float] = TOLERANCE,
) -> float:
    """Return the largest difference, relative to the largest output; 0 where it is rounding."""
    found = float((one - other).abs().max()) / (float(one.abs().max()) or 1.0)
    return found if found > tolerance[network.dtype] else 0.0


def _is_dropout_on(part: nn.Module) -> bool:
    return part.training and "dropout" in type(part).__name__.lower()
