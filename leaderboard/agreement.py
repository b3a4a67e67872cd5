"""Facts about a task on which its records must agree: chance, optimum, loss and score."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from seqmem.leaderboard.record import Point, Record

__all__ = ["disagreeing"]

# Chance is computed in another order on other machines.
ROUNDING = 1e-6
# Half-widths by which a loss may be below the optimum: four standard errors.
MARGIN = 2.0

_Name = int | str


def disagreeing(
    records: Sequence[Record], reference: Callable[[Record], Record | None]
) -> Iterator[tuple[int, str]]:
    """Return the index of each record that contradicts others of its task, or the task's optimum.

    With each index comes what differs. A loss is below the optimum as in the validity gate: by more
    than MARGIN times the half-width of its interval.

    The reference decides; without one, what most records say; of equally many, the first record.

    Args:
        records: any.
        reference: returns a trusted record of the same task and data; None if there is none.
    """
    for i, record in enumerate(records):
        if (point := _below_optimum(record)) is not None:
            below = f"{point.loss.mean:.6g}, below the optimum {point.optimum:.6g}"
            yield i, f"the loss at k = {point.k} is {below}, which no predictor reaches"
    groups: dict[tuple[str, int, str], list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        task = record.task
        groups[task.id, task.version, task.data_hash].append(i)
    for group in groups.values():
        trusted = reference(records[group[0]])
        agreed = {} if trusted is None else _facts(trusted)
        if _all_agree([records[i] for i in group], agreed):
            continue
        facts = [_facts(records[i]) for i in group]
        counts: dict[_Name, Counter[object]] = defaultdict(Counter)
        for some in facts:
            for name, value in some.items():
                counts[name][value] += 1
        agreed = {name: count.most_common(1)[0][0] for name, count in counts.items()} | agreed
        for i, some in zip(group, facts, strict=True):
            wrong = [name for name, value in some.items() if not _same(value, agreed[name])]
            for name in wrong[:1]:
                what = name if isinstance(name, str) else f"the optimum at k = {name}"
                found, other = some[name], agreed[name]
                yield i, f"{what} is {found}, in other records of the task {other}"


def _all_agree(records: Sequence[Record], agreed: Mapping[_Name, object]) -> bool:
    """Return whether nothing differs, without listing each record's facts."""
    known = {**_facts(records[0]), **agreed}
    first = known["score"], known["loss"], known["chance"], known["optimum"]
    for record in records:
        task = record.task
        if (task.score, task.loss, task.chance, task.optimum) != first:
            return False
        held = task.held_symbols
        if held is not None and known.setdefault("held_symbols", held) != held:
            return False
        for point in record.curve:
            if known.setdefault(point.k, point.optimum) != point.optimum:
                return False
    return True


def _below_optimum(record: Record) -> Point | None:
    """Return the first point whose loss is below the optimum by more than sampling explains."""
    for point in record.curve:
        if point.optimum is not None and point.loss.mean < point.optimum:
            low, high = point.loss.interval or (point.loss.mean, point.loss.mean)
            half_width = max(point.half_width, (high - low) / 2)
            allowed = MARGIN * half_width + ROUNDING * max(abs(point.optimum), 1.0)
            if point.optimum - point.loss.mean > allowed:
                return point
    return None


def _facts(record: Record) -> dict[_Name, object]:
    """Return the facts that must agree; the optimum at a context length by that length."""
    task = record.task
    facts: dict[_Name, object] = {point.k: point.optimum for point in record.curve}
    if task.held_symbols is not None:  # older records do not say
        facts["held_symbols"] = task.held_symbols
    return facts | {
        "score": task.score,
        "loss": task.loss,
        "chance": task.chance,
        "optimum": task.optimum,
    }


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return one == other
