"""How many of the latest inputs an output depends on, and how much on each.

The last output of sequences is looked at. Their length doubles until the oldest input that matters
stays strictly inside, and stays the same at the next length.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqmem.errors import InputError
from seqmem.probing.influence import ROUNDING, changes, gradients
from seqmem.probing.inputs import Source
from seqmem.probing.network import Network

__all__ = ["Look", "look", "measure_field"]

DRAWS = 16  # of inputs: a unit that is zero for some (ReLU) is not for others
STEPS = 2048  # inputs of all draws together
# An influence that gets smaller than this, relative to the largest, has left the range of floats:
# where it seems to end says nothing.
FADED = {torch.float64: 1e-150, torch.float32: 1e-25}
PROFILE = 128  # lags whose inputs are replaced one by one, where there are no gradients


@dataclass(frozen=True)
class Look:
    """What the last output of sequences of one length depends on.

    Attributes:
        length: of the sequences, in inputs.
        field: the oldest input with an influence, in inputs: 1 is the current one, 0 none at all.
        faded: whether the influence gets too small for floats before it ends.
        influence: its share by lag, from lag 0 on; the sum is 1.
        within: the inputs beyond which the influence of all older ones together is under a share.
        method: "gradients" or "replaced inputs".
    """

    length: int
    field: int
    faded: bool
    influence: tuple[float, ...]
    within: int
    method: str

    @property
    def bounded(self) -> bool:
        """Whether the field is known: it ends strictly inside the sequences."""
        return self.field < self.length and not self.faded


def measure_field(
    network: Network,
    source: Source,
    lengths: Iterator[int],
    declared: int | None,
    *,
    share: float,
    noise: float,
    seed: int,
) -> list[Look]:
    """Return what was seen at each length, until the field is known or lengths end.

    The field is known if it is what the network declares, or the same at two lengths. Then the last
    length is looked at as well: a connection that skips far is in sight there only.

    Args:
        network: the network.
        source: of inputs.
        lengths: ascending, more than the field.
        declared: the receptive field that the network declares.
        share: under which older inputs count as little.
        noise: the influence of later inputs on a causal network, relative.
        seed: of inputs and cotangents.

    Raises:
        InputError: the network cannot read even the first length.
    """
    looks: list[Look] = []
    rest = list(lengths)
    while rest:
        length = rest.pop(0)
        try:
            looks.append(look(network, source, length, share=share, noise=noise, seed=seed))
        except InputError:  # longer than it can read
            if not looks:
                raise
            break
        last = looks[-1]
        if last.bounded and last.field == declared:
            break
        if last.bounded and len(looks) > 1 and looks[-2].field == last.field:
            rest = rest[-1:]
    return looks


def look(
    network: Network, source: Source, length: int, *, share: float, noise: float, seed: int
) -> Look:
    """Return what the last output of sequences of a length depends on; see `measure_field`."""
    draws = max(2, min(DRAWS, STEPS // length))
    inputs = source.draw(draws, length, seed)
    last = torch.full((draws,), length - 1)
    floor = 30 * noise
    slopes = gradients(network, inputs, last, seed)
    if slopes is not None and float(slopes.max()) > 0:
        largest, mean = slopes.amax(0).flip(0), slopes.mean(0).flip(0)  # by lag
        largest = largest / largest.max()
        seen = (largest > floor).nonzero()
        field = int(seen[-1]) + 1
        edge = float(largest[field - 1])
        hidden = field < length and _moved(network, source, inputs, length - field, seed) > floor
        if not hidden:
            parts = (mean / mean.sum()).tolist()
            older = mean.flip(0).cumsum(0).flip(0) / mean.sum()  # lag or more
            within = int((older > share).sum())
            faded = edge < FADED[network.dtype]
            return Look(length, field, faded, tuple(parts), within, "gradients")
    return _by_replacing(network, source, inputs, share, floor, seed)


def _by_replacing(
    network: Network, source: Source, inputs: Tensor, share: float, floor: float, seed: int
) -> Look:
    """Find by bisection the shortest prefix whose replacement changes the last output."""
    length = inputs.shape[1]
    whole = _moved(network, source, inputs, length, seed)

    def field(least: float) -> tuple[int, float]:
        """Return the inputs in whose absence the output changes by more, and by how much."""
        low, high, change = 0, length, whole
        if whole <= least:
            return 0, 1.0
        while high - low > 1:
            middle = (low + high) // 2
            moved = _moved(network, source, inputs, middle, seed)
            if moved > least:
                high, change = middle, moved
            else:
                low = middle
        return length - high + 1, change

    inputs_seen, edge = field(floor)
    parts = _profile(network, source, inputs, min(inputs_seen, PROFILE), seed)
    faded = edge <= ROUNDING[network.dtype]
    return Look(length, inputs_seen, faded, parts, field(share * whole)[0], "replaced inputs")


def _moved(network: Network, source: Source, inputs: Tensor, count: int, seed: int) -> float:
    """Return how much the last output changes when the first inputs are replaced."""
    if count == 0:
        return 0.0
    others = inputs.clone()
    others[:, :count] = source.other(inputs, seed + 1)[:, :count]
    return float(changes(network, inputs, others)[:, -1].max())


def _profile(
    network: Network, source: Source, inputs: Tensor, lags: int, seed: int
) -> tuple[float, ...]:
    """Return the share of each lag in the changes of the last output, one input replaced."""
    length = inputs.shape[1]
    some = inputs[:2].repeat_interleave(lags, 0)
    places = length - 1 - torch.arange(lags).repeat(min(2, len(inputs)))
    others, rows = some.clone(), torch.arange(len(some))
    others[rows, places] = source.other(some, seed + 2)[rows, places]
    if not lags:
        return ()
    moved = changes(network, some, others)[:, -1].unflatten(0, (-1, lags)).mean(0)
    total = float(moved.sum())
    return tuple((moved / total).tolist()) if total else (0.0,) * lags
