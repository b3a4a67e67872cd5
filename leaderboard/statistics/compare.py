"""Comparisons between rows of a board: paired differences, envelopes, and what belongs together."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seqmem.leaderboard.aggregate import Board, ContextNeed, Row, first_within
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.intervals import LEVEL, block_mean
from seqmem.leaderboard.statistics.tails import quantile
from seqmem.leaderboard.tables.formatting import names

__all__ = [
    "Best",
    "Difference",
    "Kind",
    "Pair",
    "difference",
    "envelope",
    "envelope_need",
    "kind",
    "latest",
    "loss",
    "name_of",
    "named_rows",
    "optimum_need",
    "stable_pairs",
    "usual_rows",
]

Kind = Literal["recurrent", "feed-forward", "not trained by steps"]

STABLE = "-stable"  # the end of the name of a model that is another one made stable


@dataclass(frozen=True)
class Difference:
    """A mean loss minus another on the same targets, in the loss's unit.

    Attributes:
        mean: over seeds.
        low: the lower end of its 95 % interval; None where nothing is known.
        high: the upper end.
        seeds: how many seeds both rows have. From two on, the interval is Student's t over the
            differences of seeds, on this test set; with one it is over groups of dependent
            targets, of whatever sizes (`tails`), and how training varies is not in it.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def sign(self) -> int:
        """Give −1 or 1 where the interval excludes 0, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)

    def within(self, allowed: float) -> bool:
        """Tell whether the whole interval is within ± what is allowed."""
        if self.low is None or self.high is None:
            return False
        return -allowed <= self.low and self.high <= allowed


@dataclass(frozen=True)
class Best:
    """The best loss that any row reaches with at most k inputs.

    Attributes:
        k: the bound; "full" is none.
        row: the row that reaches it.
        at: the context at which it does, k or less.
        loss: the median over its seeds, in the loss's unit.
    """

    k: Context
    row: Row
    at: Context
    loss: float


@dataclass(frozen=True)
class Pair:
    """A stable model and the unconstrained one, trained alike."""

    stable: Row
    free: Row


def loss(row: Row, k: Context) -> float:
    """Give a row's loss at a k that it has, in the loss's unit: the median over seeds."""
    value = row.cells[k].value
    return math.log(value) if row.records[0].task.score == "perplexity" else value


def difference(
    first: Row, second: Row, k: Context, other: Context | None = None
) -> Difference | None:
    """Compare the loss of one row with that of another.

    Args:
        first: loses where the difference is above zero.
        second: the other, on the same board.
        k: the context length.
        other: the context length of the second; None for the same.

    Returns:
        their difference; None where either has no loss there. Seeds that both have are paired; of
        rows without a seed in common, the first ones are compared.
    """
    other = k if other is None else other
    ones = {r.training["seed"]: r for r in first.records if r.point(k) is not None}
    others = {r.training["seed"]: r for r in second.records if r.point(other) is not None}
    if not ones or not others:
        return None
    pairs = [(ones[seed], others[seed]) for seed in sorted(ones.keys() & others.keys())]
    pairs = pairs or [(ones[min(ones)], others[min(others)])]
    if len(pairs) == 1:
        return _over_targets(*pairs[0], k, other)
    values = np.array([_loss(one, k) - _loss(two, other) for one, two in pairs])
    mean = block_mean(values, np.ones(len(values), dtype=np.int64))
    assert mean.interval is not None
    return Difference(mean.value, mean.interval.low, mean.interval.high, len(pairs))


def _over_targets(one: Record, two: Record, k: Context, other: Context) -> Difference:
    here, there = one.point(k), two.point(other)
    assert here is not None
    assert there is not None
    value = here.loss.mean - there.loss.mean
    if one.group_counts != two.group_counts:
        return Difference(value, None, None, 1)
    sums = np.array(here.group_sums) - np.array(there.group_sums)
    error = block_mean(sums, np.array(one.group_counts)).standard_error
    if error is None:
        return Difference(value, None, None, 1)
    half = quantile(one.group_counts, LEVEL) * error
    return Difference(value, value - half, value + half, 1)


def _loss(record: Record, k: Context) -> float:
    point = record.point(k)
    assert point is not None
    return point.loss.mean


def envelope(board: Board, rows: Sequence[Row] | None = None) -> tuple[Best, ...]:
    """Give the best loss that any of the rows reaches with at most k inputs, for every k.

    A row counts whatever it was trained with: truncated at inference or trained at k, it predicts
    from so many inputs. The best of several is chosen on the test set that it is scored on.

    Args:
        board: says which k there are.
        rows: of the board; None for all.

    Returns:
        one for each k of the board from the first on that any row has.
    """
    some = board.rows if rows is None else rows
    found: list[Best] = []
    for k in board.contexts:
        here = [Best(k, row, k, loss(row, k)) for row in some if k in row.cells]
        if found:
            here.insert(0, replace(found[-1], k=k))  # fewer inputs may be better
        if here:
            found.append(min(here, key=lambda best: best.loss))
    return tuple(found)


def envelope_need(bests: Sequence[Best], allowed: float) -> ContextNeed:
    """Find how many inputs suffice for a loss close to the envelope's last.

    Args:
        bests: an envelope, the full context last.
        allowed: how far above its last loss, in the loss's unit.
    """
    if not bests or bests[-1].k != "full":
        return ContextNeed("unknown")
    last = bests[-1]
    if last.row.need.state == "chance":
        return ContextNeed("chance", largest=last.row.need.largest)
    excesses = []
    for best in bests[:-1]:
        excess = best.loss - last.loss
        gap = difference(best.row, last.row, best.at, last.at)
        half = 0.0
        if gap is not None and gap.low is not None and gap.high is not None:
            half = (gap.high - gap.low) / 2
        assert best.k != "full"
        excesses.append((best.k, excess, excess - half, excess + half))
    return first_within(excesses, allowed) if excesses else ContextNeed("unknown")


def optimum_need(record: Record, optimum: dict[Context, float], share: float) -> int | None:
    """Give the smallest measured k at which the optimum has a share of all there is to gain.

    Args:
        record: of a task scored by its loss, whose chance counts.
        optimum: the best possible loss at each measured k.
        share: of the way from chance to the optimum with the full context.

    Returns:
        None where the optimum is not known at full, or at no such k.
    """
    if "full" not in optimum:
        return None
    bound = optimum["full"] + (1 - share) * (record.task.chance - optimum["full"])
    enough = [k for k, best in optimum.items() if k != "full" and best <= bound]
    return min(enough, default=None)


def kind(row: Row) -> Kind:
    """Tell recurrent models from feed-forward ones, and both from what is computed or counted."""
    if row.records[0].training.get("recipe") is None:
        return "not trained by steps"
    return "recurrent" if row.records[0].model.get("stateful") else "feed-forward"


def usual_rows(board: Board) -> tuple[Row, ...]:
    """Choose one row for each model and budget, in the board's order.

    It is the one trained as the recipe says: with its k_train, state carried, in float32, and of
    several the latest. Where there is none, the longest k_train counts.
    """
    recipes = [recipe for row in board.rows if (recipe := row.records[0].training.get("recipe"))]
    given = [recipe["k_train"] for recipe in recipes if "k_train" in recipe]
    common = max(given, key=given.count) if given else "full"

    def rank(row: Row) -> tuple[object, ...]:
        record = row.records[0]
        recipe = record.training.get("recipe") or {}
        return (
            row.k_train == recipe.get("k_train", common) and row.state != "reset",
            math.inf if row.k_train == "full" else row.k_train,
            row.state != "reset",
            record.environment.get("dtype") in (None, "float32"),
            max(record.created for record in row.records),
        )

    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in board.rows:
        groups[row.label, row.budget].append(row)
    chosen = [max(rows, key=rank) for rows in groups.values()]
    return tuple(row for row in board.rows if any(row is other for other in chosen))


def latest(board: Board) -> Board:
    """Leave out rows that a later recipe of the same model, k_train, state and budget replaced."""
    newest: dict[tuple[object, ...], tuple[str, Row]] = {}
    for row in board.rows:
        dtype = row.records[0].environment.get("dtype")
        cell = (row.label, row.k_train, row.state, row.budget, dtype)
        made = max(record.created for record in row.records)
        if cell not in newest or made > newest[cell][0]:
            newest[cell] = made, row
    kept = [row for _, row in newest.values()]
    return replace(board, rows=tuple(row for row in board.rows if any(row is k for k in kept)))


def named_rows(board: Board) -> dict[str, Row]:
    """Give the usual rows, in the board's order, each under a name of its own."""
    rows = usual_rows(board)
    return dict(zip(names(rows), rows, strict=True))


def name_of(board: Board, row: Row) -> str:
    """Name a row of a board: of a model's usual row its name, of others what sets them apart."""
    every = {id(each): name for name, each in zip(names(board.rows), board.rows, strict=True)}
    usual = {id(each): name for name, each in named_rows(board).items()}
    return usual.get(id(row), every[id(row)])


def stable_pairs(rows: Sequence[Row]) -> tuple[Pair, ...]:
    """Pair stable models with the same models unconstrained, where k_train and state agree."""
    by_set_up = {(row.label, row.budget, row.k_train, row.state): row for row in rows}
    pairs = []
    for row in rows:
        name, colon, options = row.label.partition(":")
        if not name.endswith(STABLE):
            continue
        label = name.removesuffix(STABLE) + colon + options
        free = by_set_up.get((label, row.budget, row.k_train, row.state))
        if free is not None:
            pairs.append(Pair(row, free))
    return tuple(pairs)
