"""State tracking: the product of all elements of a group since the last reset.

After Liu et al. 2023 (arXiv 2210.10749, section 2) and Merrill et al. 2024 (arXiv 2404.08819), with
resets. One sequence has 64 inputs. Input t is an element g_t of a group, drawn
uniformly, and a mark r_t: whether the state is set to the identity before g_t is multiplied in.
The first input is marked, any other with probability `reset`. The target at every input is the
state after it,

    s_t = g_t if r_t, else s_{t−1} g_t.

Elements are numbered 0 … order − 1, and the input is the id g_t + order · r_t. The groups:

    parity      {0, 1} with addition modulo 2
    Z<n>        {0, …, n − 1} with addition modulo n
    S3, S5      all permutations of 3 or 5 points, in lexicographic order of (π(0), π(1), …)
    A5          the even ones of S5, in the same order

where a product of permutations applies the right one first: (π ρ)(x) = π(ρ(x)). S3 is solvable and
not commutative. A5 and S5 are not solvable: no circuit of constant depth and polynomial size,
modular gates included, is known to compute their products (Barrington 1989).

A predictor whose window contains a mark knows the state. Without one, the state before the window
is uniform on the group, because the element at a mark is, and so is the product with what is in
view. A window that reaches the start of the sequence contains the first mark. Hence

    L*(k) = ln(order) · (1 − reset)^k · (64 − k)/64,

the last factor being the share of targets with more than k inputs.
"""

import itertools
import math
import re
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import InputError
from seqmem.tasks.generated import GeneratedTask, longer_of
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names, number
from seqmem.tasks.task import Split, Tokens

__all__ = ["StateTracking", "multiplication_table"]

LENGTH = 64
SEQUENCES = {"train": 4096, "valid": 128, "test": 1024}
LARGEST = 120  # order of a group, that of S5


class StateTracking(GeneratedTask):
    """``state-tracking/group=S3,reset=0.05``; ``…,longer=4`` is tested on 256 inputs."""

    version: ClassVar[int] = 1

    def __init__(self, group: str, reset: float, longer: int = 1) -> None:
        """Take the name of a group and the probability of a reset, 0 ≤ reset < 1."""
        super().__init__(f"state-tracking/group={group},reset={reset:g}", longer)
        self.sequences = SEQUENCES
        self.products = multiplication_table(group)
        self.order = len(self.products)
        self.inputs = Tokens(2 * self.order)
        self.outputs = self.order
        self.loss = CrossEntropy(accuracy=True, unit="nats per state")
        self.reset = reset
        self.longest_context = self.length = LENGTH * longer
        self.held_symbols = 1  # the state

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "StateTracking":
        """Return the task of an id's parameters.

        Raises:
            InputError: one is missing, the group is unknown, or reset is not within 0 … 0.9.
        """
        example = "state-tracking/group=S3,reset=0.05"
        check_names(parameters, ("group", "reset"), example, ("longer",))
        group = parameters["group"]
        if re.fullmatch("Z[0-9]{1,9}", group):
            order = int(group[1:])
            if not 2 <= order <= LARGEST:
                raise InputError(f"group={group} is out of range: group=Z2 to group=Z{LARGEST}")
            group = "parity" if order == 2 else f"Z{order}"  # one id for one group
        elif group not in ("parity", "S3", "A5", "S5"):
            known = f"parity, Z3 … Z{LARGEST}, S3, A5 and S5"
            raise InputError(f"group={group} is unknown; there are {known}")
        reset = number("reset", parameters["reset"], 0, 0.9)
        return cls(group, reset, longer_of(parameters))

    def constant(self) -> Tensor:
        """Return equal scores for all elements."""
        return torch.zeros(self.order)

    def chance(self) -> float:
        """Return ln(order)."""
        return math.log(self.order)

    def optimum(self, k: int | Literal["full"]) -> float:
        """Return ln(order) times the share of targets without a reset in view."""
        if k == "full" or k >= self.length:
            return 0.0
        longer = (self.length - k) / self.length
        return float(self.chance() * (1 - self.reset) ** k * longer)

    def _draw(self, rng: np.random.Generator, sequences: int) -> Split:
        elements = rng.integers(0, self.order, (sequences, self.length))
        marks = rng.random(elements.shape) < self.reset
        marks[:, 0] = True
        states = np.empty_like(elements)
        state = np.zeros(sequences, np.int64)
        for t in range(self.length):
            state = np.where(marks[:, t], elements[:, t], self.products[state, elements[:, t]])
            states[:, t] = state
        total = sequences * self.length
        return Split(
            torch.from_numpy((elements + self.order * marks).astype(np.int32).reshape(-1)),
            torch.arange(sequences + 1) * self.length,
            torch.arange(total),
            torch.from_numpy(states.reshape(-1)),
            torch.arange(total) // self.length,
        )


def multiplication_table(group: str) -> np.ndarray:
    """Return the products of all pairs of elements of a group: (order, order), row times column.

    Args:
        group: "parity", "Z<n>", "S3", "A5" or "S5".
    """
    if group == "parity" or group.startswith("Z"):
        numbers = np.arange(2 if group == "parity" else int(group[1:]))
        return np.asarray((numbers[:, None] + numbers) % len(numbers))
    points = int(group[1:])
    elements = [p for p in itertools.permutations(range(points)) if group[0] == "S" or _is_even(p)]
    place = {element: i for i, element in enumerate(elements)}
    return np.array([[place[tuple(p[x] for x in q)] for q in elements] for p in elements])


def _is_even(permutation: tuple[int, ...]) -> bool:
    return sum(a > b for a, b in itertools.combinations(permutation, 2)) % 2 == 0
