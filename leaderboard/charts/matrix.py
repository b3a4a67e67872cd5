"""One model on one task, trained with each k_train and scored at each k."""

import math
from collections.abc import Sequence

from seqmem.leaderboard.charts.theme import PRINT, Spec, finished, layer
from seqmem.leaderboard.statistics.aggregate import Board, Row, context_order
from seqmem.leaderboard.statistics.rows import loss
from seqmem.leaderboard.tables.formatting import unit

__all__ = ["COLOURS", "DARK", "STATES", "matrix_chart"]

CELL = 52  # pixels
# Cividis (Nuñez, Anderton & Renslow 2018), at nine even steps: it reads the same without colour.
COLOURS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173",
    "#8a8678", "#a69d75", "#c5b56a", "#e4cf5b",
)  # fmt: skip
DARK = 0.525  # of the way along these colours, white text and black text have the same contrast
STATES = {
    "carried": "state carried",
    "reset": "state reset before each window",
    None: "no state",
}


def matrix_chart(board: Board, label: str) -> Spec:
    """Return the scores of one model as a heat map, k_train down and k to the right.

    Training with the state carried and with the state reset are panels of their own, as are
    budgets. A frame marks where k is k_train. What was not measured stays empty.

    Args:
        board: one task.
        label: the model, with its options.

    Raises:
        ValueError: the board has no such model.
    """
    rows = [row for row in board.rows if row.label == label]
    if not rows:
        raise ValueError(f"{board.task_id} has no row of {label}")
    losses = [loss(row, k) for row in rows for k in row.scores]
    low, high = min(losses), max(losses)
    ends = (low, high) if low < high else (low - 1, low)
    order = list(STATES)
    groups = {(row.budget, row.state) for row in rows}
    panels = []
    for budget, state in sorted(groups, key=lambda group: (group[0], order.index(group[1]))):
        here = [row for row in rows if (row.budget, row.state) == (budget, state)]
        name = STATES[state]
        name += f", budget {budget}" if len({row.budget for row in rows}) > 1 else ""
        panels.append(_panel(board, here, name, ends))
    title = f"{label} on {board.task_id}: {unit(board.records[0].task)}"
    trained = ", ".join(_k_trains(rows))
    description = f"{title}, trained with k_train {trained}, scored at each k. Lower is better"
    return finished({"vconcat": panels, "title": title}, PRINT, description)


def _panel(board: Board, rows: list[Row], name: str, ends: tuple[float, float]) -> Spec:
    across, down = [str(k) for k in board.contexts], _k_trains(rows)
    # The latest of several recipes: one cell holds one score.
    latest = sorted(rows, key=lambda row: max(record.created for record in row.records))
    cells = {
        (row.k_train, k): {
            "k_train": str(row.k_train),
            "k": str(k),
            "loss": loss(row, k),
            "text": _short(cell.value),
            "same": row.k_train == k,
        }
        for row in latest
        for k, cell in row.scores.items()
    }
    dark = f"datum.loss < {ends[0] + DARK * (ends[1] - ends[0])!r}"
    x = {"title": "context length k when scored", "axis": {"labelAngle": 0, "orient": "top"}}
    y = {"title": "k_train"}
    colour = {"scale": {"range": list(COLOURS), "domain": list(ends)}, "legend": None}
    ink = {"condition": {"test": dark, "value": "white"}, "value": "black"}
    return {
        "data": {"values": list(cells.values())},
        "encoding": {
            "x": {"field": "k", "type": "nominal", "scale": {"domain": across}, **x},
            "y": {"field": "k_train", "type": "nominal", "scale": {"domain": down}, **y},
        },
        "layer": [
            layer("rect", {"color": {"field": "loss", "type": "quantitative", **colour}}),
            layer("rect", where="datum.same", filled=False, stroke=PRINT.warn, strokeWidth=2.5),
            layer("text", {"text": {"field": "text"}, "color": ink}, fontSize=11),
        ],
        "width": CELL * len(across),
        "height": max(CELL // 2 * len(down), CELL),
        "title": {"text": name, "fontSize": 11, "fontWeight": "normal"},
    }


def _k_trains(rows: Sequence[Row]) -> list[str]:
    """Return every k_train, ascending, "full" last."""
    return [str(k) for k in sorted({row.k_train for row in rows}, key=context_order)]


def _short(value: float) -> str:
    """Return three or four digits: more do not fit."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}"
