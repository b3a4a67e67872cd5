"""One model on one task, trained with each k_train and scored at each k."""

import math

import altair as alt

from seqmem.leaderboard.aggregate import Board, Row
from seqmem.leaderboard.charts.parts import INK, data, finished
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.rows import loss
from seqmem.leaderboard.tables.formatting import unit

__all__ = ["matrix_chart"]

CELL = 52  # pixels
STATES = {
    "carried": "state carried",
    "reset": "state reset before each window",
    None: "no state",
}


def matrix_chart(board: Board, label: str) -> alt.VConcatChart:
    """Draw the scores of one model as a heat map, k_train down and k to the right.

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
    ends = min(losses), max(losses)
    order = list(STATES)
    groups = {(row.budget, row.state) for row in rows}
    panels = []
    for budget, state in sorted(groups, key=lambda group: (group[0], order.index(group[1]))):
        here = [row for row in rows if (row.budget, row.state) == (budget, state)]
        name = STATES[state]
        name += f", {budget} budget" if len({row.budget for row in rows}) > 1 else ""
        panels.append(_panel(board, here, name, ends))
    facts = board.records[0].task
    title = f"{label} on {board.task_id}: {unit(facts)}"
    chart = alt.vconcat(*panels).properties(title=title)
    k_trains = ", ".join(str(k) for k in sorted({row.k_train for row in rows}, key=_order))
    return finished(
        chart, f"{title}, trained with k_train {k_trains}, scored at each k. Lower is better"
    )


def _panel(board: Board, rows: list[Row], name: str, ends: tuple[float, float]) -> alt.LayerChart:
    across = [str(k) for k in board.contexts]
    down = [str(k) for k in sorted({row.k_train for row in rows}, key=_order)]
    # The latest of several recipes: one cell holds one score.
    latest = sorted(rows, key=lambda row: max(record.created for record in row.records))
    cells = {
        (row.k_train, k): {
            "k_train": str(row.k_train),
            "k": str(k),
            "loss": loss(row, k),
            "text": _short(cell.value),
            "same": row.k_train == k,
            "dark": loss(row, k) < ends[0] + 0.6 * (ends[1] - ends[0]),
        }
        for row in latest
        for k, cell in row.scores.items()
    }
    base = alt.Chart(data(list(cells.values()))).encode(
        alt.X(
            "k:N",
            sort=across,
            scale=alt.Scale(domain=across),
            title="context length k when scored",
            axis=alt.Axis(labelAngle=0, orient="top"),
        ),
        alt.Y("k_train:N", sort=down, scale=alt.Scale(domain=down), title="k_train"),
    )
    low, high = ends if ends[0] < ends[1] else (ends[0] - 1, ends[0])
    colours = alt.Scale(scheme="cividis", domain=[low, high])
    tiles = base.mark_rect().encode(alt.Color("loss:Q", scale=colours, legend=None))
    frames = (
        base.transform_filter("datum.same")
        .mark_rect(filled=False, stroke="#D55E00", strokeWidth=2.5)
        .encode()
    )
    ink = alt.condition("datum.dark", alt.value("white"), alt.value(INK))
    texts = base.mark_text(fontSize=11).encode(text="text:N", color=ink)
    return alt.LayerChart(
        layer=[tiles, frames, texts],
        width=CELL * len(across),
        height=max(CELL // 2 * len(down), CELL),
        title=alt.TitleParams(name, fontSize=11, fontWeight="normal"),
    )


def _short(value: float) -> str:
    """Three or four digits: more do not fit."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


def _order(k: Context) -> float:
    return math.inf if k == "full" else k
