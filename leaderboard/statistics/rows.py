"""Rows of a board: which ones are shown, their names, and which belong together."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from seqmem.leaderboard.record import Context, Point, Record
from seqmem.leaderboard.statistics.aggregate import Board, Row, context_order

__all__ = [
    "WITHOUT_MISSED",
    "Kind",
    "few_windows",
    "k_train",
    "kind",
    "latest",
    "loss",
    "name_of",
    "named_rows",
    "names",
    "other_names",
    "stable_pairs",
    "usual_rows",
]

Kind = Literal["recurrent", "feed-forward", "not trained by steps"]

# How records describe the sampling error where it does not include what a sample may have missed,
# and up to how many windows that matters: rare, large differences are then easily all missed.
WITHOUT_MISSED, FEW = "Student's t over sampled targets, finite population, 95 %", 512
STABLE = "-stable"  # how the name of a model with a stability constraint ends
RECURRENT = ("seq2seq",)  # of recurrent layers that read each window anew and carry no state
# Options that the model without the constraint has not.
CONSTRAINT = ("lambda_max", "forget_max", "forget_slowest", "forget_bias")


def loss(row: Row, k: Context) -> float:
    """Return a row's loss at a k that it has, in the loss's unit: the median over seeds."""
    value = row.scores[k].value
    return math.log(value) if row.records[0].task.score == "perplexity" else value


def kind(row: Row) -> Kind:
    """Return whether a model is recurrent or feed-forward, or was not trained by gradient steps."""
    record = row.records[0]
    if record.training.get("recipe") is None:
        return "not trained by steps"
    recurrent = record.model.get("stateful") or record.model.get("name") in RECURRENT
    return "recurrent" if recurrent else "feed-forward"


def few_windows(record: Record, point: Point) -> bool:
    """Return whether the sampling error may be larger than stated: a small sample may miss more.

    That is so in records made before the half-width included what a sample may have missed.
    """
    earlier = record.measurement.get("half_width") == WITHOUT_MISSED
    return earlier and point.method == "sample" and point.n <= FEW


def usual_rows(board: Board) -> tuple[Row, ...]:
    """Return one row for each model and budget, in the board's order.

    It is the one trained as the recipe says: with its k_train, state carried, in float32, and of
    several the latest. If there is none, the one with the longest k_train.
    """
    recipes = [recipe for row in board.rows if (recipe := row.records[0].training.get("recipe"))]
    given = [recipe["k_train"] for recipe in recipes if "k_train" in recipe]
    common = max(given, key=given.count) if given else "full"

    def rank(row: Row) -> tuple[object, ...]:
        record = row.records[0]
        recipe = record.training.get("recipe") or {}
        return (
            row.k_train == recipe.get("k_train", common) and row.state != "reset",
            context_order(row.k_train),
            row.state != "reset",
            record.environment.get("dtype") in (None, "float32"),
            _created(row),
        )

    return _chosen(board, lambda row: (row.label, row.budget), rank)


def latest(board: Board) -> Board:
    """Return the board without rows of which there is a later one, by another recipe.

    Such rows have the same model, k_train, state, budget and precision.
    """

    def cell(row: Row) -> tuple[object, ...]:
        dtype = row.records[0].environment.get("dtype")
        return row.label, row.k_train, row.state, row.budget, dtype

    return replace(board, rows=_chosen(board, cell, _created))


def _chosen(
    board: Board, group: Callable[[Row], object], rank: Callable[[Row], Any]
) -> tuple[Row, ...]:
    """Return the row of each group with the highest rank, in the board's order."""
    groups: dict[object, list[Row]] = defaultdict(list)
    for row in board.rows:
        groups[group(row)].append(row)
    chosen = {max(rows, key=rank) for rows in groups.values()}
    return tuple(row for row in board.rows if row in chosen)


def _created(row: Row) -> str:
    return max(record.created for record in row.records)


def names(rows: Sequence[Row]) -> list[str]:
    """Return a name for each row, no two alike: its model, and what distinguishes it if needed."""
    found = [row.label for row in rows]
    for part in (k_train, lambda row: row.budget, _precision):
        parts: dict[str, set[str]] = {}
        for name, row in zip(found, rows, strict=True):
            parts.setdefault(name, set()).add(part(row))
        word = "k_train " if part is k_train else ""
        found = [
            f"{name}, {word}{part(row)}" if len(parts[name]) > 1 else name
            for name, row in zip(found, rows, strict=True)
        ]
    count, seen = Counter(found), Counter[str]()
    for i, name in enumerate(found):  # other recipes: in the order given
        seen[name] += 1
        if count[name] > 1:
            found[i] = f"{name}, recipe {seen[name]}"
    return found


def k_train(row: Row) -> str:
    """Return the context length that a row was trained with, as text."""
    return f"{row.k_train} (reset)" if row.state == "reset" else str(row.k_train)


def _precision(row: Row) -> str:
    return str(row.records[0].environment.get("dtype") or "float32")


def named_rows(board: Board) -> dict[str, Row]:
    """Return the usual rows by their names, in the board's order."""
    rows = usual_rows(board)
    return dict(zip(names(rows), rows, strict=True))


def name_of(board: Board, row: Row) -> str:
    """Return a row's name: of a usual row as in `named_rows`, of others among all rows."""
    every = dict(zip(board.rows, names(board.rows), strict=True))
    usual = {each: name for name, each in named_rows(board).items()}
    return usual.get(row, every[row])


def other_names(board: Board) -> dict[str, list[str]]:
    """Return the other labels of each label's model, where one model has several.

    A model is known by its sha256, or by that of its weights.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for record in board.records:
        model = record.model
        if (known := model.get("sha256") or model.get("weights_sha256")) is not None:
            labels[known].add(model["label"])
    others: dict[str, set[str]] = defaultdict(set)
    for some in labels.values():
        for label in some if len(some) > 1 else ():
            others[label] |= some - {label}
    return {label: sorted(found) for label, found in sorted(others.items())}


def stable_pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return stable models with the same models unconstrained, of equal k_train and state."""
    by_set_up = {(row.label, row.budget, row.k_train, row.state): row for row in rows}
    pairs = []
    for row in rows:
        name, colon, options = row.label.partition(":")
        if not name.endswith(STABLE):
            continue
        common = ",".join(
            each for each in options.split(",") if each.partition("=")[0] not in CONSTRAINT
        )
        label = name.removesuffix(STABLE) + colon * bool(common) + common
        unconstrained = by_set_up.get((label, row.budget, row.k_train, row.state))
        if unconstrained is not None:
            pairs.append((row, unconstrained))
    return pairs
