"""Whether an output depends on a later input: all outputs against all later inputs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqmem.probing.influence import ROUNDING, changes, gradients, repeated
from seqmem.probing.inputs import Source
from seqmem.probing.network import Network

__all__ = ["Causality", "Leak", "check_causality"]

DRAWS = 2  # of inputs, for gradients: a unit that is zero at one (ReLU) is not at the other
# In a network whose future inputs have influences as small as rounding, those of past inputs must
# be larger by this factor to count.
ABOVE_NOISE = 30


@dataclass(frozen=True)
class Leak:
    """An output that depends on a later input.

    Attributes:
        output: its position, from 0 on.
        input: the position of the input.
        size: how much: of gradients, relative to the largest influence of any input; of replaced
            inputs, the change relative to the largest output.
        method: "gradients" or "replaced inputs".
    """

    output: int
    input: int
    size: float
    method: str

    def __str__(self) -> str:
        """Return it as a sentence without a full stop."""
        scale = "the largest influence" if self.method == "gradients" else "the largest output"
        return (
            f"output {self.output} depends on input {self.input}, {self.input - self.output} later "
            f"({self.size:.2g} of {scale}, by {self.method})"
        )


@dataclass(frozen=True)
class Causality:
    """What was found.

    Attributes:
        leak: the first leak, of the smallest output; None: the network is causal.
        outputs: how many outputs were checked.
        length: of the sequences.
        methods: those that were used.
        noise: the largest influence of a later input, relative; not zero in a causal network only
            where it is no larger than rounding, as in convolutions by fast Fourier transforms.
        reach: the most inputs that any of the outputs depends on, the current one included.
    """

    leak: Leak | None
    outputs: int
    length: int
    methods: tuple[str, ...]
    noise: float
    reach: int


def check_causality(
    network: Network,
    source: Source,
    length: int,
    outputs: Sequence[int],
    seed: int,
    *,
    replace: bool = True,
) -> Causality:
    """Return whether outputs depend on later inputs.

    Of every output the gradient by every input is computed, and every input from each cut on is
    replaced. An influence of a later input is a leak if it is larger than rounding.

    Args:
        network: the network.
        source: of inputs.
        length: of the sequences.
        outputs: the positions that are checked, ascending.
        seed: of inputs and cotangents.
        replace: whether inputs are replaced, too: not where no call can be repeated.
    """
    rounding = ROUNDING[network.dtype]
    chosen = torch.tensor(outputs)
    methods: list[str] = []
    noise, reach = 0.0, 0
    leaks: list[Leak] = []
    influence = _by_gradients(network, source, length, chosen, seed)
    if influence is not None:
        methods.append("gradients")
        later = torch.arange(length) > chosen[:, None]
        ahead = torch.where(later, influence, 0.0)
        noise = float(ahead.max())
        if noise > rounding:
            row = int((ahead > rounding).any(1).nonzero()[0])
            at = int(ahead[row].argmax())
            leaks.append(Leak(int(chosen[row]), at, float(ahead[row, at]), "gradients"))
        floor = min(noise, rounding) * ABOVE_NOISE
        lags = (chosen[:, None] - torch.arange(length) + 1)[(influence > floor) & ~later]
        reach = int(lags.max()) if len(lags) else 0
    if replace:
        methods.append("replaced inputs")
        found = _by_replacing(network, source, length, chosen, seed)
        noise = max(noise, float(found.max()))
        if (found > rounding).any():
            column = int((found > rounding).any(0).nonzero()[0])  # the first output
            cut = int((found[:, column] > rounding).nonzero()[-1])
            size = float(found[cut, column])
            leaks.append(Leak(column, int(chosen[cut]), size, "replaced inputs"))
    first = min(leaks, key=lambda leak: leak.output, default=None)
    return Causality(first, len(outputs), length, tuple(methods), noise, reach)


def _by_gradients(
    network: Network, source: Source, length: int, outputs: Tensor, seed: int
) -> Tensor | None:
    """Return influences (outputs, L) of inputs, the largest of a few draws, relative to all."""
    inputs = repeated(source, length, len(outputs), DRAWS, seed)
    found = gradients(network, inputs, outputs.repeat(DRAWS), seed)
    if found is None or not (largest := float(found.max())):
        return None
    each: Tensor = (found / largest).unflatten(0, (DRAWS, -1))
    return each.amax(0)


def _by_replacing(network: Network, source: Source, length: int, cuts: Tensor, seed: int) -> Tensor:
    """Return changes (cuts, L) of outputs before each cut when inputs from there on are replaced.

    They are zero from the cut on, where outputs may change.
    """
    inputs = repeated(source, length, len(cuts), 1, seed)
    after = torch.arange(length) >= cuts[:, None]
    wide = after.view(*after.shape, *[1] * (inputs.ndim - 2))
    others = torch.where(wide, source.other(inputs, seed + 1), inputs)
    return torch.where(after, 0.0, changes(network, inputs, others))
