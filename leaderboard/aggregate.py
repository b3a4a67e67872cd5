"""From records to the rows of a board."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from seqmem.leaderboard.record import Context, Record

__all__ = [
    "Board",
    "Cell",
    "ContextNeed",
    "Row",
    "better_than_chance",
    "boards",
    "context_need",
    "first_within",
    "score",
    "solved",
    "state_trained",
    "tolerance",
]


@dataclass(frozen=True)
class Cell:
    """A score at one k, as a table shows it.

    Attributes:
        value: the median over seeds.
        half: half the width of its 95 % interval (of the seed nearest the median); None where
            that is not known.
        smallest: of any seed.
        largest: of any seed.
        seeds: how many seeds stand behind it.
    """

    value: float
    half: float | None
    smallest: float
    largest: float
    seeds: int


@dataclass(frozen=True)
class ContextNeed:
    """The smallest measured k whose loss is within the tolerance of the full-context loss.

    Attributes:
        state: "reached"; "beyond" where no measured k is enough; "chance" where even the full
            context is not better than chance; "unknown" where full was not measured.
        k: the context need, where reached.
        low: the smallest k that the interval of the difference allows; None where none is.
        high: the smallest k from which on it proves every one measured; None where the largest is
            not proved. With 95 % confidence the context need lies within low and high.
        largest: the largest finite k measured.
    """

    state: str
    k: int | None = None
    low: int | None = None
    high: int | None = None
    largest: int | None = None


@dataclass(frozen=True)
class Row:
    """A model on a task: all seeds of one training set-up.

    Attributes:
        label: the model, with the options its user set.
        k_train: the context it was trained with.
        state: "carried" from one segment of k_train inputs to the next, or "reset" before each
            window; None for models without state.
        budget: the training budget.
        records: one for each seed, the latest of each.
        cells: the score at each k; a missing k is missing.
        need: the context need, of the seed with the median full-context loss.
        needs: that of every seed, in the order of `records`.
    """

    label: str
    k_train: Context
    state: str | None
    budget: str
    records: tuple[Record, ...]
    cells: dict[Context, Cell]
    need: ContextNeed
    needs: tuple[ContextNeed, ...]


@dataclass(frozen=True)
class Board:
    """One task at one version, on the same data.

    Attributes:
        task_id: the task.
        records: all that were taken in.
        contexts: every k that any record has, ascending, full last.
        rows: best full-context score first.
        chance: the score of the best constant.
        optimum: the best possible score at each k; empty where unknown.
    """

    task_id: str
    records: tuple[Record, ...]
    contexts: tuple[Context, ...]
    rows: tuple[Row, ...]
    chance: float
    optimum: dict[Context, float]


def score(record: Record, loss: float) -> float:
    """Turn a loss into what the table shows."""
    if record.task.score != "perplexity":
        return loss
    return math.exp(loss) if loss < 700 else math.inf


def state_trained(record: Record) -> str | None:
    """Tell what became of a model's state in training; records from before this was asked carry it.

    Returns:
        "carried" or "reset"; None for models without state, and where that is not known.
    """
    usual = "carried" if record.model.get("stateful") else None
    state: str | None = record.training.get("state", usual)
    return state


def tolerance(record: Record) -> float:
    """Give the loss difference that counts as none: 1 % of perplexity, or of chance to optimum."""
    if record.task.score == "perplexity":
        return math.log(1.01)
    return 0.01 * (record.task.chance - (record.task.optimum or 0.0))


def better_than_chance(row: Row, k: Context) -> bool:
    """Tell whether most seeds are proved better than chance with k inputs."""
    return 2 * sum(_gains(record, k) for record in row.records) > len(row.records)


def _gains(record: Record, k: Context) -> bool:
    """Tell whether the interval of the loss excludes chance, or that of the gain excludes zero.

    With fewer inputs the gain is at least that at full, less at most what they lose. Both are
    paired target by target.
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
    """Count the seeds that solve the task: as good as the optimum at full, within the tolerance.

    Whether a training solves copying or adding is often a matter of its seed, all or nothing; a
    mean over seeds then says little.

    Returns:
        None where the optimum is not known, or not every seed was scored with the full context.
    """
    losses = [_full_loss(record) for record in row.records]
    facts = row.records[0].task
    if facts.optimum is None or math.inf in losses:
        return None
    most = facts.optimum + tolerance(row.records[0])
    return sum(loss <= most for loss in losses)


