"""The context curves of one task: score against k, a line for each model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from seqmem.leaderboard.aggregate import Board, Row, score
from seqmem.leaderboard.charts.axes import Axes, axes_of
from seqmem.leaderboard.charts.styles import Style, styles
from seqmem.leaderboard.charts.theme import PRINT, SCREEN, Spec, Theme, finished
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.rows import named_rows
from seqmem.leaderboard.statistics.envelope import Best
from seqmem.leaderboard.tables.formatting import number, unit
from seqmem.leaderboard.tables.wording import count

__all__ = ["curve_chart", "interactive_curve_chart"]

WIDTH, HEIGHT = 520, 360  # pixels
LINE = 14  # pixels from one label to the next
CHANCE, OPTIMUM = [2, 3], [7, 3]  # dashes
MANY = 40  # with more k than this, lines are drawn without marks
FOCUS: Spec = {"params": [{"name": "focus", "value": -1}]}
FINITE, AT_FULL = "datum.k != 'full'", "datum.k == 'full'"

# Models carry their own colours, dashes and shapes.
COLOUR: Spec = {"field": "colour", "scale": None}
DASH: Spec = {"field": "dash", "scale": None}
SHAPE: Spec = {"field": "shape", "scale": None}
DETAIL: Spec = {"detail": {"field": "name"}}

Rows = list[dict[str, Any]]


def curve_chart(boards: Sequence[Board], models: Iterable[str]) -> Spec:
    """Return a chart of the score against the context length, a line for each model.

    The line is the median over seeds, thin lines are the seeds where there are several, and the
    band is the 95 % interval over test data of the same kind. The full context stands apart at
    the right. Each model is drawn as its recipe trains it (see `rows.usual_rows`).

    Args:
        boards: of one task, a panel for each.
        models: names of known models; each has its own colour in every chart.
    """
    panels = [_panel(board, len(boards) > 1, list(models)) for board in boards]
    return finished({"vconcat": panels} | FOCUS, PRINT, "; ".join(map(_description, boards)))


def interactive_curve_chart(board: Board, bests: Sequence[Best]) -> Spec:
    """Return the chart of a page: its script fills the data sets `scores` and `chosen`.

    `scores` holds rows of `row`, `order`, `name`, `k`, `score`, `half`, `colour`, `dash`, `shape`,
    `text` and `seeds`; `chosen` the k at which models are compared, a row of `k`. The parameter
    `focus` is the row that stands out; −1: none.

    Args:
        board: of the task.
        bests: its envelope.
    """
    axes, theme = axes_of(board, board.rows), SCREEN
    x, y = axes.x(), axes.y()
    chosen = {
        "data": {"name": "chosen"},
        "transform": axes.centred(),
        "mark": {"type": "rule", "color": theme.accent, "opacity": 0.45},
        "encoding": {"x": x},
    }
    envelope: Rows = [
        {"k": best.k, "score": score(best.row.records[0], best.loss)} for best in bests
    ]
    halo = {"color": theme.quiet, "opacity": 0.28, "clip": True}
    line = halo | {"type": "line", "strokeWidth": 7, "strokeCap": "round"}
    tick = halo | {"type": "tick", "thickness": 7, "size": 34, "orient": "horizontal"}
    best = {
        "data": {"values": [row for row in envelope if math.isfinite(row["score"])]},
        "transform": axes.centred(),
        "encoding": {"x": x, "y": y},
        "layer": [
            {"transform": [{"filter": FINITE}], "mark": line},
            {"transform": [{"filter": AT_FULL}], "mark": tick},
        ],
    }
    hint = [("name", "model"), ("k", "k"), ("text", "score"), ("seeds", "seeds")]
    target = {
        "mark": {"type": "point", "size": 240, "opacity": 0, "filled": True, "clip": True}
        | {"cursor": "pointer"},
        "encoding": {"x": x, "y": y, "detail": {"field": "name"}}
        | {"tooltip": [{"field": field, "title": title} for field, title in hint]},
    }
    chart = {
        "data": {"name": "scores"},
        "transform": _transforms(axes),
        "layer": [chosen, best, *_references(board, axes, theme), *_lines(axes), target],
        "width": "container",
        "height": HEIGHT,
        "usermeta": {"notes": _notes(board, axes)},
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
    return finished(chart | FOCUS, theme)


def _description(board: Board) -> str:
    rows = named_rows(board)
    return (
        f"{board.task_id}: {unit(board.records[0].task)}, against context length k for "
        f"{count(len(rows), 'model')}: {', '.join(rows)}. Lower is better; "
        f"chance is {number(board.chance)}"
    )


def _panel(board: Board, ambiguous: bool, models: Sequence[str]) -> Spec:
    rows = named_rows(board)
    looks = dict(zip(rows, styles(list(rows), models), strict=True))
    axes = axes_of(board, list(rows.values()))
    facts = board.records[0].task
    title = f"{board.task_id}: {unit(facts)}"
    if ambiguous:
        title += f" (version {facts.version}, data {facts.data_hash[:8]})"
    scores = [
        point
        for order, (name, row) in enumerate(rows.items())
        for point in _scores(row, order, name, looks[name])
    ]
    seeds = [
        point
        for order, (name, row) in enumerate(rows.items())
        for point in _seeds(row, order, name, looks[name])
    ]
    notes = _notes(board, axes) + ["Thin lines: seeds."] * bool(seeds)
    height = max(HEIGHT, LINE * (len(rows) + 2))
    layers = [
        *_references(board, axes, PRINT),
        *(_thin_lines(axes, seeds) if seeds else []),
        *_lines(axes),
        *_labels(board, rows, looks, axes, height),
    ]
    return {
        "data": {"values": scores},
        "transform": _transforms(axes),
        "layer": layers,
        "width": WIDTH,
        "height": height,
        "title": {"text": title, "subtitle": " ".join(notes)},
    }


def _notes(board: Board, axes: Axes) -> list[str]:
    cells = [cell for row in board.rows for cell in row.scores.values()]
    notes = ["Band: 95 % interval over data of the same kind."]
    notes *= any(cell.half is not None for cell in cells)
    return notes + ["Scores above the frame are not drawn."] * axes.cut


def _scores(row: Row, order: int, name: str, look: Style) -> Rows:
    same = {"row": order, "order": order, "name": name}
    same |= {"colour": look.colour, "dash": look.dash, "shape": look.shape}
    return [
        same | {"k": k, "score": cell.value, "half": cell.half}
        for k, cell in row.scores.items()
        if math.isfinite(cell.value)
    ]


def _seeds(row: Row, order: int, name: str, look: Style) -> Rows:
    if len(row.records) == 1:
        return []
    return [
        {"name": name, "order": order, "seed": record.training["seed"], "colour": look.colour}
        | {"k": point.k, "score": score(record, point.loss.mean)}
        for record in row.records
        for point in record.curve
    ]


def _transforms(axes: Axes) -> list[Spec]:
    """Return what turns rows of scores into places and intervals."""
    least = "datum.score - datum.half"
    if axes.log:  # an axis of logarithms has no zero
        least = f"max({least}, datum.score / 1000)"
    return [
        {"filter": "isValid(datum.score)"},
        *axes.side_by_side(),
        {"calculate": f"isValid(datum.half) ? {least} : null", "as": "least"},
        {"calculate": "datum.score + datum.half", "as": "most"},
    ]


def _references(board: Board, axes: Axes, theme: Theme) -> list[Spec]:
    """Return chance, the optimum, and the line between the largest k and the full context."""
    levels: Rows = [
        {"name": "chance", "x": x, "score": board.chance, "dash": CHANCE} for x in axes.span
    ]
    for k, value in board.optimum.items():
        places, name = (axes.sides, "optimum at full") if k == "full" else ((k,), "optimum")
        levels += [{"name": name, "x": x, "score": value, "dash": OPTIMUM} for x in places]
    return [
        {
            "data": {"values": [{"x": axes.gap}]},
            "mark": {"type": "rule", "color": theme.faint},
            "encoding": {"x": axes.x()},
        },
        {
            "data": {"values": levels},
            "mark": {"type": "line", "color": theme.quiet, "strokeWidth": 1.3, "clip": True},
            "encoding": {
                "x": axes.x(),
                "y": axes.y(),
                "detail": {"field": "name"},
                "strokeDash": DASH,
            },
        },
    ]


def _lines(axes: Axes) -> list[Spec]:
    """Return bands and lines for the finite k, whiskers for the full context, and points."""
    x, y = axes.x(), axes.y()
    interval = {"x": x, "y": axes.y("least"), "y2": {"field": "most"}, "color": COLOUR} | DETAIL
    line = {"x": x, "y": y, "color": COLOUR} | DETAIL
    few = {"test": "datum.last < 4", "value": 0.16}
    faded = {"test": "focus >= 0 && datum.row !== focus", "value": 0}
    return [
        {
            "transform": [{"filter": f"{FINITE} && isValid(datum.least)"}],
            "mark": {"type": "area", "clip": True},
            "encoding": interval | {"fillOpacity": {"condition": [faded, few], "value": 0.09}},
        },
        {
            "transform": [{"filter": f"{AT_FULL} && isValid(datum.least)"}],
            "mark": {"type": "rule", "clip": True},
            "encoding": interval | {"opacity": _shown(0.65, 0.1)},
        },
        {
            "transform": [{"filter": FINITE}],
            "mark": {"type": "line", "strokeWidth": 1.8, "strokeJoin": "round", "clip": True},
            "encoding": line | {"strokeDash": DASH, "opacity": _shown(1, 0.15)},
        },
        {
            "transform": [{"filter": AT_FULL}] if len(axes.ks) > MANY else [],
            "mark": {"type": "point", "filled": True, "size": 34, "clip": True},
            "encoding": line | {"shape": SHAPE, "opacity": _shown(1, 0.15)},
        },
    ]


def _shown(strong: float, weak: float) -> Spec:
    """Return an opacity: weak where another row is in focus."""
    test = {"test": "focus < 0 || datum.row === focus", "value": strong}
    return {"condition": test, "value": weak}


def _thin_lines(axes: Axes, seeds: Rows) -> list[Spec]:
    tick = {"type": "tick", "size": 7, "opacity": 0.7, "clip": True, "orient": "horizontal"}
    line = {"type": "line", "strokeWidth": 0.7, "opacity": 0.55, "clip": True}
    return [
        {
            "data": {"values": seeds},
            "transform": [*axes.side_by_side(), {"filter": where}],
            "mark": mark,
            "encoding": {"x": axes.x(), "y": axes.y(), "color": COLOUR}
            | {"detail": [{"field": "name"}, {"field": "seed"}]},
        }
        for where, mark in ((FINITE, line), (AT_FULL, tick))
    ]


def _labels(
    board: Board, rows: Mapping[str, Row], looks: Mapping[str, Style], axes: Axes, height: int
) -> list[Spec]:
    """Return every name at the right, after a sample of its line, at the height of its last score.

    Names that would overlap are moved apart, and a thin line leads to each.
    """
    grey = Style(PRINT.quiet, (1, 0), "")
    entries = [
        (row.scores[k].value, name, looks[name])
        for name, row in rows.items()
        if (k := _last(row)) is not None
    ]
    entries.append((board.chance, "chance", replace(grey, dash=tuple(CHANCE))))
    if board.optimum:
        last = max(board.optimum, key=lambda k: math.inf if k == "full" else k)
        entries.append((board.optimum[last], "optimum", replace(grey, dash=tuple(OPTIMUM))))
    starts = sorted((height * (1 - axes.height(v)), name, look) for v, name, look in entries)
    heights = _apart([start for start, _, _ in starts], LINE, height)
    values = [
        {"name": name, "from": start, "at": at}
        | {"colour": look.colour, "dash": look.dash, "shape": look.shape}
        for (start, name, look), at in zip(starts, heights, strict=True)
    ]
    right = WIDTH + 26
    at = {"field": "at", "type": "quantitative", "scale": None}
    lead = {"x": {"value": WIDTH + 2}, "x2": {"value": right - 2}} | {"y2": {"field": "at"}}
    sample = {"x": {"value": right}, "x2": {"value": right + 26}, "strokeDash": DASH}
    return [
        {
            "data": {"values": values},
            "encoding": {"y": at},
            "layer": [
                {
                    "mark": {"type": "rule", "strokeWidth": 0.6, "opacity": 0.6},
                    "encoding": lead | {"y": at | {"field": "from"}, "color": COLOUR},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 1.8},
                    "encoding": sample | {"color": COLOUR},
                },
                {
                    "transform": [{"filter": "datum.shape"}],
                    "mark": {"type": "point", "filled": True, "size": 34, "opacity": 1},
                    "encoding": {"x": {"value": right + 13}, "color": COLOUR, "shape": SHAPE},
                },
                {
                    "mark": {"type": "text", "align": "left", "fontSize": 11, "color": PRINT.ink},
                    "encoding": {"x": {"value": right + 32}, "text": {"field": "name"}},
                },
            ],
        }
    ]


def _last(row: Row) -> Context | None:
    finite = [k for k, cell in row.scores.items() if math.isfinite(cell.value)]
    return finite[-1] if finite else None


def _apart(heights: Sequence[float], least: float, most: float) -> list[float]:
    """Move ascending heights as little as possible, until neighbours are `least` apart.

    Groups that touch are moved together around the mean of their first heights.
    """
    groups: list[list[float]] = []  # heights before they are moved
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _top(groups[-1], least, most) < (
            _top(groups[-2], least, most) + least * len(groups[-2])
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_top(group, least, most) + i * least for group in groups for i in range(len(group))]


def _top(group: Sequence[float], least: float, most: float) -> float:
    """Return the height of the first of a group."""
    reach = least * (len(group) - 1)
    first = sum(group) / len(group) - reach / 2
    return min(max(first, 0.0), max(most - reach, 0.0))
