"""A curve split by strata of its targets, as a record contains it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from seqmem.leaderboard.validation import Bounded, Context, NonNegative, Positive, Printable

__all__ = ["Stratified", "StratumMeans", "check_strata"]

# Bounds for files that others wrote: those of our own tasks are far below.
MOST_KINDS, MOST_STRATA = 16, 64
Name = Annotated[Printable, Field(max_length=64)]
Halves = tuple[NonNegative | None, ...]


@dataclass(frozen=True)
class StratumMeans:
    """The mean of each stratum at one context length, in the order of the labels.

    Attributes:
        k: the context length.
        loss: the mean loss.
        loss_half: half of its 95 % interval over data of the same kind; None if unknown.
        excess: loss at k minus loss at full, paired target by target; None without full.
        excess_half: half of its interval; None without full.
    """

    k: Context
    loss: tuple[Bounded, ...]
    loss_half: Halves
    excess: tuple[Bounded, ...] | None
    excess_half: Halves | None


@dataclass(frozen=True)
class Stratified:
    """A curve split by one kind of strata. Means weighted by counts are those of the curve.

    Attributes:
        by: what divides the targets, as in "frequency".
        meaning: the same in a sentence's part.
        labels: the name of each stratum.
        counts: its number of targets.
        curve: its means, k ascending, full last.
    """

    by: Name
    meaning: Annotated[Printable, Field(max_length=200)]
    labels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MOST_STRATA)]
    counts: tuple[Positive, ...]
    curve: tuple[StratumMeans, ...]


def check_strata(
    strata: Sequence[Stratified],
    targets: int,
    means: Mapping[Context, tuple[float, float | None]],
    rounding: float,
) -> None:
    """Raise ValueError if strata do not fit the curve that they split.

    Args:
        strata: of a record.
        targets: their number.
        means: the mean loss and the mean excess at each k of the curve.
        rounding: the largest difference that counts as none, relative to the loss, or to 1.
    """
    if len(strata) > MOST_KINDS:
        raise ValueError(f"strata has {len(strata)} kinds, more than {MOST_KINDS}")
    if len({each.by for each in strata}) < len(strata):
        raise ValueError("strata has one kind twice")
    for each in strata:
        _check_kind(each, targets, means, rounding)


def _check_kind(
    strata: Stratified,
    targets: int,
    means: Mapping[Context, tuple[float, float | None]],
    rounding: float,
) -> None:
    where = f"strata by {strata.by}"
    size = len(strata.labels)
    if len(strata.counts) != size or len(set(strata.labels)) != size:
        raise ValueError(f"{where}: counts or names do not fit {size} labels")
    if sum(strata.counts) != targets:
        raise ValueError(f"{where}: counts add up to {sum(strata.counts)} of {targets} targets")
    order = [math.inf if point.k == "full" else point.k for point in strata.curve]
    if not order or any(a >= b for a, b in pairwise(order)):
        raise ValueError(f"{where}: k are not ascending")
    for point in strata.curve:
        if point.k not in means:
            raise ValueError(f"{where}: k = {point.k} is not in the curve")
        parts = (point.loss, point.loss_half, point.excess, point.excess_half)
        if any(part is not None and len(part) != size for part in parts) or (
            (point.excess is None) != (point.excess_half is None)
        ):
            raise ValueError(f"{where}: means at k = {point.k} do not fit {size} labels")
        loss, excess = means[point.k]
        scale = rounding * max(abs(loss), 1.0)
        for name, values, total in (("loss", point.loss, loss), ("excess", point.excess, excess)):
            if values is None or total is None:
                continue
            shares = zip(values, strata.counts, strict=True)
            mean = math.fsum(value * count for value, count in shares) / targets
            if not abs(mean - total) <= scale:
                raise ValueError(
                    f"{where}: the mean {name} at k = {point.k} is {total}, strata give {mean}"
                )
