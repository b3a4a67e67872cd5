"""How much context each model uses on each task."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from seqmem.leaderboard.aggregate import Board, Row
from seqmem.leaderboard.charts.parts import GREY, data, finished
from seqmem.leaderboard.rows import named_rows
from seqmem.leaderboard.statistics.context_need import ContextNeed, tolerance
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.tables.formatting import row_need

__all__ = ["need_chart"]

WIDTH, LINE = 190, 17  # pixels: of a panel, and from one model to the next
COLUMNS = 3
NONE = 0.45  # where "never better than chance" stands, left of k = 1
OPEN = 1.5  # "> largest" stands so many times further right than the largest k
MEASURED, BEYOND, CHANCE = (
    "context need k*(1 %)",
    "> largest k measured",
    "never better than chance",
)
BLUE, RED = "#0072B2", "#D55E00"


def need_chart(boards: Sequence[Board], models: Iterable[str]) -> alt.VConcatChart:
    """Draw the context need of each model on each task, as its recipe trains it.

    A dot is the context need and its line what the interval allows; a triangle stands where no
    measured k is enough, or the interval is open to that side; a ring is a model that is never
    better than chance. The grey line across a panel is the context with which the best of all
    models comes within 1 % of the best full-context score.

    Args:
        boards: a panel for each.
        models: names of known models, in their order.
    """
    rows = [(board, named_rows(board)) for board in boards]
    every = dict.fromkeys(name for _, some in rows for name in some)
    listed = list(models)
    own = {name: i for i, name in enumerate(listed)}
    order = sorted(every, key=lambda name: (own.get(_baseline(name), len(listed)), name))
    largest = max((k for board in boards for k in board.contexts if k != "full"), default=1)
    panels = [_panel(board, some, order, largest) for board, some in rows]
    lines = [alt.hconcat(*panels[i : i + COLUMNS]) for i in range(0, len(panels), COLUMNS)]
    title = alt.TitleParams(
        "Context need k*(1 %) of each model",
        subtitle="line: what the interval allows; dashed: where the best of all models is within "
        "1 % of the best full-context score",
        offset=14,
    )
    says = "; ".join(
        f"{board.task_id}: " + ", ".join(f"{name} {row_need(row)}" for name, row in some.items())
        for board, some in rows
    )
    chart = alt.vconcat(*lines).properties(title=title)
    return finished(chart, f"Context need k*(1 %) of each model. {says}")


def _baseline(name: str) -> str:
    return name.partition(":")[0].partition(",")[0]


def _panel(
    board: Board, rows: Mapping[str, Row], order: Sequence[str], largest: int
) -> alt.LayerChart:
    marks = [mark for name, row in rows.items() for mark in _marks(name, row.need)]
    x = alt.X(
        "k:Q",
        title="k",
        scale=alt.Scale(type="log", domain=[NONE / 1.3, largest * OPEN * 1.3], nice=False),
        axis=alt.Axis(
            values=[NONE, *[4**i for i in range(10) if 4**i <= largest]],
            labelExpr=f"datum.value == {NONE} ? 'none' : format(datum.value, '~d')",
            gridOpacity=0.4,
        ),
    )
    y = alt.Y("model:N", sort=list(order), scale=alt.Scale(domain=list(order)), title=None)
    base = alt.Chart(data(marks)).encode(x, y)
    layers: list[alt.Chart] = []
    suffices = envelope_need(envelope(board), tolerance(board.records[0]))
    if suffices.state == "reached":
        line = alt.Chart(data([{"k": suffices.k}])).mark_rule(color=GREY, strokeDash=[4, 3])
        layers.append(line.encode(x))
    bars = base.transform_filter("isValid(datum.end)").mark_rule(strokeWidth=1.6, color=BLUE)
    layers.append(bars.encode(alt.X2("end:Q")))
    points = base.mark_point(size=55, opacity=1, strokeWidth=1.4)
    layers.append(points.encode(*_looks()))
    return alt.LayerChart(layer=layers, width=WIDTH, height=LINE * len(order), title=board.task_id)


def _looks() -> tuple[alt.Shape, alt.Fill, alt.Stroke]:
    """Tell the states apart by shape and by fill, not by colour alone."""
    states = [MEASURED, BEYOND, CHANCE]
    legend = alt.Legend(orient="bottom", title=None, symbolOpacity=1, symbolStrokeWidth=1.4)

    def scale(*values: str) -> alt.Scale:
        return alt.Scale(domain=states, range=list(values))

    return (
        alt.Shape("state:N", scale=scale("circle", "triangle-right", "circle"), legend=legend),
        alt.Fill("state:N", scale=scale(BLUE, BLUE, "white"), legend=legend),
        alt.Stroke("state:N", scale=scale(BLUE, BLUE, RED), legend=legend),
    )


def _marks(name: str, need: ContextNeed) -> list[dict[str, Any]]:
    if need.state == "chance":
        return [{"model": name, "state": CHANCE, "k": NONE}]
    if need.state == "beyond":
        line = {"end": need.low} if need.low is not None else {}
        return [{"model": name, "state": BEYOND, "k": (need.largest or 1) * OPEN, **line}]
    if need.state == "unknown":
        return []
    high = (need.largest or 1) * OPEN if need.high is None else need.high
    found: list[dict[str, Any]] = [
        {"model": name, "state": MEASURED, "k": need.k, "end": need.low},
        {"model": name, "state": MEASURED, "k": need.k, "end": high},
    ]
    if need.high is None:
        found.append({"model": name, "state": BEYOND, "k": (need.largest or 1) * OPEN})
    return found
