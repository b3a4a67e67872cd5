"""Boards: the records of one task, joined to a row for each model and training setting."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.context_need import ContextNeed, context_need, tolerance

__all__ = [
    "Board",
    "Row",
    "Score",
    "beats_chance",
    "better_than_chance",
    "boards",
    "context_order",
    "id_order",
    "score",
    "score_of",
    "solved",
    "state_trained",
]


@dataclass(frozen=True)
class Score:
    """A row's score at one k.

    Attributes:
        value: the median over seeds.
        half: half the width of its 95 % interval (of the seed nearest the median); None if
            unknown.
        smallest: of any seed.
        largest: of any seed.
        seeds: how many seeds have a score at this k.
    """

    value: float
    half: float | None
    smallest: float
    largest: float
    seeds: int


@dataclass(frozen=True, eq=False)
class Row:
    """A model on a task: all seeds of one training setting. Equal only to itself, and hashable.

    Attributes:
        label: the model, with the options that its user set.
        k_train: the context length it was trained with.
        state: "carried" from one segment of k_train inputs to the next, or "reset" before each
            window; None for models without state.
        budget: the training budget.
        records: one for each seed, the latest of each.
        scores: the score at each measured k.
        need: the context need of the seed with the median full-context loss.
        needs: the context need of every seed, in the order of `records`.
    """

    label: str
    k_train: Context
    state: str | None
    budget: str
    records: tuple[Record, ...]
    scores: dict[Context, Score]
    need: ContextNeed
    needs: tuple[ContextNeed, ...]


@dataclass(frozen=True)
class Board:
    """One task at one version, on the same data.

    Attributes:
        task_id: the task.
        records: all records of the task.
        contexts: every k that any record has, ascending, full last.
        rows: best full-context score first.
        chance: the score of the best constant prediction.
        optimum: the best possible score at each k; empty if unknown.
    """

    task_id: str
    records: tuple[Record, ...]
    contexts: tuple[Context, ...]
    rows: tuple[Row, ...]
    chance: float
    optimum: dict[Context, float]


def score(record: Record, loss: float) -> float:
    """Return the score that a table shows for a loss: perplexity for language, else the loss."""
    return score_of(record.task.score, loss)


def score_of(kind: str, loss: float) -> float:
    """Return the score of a loss: of a kind of score, "loss" or "perplexity"."""
    if kind != "perplexity":
        return loss
    return math.exp(loss) if loss < 700 else math.inf


def state_trained(record: Record) -> str | None:
    """Return whether a model's state was "carried" or "reset" in training.

    Older records do not contain this; their states were carried.

    Returns:
        None for models without state, and if unknown.
    """
    usual = "carried" if record.model.get("stateful") else None
    state: str | None = record.training.get("state", usual)
    return state


def better_than_chance(row: Row, k: Context) -> bool:
    """Return whether most seeds are significantly better than chance with k inputs."""
    return 2 * sum(_gains(record, k) for record in row.records) > len(row.records)


def beats_chance(row: Row, k: Context, chance: float) -> bool:
    """Return whether a row may be called the best at k: better than chance, and seen to be.

    On some test data a constant scores worse than chance, and a little better than that is still
    no better than chance.

    Args:
        row: has a score at k.
        k: the context length.
        chance: the score of the best constant prediction.
    """
    return row.scores[k].value < chance and better_than_chance(row, k)


def _gains(record: Record, k: Context) -> bool:
    """Return whether the interval of the loss excludes chance, or that of the gain excludes zero.

    With fewer inputs the gain is at least the gain at full minus the excess loss. Both are paired
    target by target.
    """
    point = record.point(k)
    if point is None:
        return False
    highest = point.loss.interval[1] if point.loss.interval else point.loss.mean
    if highest < record.task.chance:
        return True
    gain, excess = record.gain, point.excess
    if gain is None or (excess is None and k != "full"):
        return False
    least = gain.interval[0] if gain.interval else gain.mean
    if k != "full" and excess is not None:
        least -= excess.interval[1] if excess.interval else excess.mean
    return least > 0


def solved(row: Row) -> int | None:
    """Return how many seeds solve the task: at full, within the tolerance of the optimum.

    On copying and adding one seed often solves the task and another learns nothing; a mean over
    seeds then says little.

    Returns:
        None if the optimum is unknown, or not every seed was scored with the full context.
    """
    losses = [_full_loss(record) for record in row.records]
    facts = row.records[0].task
    if facts.optimum is None or math.inf in losses:
        return None
    most = facts.optimum + tolerance(row.records[0])
    return sum(loss <= most for loss in losses)


def boards(records: Iterable[Record]) -> list[Board]:
    """Return one board for each task, version and data, by id (T=20 before T=200)."""
    groups: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.task.id, record.task.version, record.task.data_hash].append(record)
    ordered = sorted(groups.items(), key=lambda item: (id_order(item[0][0]), item[0]))
    return [_board(group) for _, group in ordered]


def _board(records: Sequence[Record]) -> Board:
    first = records[0]
    contexts = sorted({point.k for record in records for point in record.curve}, key=context_order)
    optimum = {
        point.k: score(record, point.optimum)
        for record in records
        for point in record.curve
        if point.optimum is not None
    }
    by_row: dict[tuple[object, ...], dict[int, Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda r: r.created):
        seeds, seed = by_row[_set_up(record)], record.training["seed"]
        seeds[seed] = _joined(seeds[seed], record) if seed in seeds else record
    # By seed, not by age: of two records equally near the median the same one is shown, whichever
    # was finished first.
    rows = [_row([seeds[seed] for seed in sorted(seeds)], contexts) for seeds in by_row.values()]
    rows.sort(key=lambda row: (_full(row), row.label, str(row.k_train), row.state or ""))
    chance = score(first, first.task.chance)
    return Board(first.task.id, tuple(records), tuple(contexts), tuple(rows), chance, optimum)


def _set_up(record: Record) -> tuple[object, ...]:
    """Return what the seeds of one row have in common: the model and its training."""
    how = json.dumps([record.training.get("recipe"), record.model.get("options")], sort_keys=True)
    return (
        record.model["label"],
        record.training["k_train"],
        state_trained(record),
        record.training["budget"],
        record.environment.get("dtype"),
        record.model.get("sha256"),  # under a submitted name, other models are other rows
        how,
    )


def _joined(older: Record, newer: Record) -> Record:
    """Return a record with the points of both if the weights are the same, else the newer.

    A point that was measured again counts, however precise the other one claims to be. Points that
    were not are named in `trust`.
    """
    same = (
        older.model.get("weights_sha256") == newer.model.get("weights_sha256")
        and older.group_counts == newer.group_counts
    )
    if not same:
        return newer
    alike = older.trust == newer.trust
    first, second = (older, newer) if older.trust == "rescored" and not alike else (newer, older)
    points = {point.k: point for point in first.curve}
    trust = first.trust
    for point in second.curve:
        if point.k not in points:
            trust = ", ".join(sorted({first.trust, second.trust}))
        elif not alike or point.half_width >= points[point.k].half_width:
            continue
        points[point.k] = point  # the more precise point counts, not the newer
    curve = tuple(points[k] for k in sorted(points, key=context_order))
    kinds = {each.by: each for each in (*second.strata, *first.strata)}
    return replace(
        first,
        curve=curve,
        gain=first.gain or second.gain,
        strata=tuple(kinds.values()),
        trust=trust,
    )


def _row(records: Sequence[Record], contexts: Sequence[Context]) -> Row:
    first = records[0]
    ordered = sorted(records, key=_full_loss)
    by_seed = sorted(records, key=lambda record: record.training["seed"])
    scores = {k: found for k in contexts if (found := _score_at(records, k)) is not None}
    return Row(
        label=first.model["label"],
        k_train=first.training["k_train"],
        state=state_trained(first),
        budget=first.training["budget"],
        records=tuple(by_seed),
        scores=scores,
        need=context_need(ordered[(len(ordered) - 1) // 2]),
        needs=tuple(map(context_need, by_seed)),
    )


def _score_at(records: Sequence[Record], k: Context) -> Score | None:
    points = [(record, point) for record in records if (point := record.point(k)) is not None]
    if not points:
        return None
    values = [score(record, point.loss.mean) for record, point in points]
    middle = median(values)
    nearest = min(range(len(values)), key=lambda i: abs(values[i] - middle))
    record, point = points[nearest]
    half = None
    if point.loss.interval is not None:
        low, high = (score(record, end) for end in point.loss.interval)
        half = (high - low) / 2
    return Score(middle, half, min(values), max(values), len(values))


def _full_loss(record: Record) -> float:
    full = record.point("full")
    return math.inf if full is None else full.loss.mean


def _full(row: Row) -> float:
    return row.scores["full"].value if "full" in row.scores else math.inf


def id_order(task_id: str) -> list[str | int]:
    """Return a key that sorts ids: texts and numbers alternate, and numbers compare by value."""
    return [int(part) if part.isdecimal() else part for part in re.split("([0-9]+)", task_id)]


def context_order(k: Context | Literal["unknown"]) -> float:
    """Return a key that sorts context lengths: unknown first, then ascending, full last."""
    if isinstance(k, str):
        return math.inf if k == "full" else -math.inf
    return k
