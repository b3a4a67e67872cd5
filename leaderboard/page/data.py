"""The block of data that a page's charts and tables read.

Numbers have nine significant digits. A score that is not finite is None; so is a whole list of
numbers that was not measured.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import seqmem
from seqmem.leaderboard import OWN
from seqmem.leaderboard.charts.curve import interactive_curve_chart
from seqmem.leaderboard.charts.matrix import COLOURS, DARK, STATES
from seqmem.leaderboard.charts.need import interactive_need_chart
from seqmem.leaderboard.charts.styles import listing_order, model_of, styles
from seqmem.leaderboard.page.answers import answers, usual_k
from seqmem.leaderboard.page.provenance import SharedFacts, facts, number
from seqmem.leaderboard.published import Published
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.statistics.aggregate import Board, Row, Score, beats_chance, score
from seqmem.leaderboard.statistics.answers import memory
from seqmem.leaderboard.statistics.bits_held import bits_of_row
from seqmem.leaderboard.statistics.context_need import ContextNeed
from seqmem.leaderboard.statistics.envelope import Best
from seqmem.leaderboard.statistics.ranks import ranks
from seqmem.leaderboard.statistics.rows import few_windows, k_train, other_names, usual_rows
from seqmem.leaderboard.tables.formatting import (
    edition,
    need,
    row_need,
    same_models,
    state_floats,
    trust,
    unit,
)
from seqmem.leaderboard.tables.published_table import published_tables
from seqmem.leaderboard.tables.strata_table import strata_tables
from seqmem.leaderboard.tables.wording import bits_text
from seqmem.tasks import FAMILIES, family_of

__all__ = ["page_data"]

# The fields of a record's curve at each k, in this order.
POINT = ("loss", "low", "high", "n", "method", "half_width", "excess", "accuracy", "steps")
# The k at which a reader may compare models on all tasks; a task may have others, too.
POWERS: tuple[Context, ...] = (*(2**i for i in range(21)), "full")


def _short(value: float | None) -> float | None:
    """Return a number to nine significant digits; None if it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.9g}")


def page_data(
    boards: Sequence[Board], models: Mapping[str, str], published: Sequence[Published] = ()
) -> dict[str, Any]:
    """Return everything that a page shows, as plain data.

    Args:
        boards: what was measured.
        models: known models, in their order, and what each is in one line.
        published: numbers from papers, shown with the last board of their task.
    """
    shared: SharedFacts = {}
    usual = {row for board in boards for row in usual_rows(board)}
    series = _series(boards, usual)
    as_usual = {series[row] for row in usual}

    def place(name: str) -> tuple[object, ...]:  # models trained as usual choose their style first
        return name not in as_usual, "," in name, *listing_order(name, list(models))

    every = sorted(set(series.values()), key=place)
    series_style = {
        name: [style.colour, list(style.dash), style.shape]
        for name, style in zip(every, styles(every, models), strict=True)
    }
    labels = dict.fromkeys(row.label for row in series)
    ids = [board.task_id for board in boards]
    last = {task_id: i for i, task_id in enumerate(ids)}
    tasks = []
    for i, board in enumerate(boards):
        found = memory(board)
        printed = published if last[board.task_id] == i else ()
        task = _task(board, ids.count(board.task_id) > 1, found.shown) | {
            "rows": [
                _row(row, board, shared)
                | {"series": series[row], "usual": row in usual, "style": series_style[series[row]]}
                | {"rank": rank and asdict(rank) | {"text": str(rank)}}
                for row, rank in zip(board.rows, ranks(board.rows), strict=True)
            ],
            "answers": answers(board, found, series),
            "envelope": _envelope(board, found.bests),
            "curveChart": interactive_curve_chart(board, found.bests),
            "needChart": interactive_need_chart(board, found.shown),
            "strata": strata_tables(board),
            "published": published_tables(board.task_id, printed),
        }
        if others := other_names(board):
            task["sameModels"] = same_models(others)
        tasks.append(task)
    for task_id in dict.fromkeys(entry.task for entry in published if entry.task not in last):
        tasks.append(
            {"id": task_id, "title": task_id, "about": _about(task_id), "rows": []}
            | {"published": published_tables(task_id, published)}
        )
    records = [record for board in boards for record in board.records]
    measured = {k for board in boards for k in board.contexts}
    contexts = [k for k in POWERS if k in measured]
    return {
        "suite": seqmem.__version__,
        "records": len(records),
        "latest": max((record.created for record in records), default="")[:10],
        "models": list(labels),
        "series": list(series_style),
        "budgets": sorted({row.budget for board in boards for row in board.rows}),
        "point": list(POINT),
        "contexts": contexts,
        "at": usual_k(contexts),
        "about": {label: models.get(model_of(label), "") for label in labels},
        "tasks": tasks,
        "shared": [item for _, item in shared.values()],
        "heat": {"colours": COLOURS, "dark": DARK, "states": STATES},
    }


