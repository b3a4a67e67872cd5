"""Normalised scores of a whole suite: 0 is chance, 1 the best possible or known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.context_need import ContextNeed
from seqmem.leaderboard.statistics.envelope import envelope
from seqmem.leaderboard.statistics.rows import usual_rows

__all__ = ["Entry", "NormalizedScore", "Overview", "Scale", "overview"]


@dataclass(frozen=True)
class Scale:
    """The losses that are normalised to 0 and 1 on a task.

    Attributes:
        chance: the loss whose score is 0.
        one: the loss whose score is 1.
        best: the row that reaches it; None if it is the optimum.
        at: the k at which that row does.
    """

    chance: float
    one: float
    best: Row | None
    at: Context


@dataclass(frozen=True)
class NormalizedScore:
    """A full-context loss on a `Scale`: 0 is chance, 1 the best; below 0 is worse than chance.

    Attributes:
        value: of the median over seeds.
        half: half the 95 % interval of the seed nearest to it; None if unknown.
        need: the context need.
    """

    value: float
    half: float | None
    need: ContextNeed


@dataclass(frozen=True)
class Entry:
    """A model at one budget, trained by its recipe.

    Attributes:
        label: the model.
        budget: the training budget.
        scores: by task; only of tasks with a score.
        mean: over all tasks that are compared; None unless it has a score on each of them.
    """

    label: str
    budget: str
    scores: Mapping[str, NormalizedScore]
    mean: float | None


@dataclass(frozen=True)
class Overview:
    """A suite's tasks and models.

    Attributes:
        suite: the tasks of the suite, in its order.
        scales: of the tasks that are compared, in the same order.
        absent: tasks without a score at full.
        unscaled: tasks on which no model is better than chance and the optimum is unknown.
        entries: those with a mean first, best first; then those with most tasks.
    """

    suite: tuple[str, ...]
    scales: Mapping[str, Scale]
    absent: tuple[str, ...]
    unscaled: tuple[str, ...]
    entries: tuple[Entry, ...]


def overview(boards: Sequence[Board], suite: Sequence[str]) -> Overview:
    """Return the normalised scores of all models on a suite.

    A mean over tasks is comparable between models only if it is over the same tasks: models
    without a score on one of them have no mean.

    Args:
        boards: of any tasks; of several of one task, the one with the latest record counts.
        suite: ids of the suite's tasks.
    """
    newest = {
        board.task_id: board
        for board in sorted(boards, key=lambda b: max(record.created for record in b.records))
        if board.task_id in suite and any("full" in row.scores for row in board.rows)
    }
    found = {task: _scale(newest[task]) for task in suite if task in newest}
    scales = {task: scale for task, scale in found.items() if scale is not None}
    scores: dict[tuple[str, str], dict[str, NormalizedScore]] = {}
    for task, scale in scales.items():
        for row in usual_rows(newest[task]):
            if "full" in row.scores:
                scores.setdefault((row.label, row.budget), {})[task] = _score(row, scale)
    entries = [
        Entry(
            *key, some, mean(s.value for s in some.values()) if len(some) == len(scales) else None
        )
        for key, some in scores.items()
    ]
    entries.sort(key=_order)
    return Overview(
        suite=tuple(suite),
        scales=scales,
        absent=tuple(task for task in suite if task not in newest),
        unscaled=tuple(task for task, scale in found.items() if scale is None),
        entries=tuple(entries),
    )


def _order(entry: Entry) -> tuple[object, ...]:
    alone = entry.mean is None
    return (alone, -(entry.mean or 0.0), -len(entry.scores), entry.label, entry.budget)


def _scale(board: Board) -> Scale | None:
    facts = board.records[0].task
    if facts.optimum is not None:
        return Scale(facts.chance, facts.optimum, None, "full")
    best = envelope(board)[-1]
    if best.loss >= facts.chance:
        return None
    return Scale(facts.chance, best.loss, best.row, best.at)


def _score(row: Row, scale: Scale) -> NormalizedScore:
    points = [point for record in row.records if (point := record.point("full")) is not None]
    middle = median(point.loss.mean for point in points)
    interval = min(points, key=lambda point: abs(point.loss.mean - middle)).loss.interval
    width = scale.chance - scale.one
    half = None if interval is None else (interval[1] - interval[0]) / 2 / width
    return NormalizedScore((scale.chance - middle) / width, half, row.need)
