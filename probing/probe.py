"""Probe a network: all checks, in the order in which one needs the other's result."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from seqmem.errors import InputError
from seqmem.measuring.modes import modes_kept
from seqmem.probing.causality import Causality, check_causality
from seqmem.probing.cost import NO_COST, measure_cost
from seqmem.probing.faults import Fault, check_batch, check_length, check_repeats
from seqmem.probing.findings import Findings
from seqmem.probing.inputs import Source
from seqmem.probing.network import Network, declared_field, state_floats
from seqmem.probing.receptive_field import measure_field

__all__ = ["ProbeOptions", "probe_network"]

EVERY = 128  # inputs up to which all outputs are checked by default
FIRST = 64  # inputs of the first look at the past
SMALL = 5_000_000  # parameters up to which a network is looked at at great lengths
# Products of numbers in the check of causality: a large network is checked at fewer outputs.
WORK = 3e11
FEWEST = 16  # outputs that are checked in any case
LATER = 256  # inputs of a second check, at that many outputs
TIMED = 512  # inputs of the longest pass that is timed


@dataclass(frozen=True)
class ProbeOptions:
    """How a network is probed.

    Attributes:
        length: of the sequences; None: as the receptive field needs.
        longest: up to which the length grows; None: 1,024, or 256 for a large network.
        declared: the receptive field that is claimed; None: what the module declares itself.
        share: under which older inputs count as little.
        seed: of inputs and cotangents.
        time: the axis of time in what the module reads and returns.
        cost: whether passes are timed.
    """

    length: int | None = None
    longest: int | None = None
    declared: int | None = None
    share: float = 0.01
    seed: int = 0
    time: int = 1
    cost: bool = True


def probe_network(
    module: nn.Module, source: Source, name: str, options: ProbeOptions | None = None
) -> Findings:
    """Return how far a network looks, and what its outputs must not depend on.

    The module is left as it is: a copy is probed, where one can be made.

    Args:
        module: from inputs (B, L) or (B, L, D) to outputs (B, L, …).
        source: of inputs.
        name: of the network, for the report.
        options: lengths, seed.

    Raises:
        InputError: it cannot read such inputs, or returns no output for each of them.
        NotFiniteError: an output is not finite.
    """
    options = options or ProbeOptions()
    if options.length is not None and options.length < 2:
        raise InputError(f"length {options.length}: is too short; give 2 or more")
    if not 0 < options.share < 1:
        raise InputError(f"share {options.share}: is not between 0 and 1, as in 0.01")
    with modes_kept(module):
        return _Probe(module, source, name, options).run()


class _Probe:
    """One probe of one network."""

    def __init__(self, module: nn.Module, source: Source, name: str, options: ProbeOptions) -> None:
        self.source, self.name, self.options = source, name, options
        self.declared = options.declared or declared_field(module)
        self.module, self.seed = module, options.seed
        example = source.draw(2, options.length or 8, options.seed)
        self.network = Network(module, name, example, options.time)

    def run(self) -> Findings:
        network, source, seed = self.network, self.source, self.seed
        length = self.options.length or self._readable(EVERY)
        repeats = check_repeats(network, source, length, seed)
        names = {fault.name for fault in repeats}
        sound = "repeat" not in names
        others: list[Fault] = []
        if sound:
            others = check_batch(network, source, length, seed, random="random" in names)
        causality = self._causality(length, self._outputs(length), sound)
        if causality.leak is None and sound and "random" not in names:
            others += check_length(network, source, length, seed)
        looks = measure_field(
            network,
            source,
            iter(self._lengths()),
            self.declared,
            share=self.options.share,
            noise=0.0 if causality.leak else causality.noise,
            seed=seed,
        )
        longest = looks[-1].length
        if causality.leak is None and (further := min(longest, LATER)) > length:
            # What leaks at later positions only, as where a sequence is read in blocks.
            later = self._causality(further, self._outputs(further, FEWEST), sound)
            if later.leak is not None:
                causality = later
        timed = min(self.options.length or self._readable(TIMED), TIMED)
        context = min(self.declared or longest, longest)
        floats = state_floats(self.module, context)
        found = Findings(
            name=self.name,
            inputs=source.name,
            precision=str(network.dtype).removeprefix("torch."),
            parameters=network.parameters,
            state=None if floats is None else (context, floats),
            declared=self.declared,
            causality=causality,
            looks=tuple(looks),
            faults=(*_leak(causality), *others, *repeats),
            cost=measure_cost(network, source, timed, seed)
            if self.options.cost and timed >= 4
            else NO_COST,
            share=self.options.share,
        )
        return _with_wrong_field(found)

    def _causality(self, length: int, outputs: Sequence[int], sound: bool) -> Causality:
        return check_causality(self.network, self.source, length, outputs, self.seed, replace=sound)

    def _readable(self, length: int) -> int:
        """Return the length, or the largest half, quarter and so on of it that can be read."""
        while length > 8:
            try:
                self.network(self.source.draw(2, length, self.seed))
            except InputError:
                length //= 2
            else:
                break
        return length

    def _outputs(self, length: int, most: int | None = None) -> Sequence[int]:
        """Return the outputs to check: all, or random ones where they are many or it is slow."""
        if most is None:
            # Two draws; a pass forward and back, and two forward.
            one = 10 * max(self.network.parameters, 1) * length
            most = max(int(WORK / one), FEWEST)
            if self.network.rows == 1:  # a pass for each
                most = min(most, 2 * FEWEST)
        if most >= length:
            return range(length)
        random = torch.Generator().manual_seed(self.seed)
        some = torch.randperm(length - 1, generator=random)[: most - 1].sort().values
        return [*some.tolist(), length - 1]

    def _lengths(self) -> list[int]:
        """Return the lengths at which the past is looked at, ascending."""
        if self.options.length is not None:
            return [self.options.length]
        longest = self.options.longest or (1024 if self.network.parameters <= SMALL else 256)
        first = max(FIRST, (self.declared or 0) + FIRST // 2)
        readable = self._readable(first)
        lengths = [readable]
        while readable == first and lengths[-1] * 2 <= longest:
            lengths.append(lengths[-1] * 2)
        return lengths


def _leak(causality: Causality) -> list[Fault]:
    return [] if causality.leak is None else [Fault("causality", str(causality.leak))]


def _with_wrong_field(found: Findings) -> Findings:
    """Return findings with the fault of a network that looks further than it declares."""
    seen = max(found.looks[-1].field, found.causality.reach)
    if found.declared is None or seen <= found.declared:
        return found
    text = f"outputs depend on {seen:,} inputs, and {found.declared:,} are declared"
    return replace(found, faults=(*found.faults, Fault("receptive field", text)))