def _series(boards: Sequence[Board], usual: Collection[Row]) -> dict[Row, str]:
    """Return a name for each row, unique on its board.

    Rows with the same model, budget and k_train have the same name on all boards.
    """
    budgets = Counter(row.budget for board in boards for row in board.rows)
    common = max(budgets, key=budgets.__getitem__, default="")
    found = {}
    for board in boards:
        taken: Counter[str] = Counter()
        for row in board.rows:
            name = row.label
            name += "" if row.budget == common else f", {row.budget}"
            name += "" if row in usual else f", k_train {k_train(row)}"
            taken[name] += 1
            found[row] = name if taken[name] == 1 else f"{name}, recipe {taken[name]}"
    return found


def _about(task_id: str) -> str:
    """Return what a task is in one sentence, with its own parameters."""
    family = FAMILIES.get(family_of(task_id))
    if family is None:
        return ""
    text = family.summary.replace("`", "").partition(";")[0]
    for name, value in re.findall(r"(\w+)=([\w.-]+)", task_id):
        text = re.sub(rf"\b{name}\b", value, text)
    text = f"predict the {text}" if text.startswith("next ") else text
    return text[:1].upper() + text[1:]


def _task(board: Board, several: bool, suffices: ContextNeed) -> dict[str, Any]:
    task = board.records[0].task
    title = board.task_id
    if several:  # scores of other versions or other data are not comparable
        title += f" ({edition(task)})"
    return {
        "id": board.task_id,
        "title": title,
        "about": _about(board.task_id),
        "unit": unit(task),
        "loss": task.loss,
        "lossUnit": task.unit,
        "score": task.score,
        "version": task.version,
        "data": task.data_hash,
        "split": task.split,
        "contexts": list(board.contexts),
        "chance": _short(board.chance),
        "optimum": [_short(board.optimum.get(k)) for k in board.contexts],
        "need": {"k": suffices.k, "state": suffices.state, "text": need(suffices)},
    }


def _row(row: Row, board: Board, shared: SharedFacts) -> dict[str, Any]:
    record = row.records[0]
    return {
        "label": row.label,
        "kTrain": row.k_train,
        "trainedAt": k_train(row),
        "state": row.state,
        "budget": row.budget,
        "own": OWN if record.model.get("own") else "",
        "parameters": record.model["parameters"],
        "floats": state_floats(row),
        "bits": _bits(bits_of_row(row)),
        "bitsPerFloat": _bits(bits_of_row(row, per_float=True)),
        "trust": trust(row),
        "cells": [_cell(row, k, board.chance) for k in board.contexts],
        "need": asdict(row.need) | {"text": row_need(row)},
        "records": [
            facts(record, shared) | {"points": _points(record, board.contexts, shared)}
            for record in row.records
        ],
    }


def _bits(held: Score | None) -> list[float | str | None] | None:
    """Return bits, by which rows are sorted, and their text."""
    return None if held is None else [_short(held.value), bits_text(held)]


def _cell(row: Row, k: Context, chance: float) -> list[float | int | None] | None:
    """Return value, half-width, smallest, largest, number of seeds, and 1 if it beats chance."""
    cell = row.scores.get(k)
    if cell is None:
        return None
    numbers = (cell.value, cell.half, cell.smallest, cell.largest)
    return [*map(_short, numbers), cell.seeds, int(beats_chance(row, k, chance))]


def _points(
    record: Record, contexts: Sequence[Context], shared: SharedFacts
) -> list[list[Any] | None]:
    """Return a record's curve, in the order of POINT, for each k of the board."""
    found: Mapping[Context, list[Any]] = {
        point.k: [
            _short(point.loss.mean),
            *map(_short, point.loss.interval or (None, None)),
            point.n,
            number(shared, "few" if few_windows(record, point) else point.method),
            _short(point.half_width),
            _short(point.excess.mean) if point.excess else None,
            _short(point.accuracy[0]) if point.accuracy else None,
            point.steps,
        ]
        for point in record.curve
    }
    return [found.get(k) for k in contexts]


def _envelope(board: Board, bests: Sequence[Best]) -> list[list[Any] | None]:
    """Return for each k the best score with at most k inputs.

    With it come its row, its index of k, and 1 if it beats chance.
    """
    found = {
        best.k: [
            _short(score(best.row.records[0], best.loss)),
            board.rows.index(best.row),
            board.contexts.index(best.at),
            int(beats_chance(best.row, best.at, board.chance)),
        ]
        for best in bests
    }
    return [found.get(k) for k in board.contexts]
