"""Models of equal size: the width that gives a model so many parameters, or so large a state."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Literal

from seqmem.baselines.ngram import KneserNey
from seqmem.baselines.options import Option
from seqmem.baselines.spec import ModelSpec, build_model, options_of
from seqmem.baselines.training.loop import seeded
from seqmem.errors import InputError
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task

__all__ = ["Match", "matched", "parameters_of", "parse_match"]

WITHIN = 0.05  # of the size that is asked for
# What may be chosen, the first that changes the size. The state of an LRU has its own width.
WIDTHS = ("hidden", "units", "state")
LARGEST = 100_000  # width
INVALID = 64  # widths in a row that a class may refuse, as where heads must divide it
TRIED = (64, 128)  # two widths, to see which option changes the size


@dataclass(frozen=True)
class Match:
    """The size that models are to have.

    Attributes:
        quantity: parameters, or floats of the state after a task's longest useful context.
        number: how many.
    """

    quantity: Literal["parameters", "state"]
    number: int

    def __str__(self) -> str:
        """Return it as it is written, the number in full."""
        return f"{self.quantity}={self.number}"

    def size(self, model: SequenceModel, context: int) -> int | None:
        """Return the model's size; None if that is not known before it is trained."""
        if self.quantity == "parameters":
            return parameters_of(model)
        return model.state_size(context)


def parse_match(text: str) -> Match:
    """Return what ``parameters=100k`` or ``state=4096`` asks for.

    Raises:
        InputError: it is neither.
    """
    quantity, _, number = text.partition("=")
    written = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([kM]?)", number)
    if quantity not in ("parameters", "state") or written is None or not float(written[1]):
        raise InputError(
            f"--match {text}: is parameters=NUMBER or state=NUMBER, as in parameters=100k, "
            "parameters=1.5M or state=4096"
        )
    unit = {"": 1, "k": 1000, "M": 1_000_000}[written[2]]
    chosen: Literal["parameters", "state"] = "state" if quantity == "state" else "parameters"
    return Match(chosen, round(float(written[1]) * unit))


def matched(
    spec: ModelSpec,
    task: Task,
    k_train: Context,
    defaults: Mapping[str, Option],
    match: Match,
) -> ModelSpec:
    """Return the model with the width at which its size is nearest to the one asked for.

    Args:
        spec: the model; its other options, and those of the recipe, stay as they are.
        task: as for `build_model`.
        k_train: as for `build_model`.
        defaults: as for `build_model`.
        match: the size.

    Raises:
        InputError: no width comes within 5 %, or the model has none, or its user has set it.
        NotApplicableError: the model does not apply to this kind of task.
    """

    def size_with(option: str, width: int) -> int | None:
        """Return the size with a width; None if the class refuses it."""
        model = _model(replace(spec, options={**spec.options, option: width}))
        return None if model is None else match.size(model, task.longest_context)

    def _model(changed: ModelSpec) -> SequenceModel | None:
        try:
            with seeded(0):  # a user's class draws weights
                return build_model(changed, task, k_train, defaults, device="meta")[0]
        except InputError:
            return None

    with seeded(0):  # what is wrong whatever the width says so
        build_model(spec, task, k_train, defaults, device="meta")
    known = options_of(spec.name) if spec.own is None else spec.own.defaults
    widths = [option for option in WIDTHS if option in known]
    free = [option for option in widths if option not in spec.options]
    for option in free:
        sizes = {size_with(option, width) for width in TRIED} - {None}
        if len(sizes) > 1:
            break
    else:
        if given := [option for option in widths if option not in free]:
            raise InputError(
                f"--match {match} chooses {given[0]}, which '{spec}' sets: leave one of them out"
            )
        raise InputError(
            f"--match {match}: {spec} on {task.id} has no option that changes its "
            f"{match.quantity}; leave it out"
        )
    width, size = _nearest(cache(lambda width: size_with(option, width)), match.number)
    if abs(size - match.number) > WITHIN * match.number:
        raise InputError(
            f"--match {match}: {spec} on {task.id} comes nearest with {option}={width}, "
            f"{size:,} {'parameters' if match.quantity == 'parameters' else 'floats'}: ask for "
            "another number, or set others of its options"
        )
    return replace(spec, options={**spec.options, option: width})


def parameters_of(model: SequenceModel) -> int | None:
    """Return how many numbers a model has, fixed ones included; None if its training data decide.

    It may be on the "meta" device.
    """
    if isinstance(model, KneserNey):
        return None
    # Tied weights count once; weights on the meta device have no address, only an identity.
    numbers = {id(w): int(w.numel()) for w in model.state_dict(keep_vars=True).values()}
    return sum(numbers.values())


def _nearest(size: Callable[[int], int | None], wanted: int) -> tuple[int, int]:
    """Return the width whose size is nearest to `wanted`, and that size; sizes grow with widths."""

    def from_here(width: int) -> tuple[int, float]:
        """Return the first width from here on that the class takes, and its size, else infinity."""
        for each in range(width, min(width + INVALID, LARGEST + 1)):
            if (found := size(each)) is not None:
                return each, found
        return LARGEST + 1, math.inf

    low, high = from_here(1), from_here(TRIED[0])
    while high[1] < wanted and high[0] < LARGEST:
        low, high = high, from_here(min(4 * high[0], LARGEST))
    for step in count():
        if high[0] - low[0] <= 1 or low[1] >= wanted:
            break
        # Sizes are nearly powers of widths. Every third width is the middle one, so that both ends
        # move.
        share = math.log(wanted / low[1]) / math.log(high[1] / low[1]) if low[1] else 0.5
        middle = round(low[0] * (high[0] / low[0]) ** (0.5 if step % 3 == 2 else share))
        tried = from_here(min(max(middle, low[0] + 1), high[0] - 1))
        if tried[0] >= high[0]:  # no width between there and `high` is valid
            tried = from_here(low[0] + 1)
        if tried[0] >= high[0]:
            break
        if tried[1] >= wanted:
            high = tried
        else:
            low = tried
    width, found = min(low, high, key=lambda each: abs(each[1] - wanted))
    return width, int(found)
