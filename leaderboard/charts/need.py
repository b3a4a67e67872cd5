"""The context need of each model on each task."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from seqmem.leaderboard.charts.styles import listing_order
from seqmem.leaderboard.charts.theme import PRINT, SCREEN, Spec, Theme, finished, layer
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.context_need import ContextNeed, tolerance
from seqmem.leaderboard.statistics.envelope import envelope, envelope_need
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.tables.formatting import row_need

__all__ = ["interactive_need_chart", "need_chart"]

WIDTH, LINE = 190, 18  # pixels: of a panel, and from one model to the next
COLUMNS = 3
NONE = 0.45  # the place of models that learned nothing, left of k = 1
OPEN = 1.5  # the place of "> largest k measured", in multiples of that k
STATES = {
    "reached": "context need k*(1 %)",
    "beyond": "> largest k measured",
    "small": "gain over chance below 1 %",
    "chance": "never better than chance",
}


def need_chart(boards: Sequence[Board], models: Iterable[str]) -> Spec:
    """Return a chart of the context need of each model on each task, as its recipe trains it.

    A dot is the context need, and its line the 95 % interval. A triangle means that no measured k
    is enough, or that the interval is open to that side; a ring, that a model is never better than
    chance;
    a diamond, that its gain is too small to tell. The dashed line across a panel is the context
    with which the best of all models comes within 1 % of the best full-context score.

    Args:
        boards: a panel for each.
        models: names of known models, in their order.
    """
    rows = [(board, named_rows(board)) for board in boards]
    known = list(models)
    every = {name for _, some in rows for name in some}
    order = sorted(every, key=lambda name: listing_order(name, known))
    largest = max((k for board in boards for k in board.contexts if k != "full"), default=1)
    panels = [_print_panel(board, some, order, largest) for board, some in rows]
    lines = [{"hconcat": panels[i : i + COLUMNS]} for i in range(0, len(panels), COLUMNS)]
    title = {
        "text": "Context need k*(1 %) of each model",
        "subtitle": "line: 95 % interval; dashed: where the best of all models is within "
        "1 % of the best full-context score",
        "offset": 14,
    }
    needs = "; ".join(
        f"{board.task_id}: " + ", ".join(f"{name} {row_need(row)}" for name, row in some.items())
        for board, some in rows
    )
    return finished({"vconcat": lines, "title": title}, PRINT, f"{title['text']}. {needs}")


def interactive_need_chart(board: Board, enough: ContextNeed) -> Spec:
    """Return the chart of a page: its script fills the data set `needs`.

    `needs` holds rows of `name`, `order`, `text` and the fields of a `ContextNeed`. The height is
    that of one row.

    Args:
        board: of the task.
        enough: the context with which the best of all models is near the best score.
    """
    largest = max((k for k in board.contexts if k != "full"), default=1)
    chart = _panel(largest, enough, SCREEN) | {
        "data": {"name": "needs"},
        "width": "container",
        "height": LINE,
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
    return finished(chart, SCREEN)


def _print_panel(board: Board, rows: Mapping[str, Row], order: Sequence[str], largest: int) -> Spec:
    values = [{"name": name, **asdict(row.need)} for name, row in rows.items()]
    enough = envelope_need(board, envelope(board), tolerance(board.records[0]))
    panel = _panel(largest, enough, PRINT, order)
    return panel | {"data": {"values": values}, "width": WIDTH, "title": board.task_id}


def _panel(
    largest: int, enough: ContextNeed, theme: Theme, order: Sequence[str] | None = None
) -> Spec:
    """Return a line for each model.

    Args:
        largest: k on the axis.
        enough: the context with which the best of all models is near the best score.
        theme: colours.
        order: of the models; None for theirs in the data, without a legend.
    """
    ticks = [NONE, *(4**i for i in range(10) if 4**i <= largest)]
    texts = f"datum.value == {NONE} ? 'none' : format(datum.value, '~d')"
    x = {
        "field": "x",
        "type": "quantitative",
        "title": "k (inputs)",
        "scale": {"type": "log", "domain": [NONE / 1.35, largest * OPEN * 1.35], "nice": False},
        "axis": {"values": ticks, "labelExpr": texts, "labelOverlap": "greedy"},
    }
    y: Spec = {"field": "name", "type": "nominal", "title": "model"}
    y["axis"] = {"labelLimit": 130, "grid": True}
    states = _states(theme, legend=order is not None)
    if order is None:
        y["sort"] = {"field": "order", "op": "min"}
        hints = {"name": "model", "text": "k*(1 %)"}
        states["tooltip"] = [{"field": field, "title": title} for field, title in hints.items()]
    else:
        y["scale"] = {"domain": list(order)}
    opened = f"max(datum.largest, 1) * {OPEN}"
    places = {
        "x": f"{{reached: datum.k, beyond: {opened}, small: {NONE}, chance: {NONE}}}[datum.state]",
        "from": "isValid(datum.low) ? datum.low : datum.k",
        "to": f"datum.state == 'reached' && isValid(datum.high) ? datum.high : {opened}",
        "interval": "datum.state == 'reached' || datum.state == 'beyond' && isValid(datum.low)",
    }
    interval = {"x": x | {"field": "from"}, "x2": {"field": "to"}}
    look: Spec = {"size": 54, "opacity": 1, "strokeWidth": 1.5}
    bar: Spec = {"strokeWidth": 1.6, "color": theme.accent}
    end = layer("point", states, **look)
    end["transform"] = [
        {"filter": "datum.state == 'reached' && !isValid(datum.high)"},
        {"calculate": "'beyond'", "as": "state"},
        {"calculate": opened, "as": "x"},
    ]
    enough_line = [{"x": enough.k}] if enough.state == "reached" else []
    return {
        "transform": [
            {"filter": "datum.state != 'unknown'"},
            *({"calculate": place, "as": name} for name, place in places.items()),
        ],
        "encoding": {"x": x},
        "layer": [
            layer("rule", rows=enough_line, color=theme.quiet, strokeDash=[4, 3]),
            {
                "encoding": {"y": y},
                "layer": [
                    layer("rule", interval, where="datum.interval", **bar),
                    layer("point", states, **look),
                    end,
                ],
            },
        ],
        "height": {"step": LINE},
    }


def _states(theme: Theme, legend: bool) -> Spec:
    """Return channels that distinguish the states by shape and fill, not by colour alone."""
    key: Spec | None = None
    if legend:
        texts = ", ".join(f"{state}: '{text}'" for state, text in STATES.items())
        key = {"orient": "bottom", "title": None, "labelExpr": f"{{{texts}}}[datum.value]"}
        key |= {"symbolOpacity": 1, "symbolStrokeWidth": 1.4}

    def channel(*values: str) -> Spec:
        scale = {"domain": list(STATES), "range": list(values)}
        return {"field": "state", "type": "nominal", "scale": scale, "legend": key}

    return {
        "shape": channel("circle", "triangle-right", "diamond", "circle"),
        "fill": channel(theme.accent, theme.accent, theme.ground, theme.ground),
        "stroke": channel(theme.accent, theme.accent, theme.warn, theme.warn),
    }
