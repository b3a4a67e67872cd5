"""Bits held: how much a model keeps, from its losses alone.

Some tasks ask back M symbols s_1 … s_M, independent and uniform on A values, where a target is each
of them alike, whatever the model has kept. If L is the mean loss in nats, what it has kept has at
least

    I(kept; s_1 … s_M) ≥ Σ_j I(kept; s_j) ≥ Σ_j (ln A − loss of s_j) = M (ln A − L)

nats of information about them: symbols are independent, and no predictor's cross-entropy is below
the conditional entropy (Cover & Thomas 2006, Elements of Information Theory, sections 2.5 and 5.4).
Divided by ln 2 these are bits; ln A is chance. Where targets are asked at several times, as in
associative recall, it is the mean over these times. Information is never negative, so that a model
worse than chance holds 0 bits as far as is known.

With k inputs it is a bound on all that is kept to answer every target from its own window. Bits per
float are those with the full context, where one state answers all, over the floats of that state.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from seqmem.leaderboard.record import Context, Record, TaskFacts
from seqmem.leaderboard.statistics.aggregate import Row, Score

__all__ = ["BitsHeld", "bits_held", "bits_of_row", "most_bits"]

_BEFORE = {"copy-memory": 10}  # held_symbols of records that do not contain them


@dataclass(frozen=True)
class BitsHeld:
    """A lower bound on the information that a model holds.

    Attributes:
        bits: the bound.
        interval: its 95 % interval; None if unknown.
        per_float: the bound over the floats of the state; None at a finite k, or if unknown.
    """

    bits: float
    interval: tuple[float, float] | None
    per_float: float | None


def bits_held(record: Record, k: Context = "full") -> BitsHeld | None:
    """Return the bits that a model holds with k inputs; None if its task does not define them.

    It is None as well if the record has no score at k.
    """
    to_bits, point = _bits(record.task), record.point(k)
    if to_bits is None or point is None:
        return None
    bits, ends = to_bits(point.loss.mean), point.loss.interval
    floats = point.state_floats if k == "full" else None
    return BitsHeld(
        bits,
        None if ends is None else (to_bits(ends[1]), to_bits(ends[0])),
        bits / floats if floats else None,
    )


def most_bits(task: TaskFacts) -> float | None:
    """Return the bits that a model with the smallest possible loss holds; None if undefined."""
    to_bits = _bits(task)
    return None if to_bits is None or task.optimum is None else to_bits(task.optimum)


def bits_of_row(row: Row, *, per_float: bool = False) -> Score | None:
    """Return the bits that a row's model holds with the full context, in the form of its score.

    Args:
        row: all seeds of a model.
        per_float: whether they are divided by the floats of the state.

    Returns:
        None if the task does not define them, or the size of the state is unknown.
    """
    record, score = row.records[0], row.scores.get("full")
    to_bits, point = _bits(record.task), record.point("full")
    if to_bits is None or score is None or point is None:
        return None
    floats = point.state_floats if per_float else 1
    if not floats:
        return None
    half = score.half
    if half is not None:  # half the width of what remains above zero
        half = (to_bits(score.value - half) - to_bits(score.value + half)) / 2 / floats
    return replace(
        score,
        value=to_bits(score.value) / floats,
        half=half,
        smallest=to_bits(score.largest) / floats,
        largest=to_bits(score.smallest) / floats,
    )


def _bits(task: TaskFacts) -> Callable[[float], float] | None:
    """Return what turns a mean loss into bits held; None if the task does not define them."""
    symbols = task.held_symbols or _BEFORE.get(task.id.partition("/")[0])
    if not symbols or task.loss != "cross-entropy":
        return None
    return lambda loss: max(0.0, symbols * (task.chance - loss) / math.log(2))