def context_need(record: Record) -> ContextNeed:
    """Read the context need off a record's curve."""
    full = record.point("full")
    points = [(point.k, point.excess) for point in record.curve if isinstance(point.k, int)]
    if full is None or not points:
        return ContextNeed("unknown")
    largest = points[-1][0]
    gain = record.gain
    if gain is not None and (gain.interval[0] if gain.interval else gain.mean) <= 0:
        return ContextNeed("chance", largest=largest)
    excesses = [
        (k, excess.mean, *(excess.interval or (excess.mean, excess.mean)))
        for k, excess in points
        if excess is not None
    ]
    return replace(first_within(excesses, tolerance(record)), largest=largest)


def first_within(
    excesses: Iterable[tuple[int, float, float, float]], allowed: float
) -> ContextNeed:
    """Find the smallest k whose excess loss is within what is allowed.

    Args:
        excesses: k, the excess loss, and the ends of its interval; k ascending.
        allowed: in the loss's unit.
    """
    reached = low = high = largest = None
    for k, mean, least, most in excesses:
        reached = k if reached is None and mean <= allowed else reached
        low = k if low is None and least <= allowed else low
        # Of many k above it, one or another seems within it by chance: all from there on must.
        high = None if most > allowed else k if high is None else high
        largest = k
    return ContextNeed("beyond" if reached is None else "reached", reached, low, high, largest)


def boards(records: Iterable[Record]) -> list[Board]:
    """Sort records into one board for each task, version and data; ids in alphabetical order."""
    groups: dict[tuple[str, int, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.task.id, record.task.version, record.task.data_hash].append(record)
    return [_board(group) for _, group in sorted(groups.items())]


def _board(records: Sequence[Record]) -> Board:
    first = records[0]
    contexts = sorted({point.k for record in records for point in record.curve}, key=_order)
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
    # By seed and not by age: of two that lie as near the median, the same one is shown whichever
    # was finished first.
    rows = [_row([seeds[seed] for seed in sorted(seeds)], contexts) for seeds in by_row.values()]
    rows.sort(key=lambda row: (_full(row), row.label, str(row.k_train), row.state or ""))
    chance = score(first, first.task.chance)
    return Board(first.task.id, tuple(records), tuple(contexts), tuple(rows), chance, optimum)


def _set_up(record: Record) -> tuple[object, ...]:
    """What the seeds of one row have in common: the model and its training."""
    how = json.dumps([record.training.get("recipe"), record.model.get("options")], sort_keys=True)
    return (
        record.model["label"],
        record.training["k_train"],
        state_trained(record),
        record.training["budget"],
        record.environment.get("dtype"),
        how,
    )


def _joined(older: Record, newer: Record) -> Record:
    """Join what was measured of the same weights; of other weights, the newer counts."""
    same = (
        older.model.get("weights_sha256") == newer.model.get("weights_sha256")
        and older.group_counts == newer.group_counts
    )
    if not same:
        return newer
    points = {point.k: point for point in newer.curve}
    for point in older.curve:
        if point.k not in points or point.half_width < points[point.k].half_width:
            points[point.k] = point  # what is known better counts, not what is newer
    curve = tuple(points[k] for k in sorted(points, key=_order))
    return replace(newer, curve=curve, gain=newer.gain or older.gain)


def _row(records: Sequence[Record], contexts: Sequence[Context]) -> Row:
    first = records[0]
    ordered = sorted(records, key=_full_loss)
    by_seed = sorted(records, key=lambda record: record.training["seed"])
    cells = {k: cell for k in contexts if (cell := _cell(records, k)) is not None}
    return Row(
        label=first.model["label"],
        k_train=first.training["k_train"],
        state=state_trained(first),
        budget=first.training["budget"],
        records=tuple(by_seed),
        cells=cells,
        need=context_need(ordered[(len(ordered) - 1) // 2]),
        needs=tuple(map(context_need, by_seed)),
    )


def _cell(records: Sequence[Record], k: Context) -> Cell | None:
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
    return Cell(middle, half, min(values), max(values), len(values))


def _full_loss(record: Record) -> float:
    full = record.point("full")
    return math.inf if full is None else full.loss.mean


def _full(row: Row) -> float:
    return row.cells["full"].value if "full" in row.cells else math.inf


def _order(k: Context) -> float:
    return math.inf if k == "full" else k
