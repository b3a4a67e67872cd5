"""Facts about a task on which all its records must agree: chance, optimum, loss and score."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from seqmem.leaderboard.record import Record

__all__ = ["disagreeing"]

# Chance is computed in another order on other machines.
ROUNDING = 1e-6

_Name = int | str


def disagreeing(
    records: Sequence[Record], reference: Callable[[Record], Record | None]
) -> Iterator[tuple[int, str]]:
    """Return the index of each record that contradicts others of its task, and what differs.

    The reference decides; without one, what most records say; of equally many, the first record.

    Args:
        records: any.
        reference: returns a trusted record of the same task and data; None if there is none.
    """
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
        for point in record.curve:
            if known.setdefault(point.k, point.optimum) != point.optimum:
                return False
    return True


def _facts(record: Record) -> dict[_Name, object]:
    """Return the facts that must agree; the optimum at a context length by that length."""
    task = record.task
    facts: dict[_Name, object] = {point.k: point.optimum for point in record.curve}
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
