"""What a pass costs, against its length: time, and memory and operations as torch counts them.

Times depend on the machine. Whether time and memory grow linearly or quadratically is read off the
numbers that are computed, which do not.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from seqmem.errors import InputError
from seqmem.probing.inputs import Source
from seqmem.probing.network import Network

__all__ = ["NO_COST", "Cost", "measure_cost"]

REPEATS = 3


@dataclass(frozen=True)
class Cost:
    """The cost of passes of some lengths, of one sequence at a time.

    Attributes:
        lengths: in inputs, each twice the one before.
        seconds: of a pass, the shortest of three, divided by its length.
        memory: bytes of all tensors that a pass makes, divided by its length; None: unknown.
        time_grows: "linearly" or "quadratically": the operations of a pass; None: unknown.
        memory_grows: the bytes of a pass.
    """

    lengths: tuple[int, ...]
    seconds: tuple[float, ...]
    memory: tuple[float, ...] | None
    time_grows: str | None
    memory_grows: str | None


NO_COST = Cost((), (), None, None, None)  # not measured


def measure_cost(network: Network, source: Source, longest: int, seed: int) -> Cost:
    """Return the cost of passes of a quarter, a half and all of the longest length.

    Args:
        network: the network; times are those of its precision.
        source: of inputs.
        longest: the most inputs of a pass.
        seed: of the inputs.
    """
    lengths = [longest // 4 * factor for factor in (1, 2, 4)]
    seconds, work, memory = [], [], []
    for length in lengths:
        inputs = source.draw(1, length, seed)
        try:
            network(inputs)
        except InputError:  # batches of one sequence, or this length, cannot be read
            return NO_COST
        times = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            network(inputs)
            times.append(time.perf_counter() - began)
        seconds.append(min(times) / length)
        flops, made = FlopCounterMode(display=False), _Made()
        with flops, made:
            network(inputs)
        work.append(flops.get_total_flops() + made.numbers)
        memory.append(made.bytes)
    if not network.copied:  # it runs in another process
        return Cost(tuple(lengths), tuple(seconds), None, None, None)
    each = tuple(size / length for size, length in zip(memory, lengths, strict=True))
    return Cost(tuple(lengths), tuple(seconds), each, _growth(work), _growth(memory))


class _Made(TorchDispatchMode):
    """Counts the tensors that operations make; views are none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count what it returns."""
        returned = func(*args, **(kwargs or {}))
        if not func.is_view:
            for part in returned if isinstance(returned, tuple | list) else (returned,):
                if isinstance(part, torch.Tensor):
                    self.numbers += part.numel()
                    self.bytes += part.numel() * part.element_size()
        return returned


def _growth(totals: Sequence[int]) -> str:
    """Return how totals at L, 2 L and 4 L grow.

    Of a + b L + c L², the totals at 2 L less twice those at L are 2 c L² − a: positive where there
    is a quadratic part, and four times as large at twice the length.
    """
    one, two, four = totals
    quadratic = two - 2 * one > 0.01 * two and four - 2 * two > 3 * (two - 2 * one)
    return "quadratically" if quadratic else "linearly"
