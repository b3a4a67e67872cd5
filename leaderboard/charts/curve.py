"""The context curves of one task: score against k, a line for each model."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from seqmem.leaderboard.charts.axes import Axes, axes_of
from seqmem.leaderboard.charts.styles import Style, styles
from seqmem.leaderboard.charts.theme import PRINT, SCREEN, Spec, Theme, finished, layer
from seqmem.leaderboard.statistics.aggregate import Board, Row, context_order, score
from seqmem.leaderboard.statistics.envelope import Best
from seqmem.leaderboard.statistics.rows import named_rows
from seqmem.leaderboard.tables.formatting import edition, number, unit
from seqmem.leaderboard.tables.wording import count

__all__ = ["Layout", "curve_chart", "interactive_curve_chart"]

WIDTH, HEIGHT = 520, 360  # pixels
LINE = 14  # pixels from one label to the next
LEAD, SAMPLE = 12, 28  # pixels from the frame to a label's sample of its line, and of the sample
AROUND = 110  # pixels to the left and right of a frame over which its title may extend
LETTER = 0.5  # the mean width of a letter, as a share of the size of the font
LABEL = 11  # pixels: the size of the labels' text
MANY = 40  # with more k than this, lines are drawn without marks
FOCUS: Spec = {"params": [{"name": "focus", "value": -1}]}
STRONG, FAINT = 0, 1  # the rows that a printed chart highlights, and the others

# Every line carries its own colour, dashes and shape.
COLOUR: Spec = {"color": {"field": "colour", "scale": None}, "detail": {"field": "name"}}
DASH: Spec = {"strokeDash": {"field": "dash", "scale": None}}
SHAPE: Spec = {"shape": {"field": "shape", "scale": None}}
CHANCE, OPTIMUM = (2, 3), (7, 3)  # dashes

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Layout:
    """How a curve chart is laid out.

    Attributes:
        width: of a panel's frame, in pixels.
        columns: panels side by side.
        highlight: the names of the rows that stand out; the others are drawn faint.
        font: names of font families, best first.
    """

    width: int = WIDTH
    columns: int = 1
    highlight: tuple[str, ...] = ()
    font: str = PRINT.font


def curve_chart(
    boards: Sequence[Board], models: Iterable[str], layout: Layout | None = None
) -> Spec:
    """Return a chart of the score against the context length, a line for each model.

    The line is the median over seeds, thin lines are the seeds where there are several, and the
    band is the 95 % interval over test data of the same kind. The full context stands apart at
    the right. Each model is drawn as its recipe trains it (see `rows.usual_rows`).

    Args:
        boards: a panel for each.
        models: names of known models; each has its own colour in every chart.
        layout: sizes, font, and the models that stand out; None for the usual one.
    """
    layout = layout or Layout()
    ids = [board.task_id for board in boards]
    known = list(models)
    panels = [_print_panel(b, ids.count(b.task_id) > 1, known, layout) for b in boards]
    focus = {"params": [{"name": "focus", "value": STRONG if layout.highlight else -1}]}
    chart: Spec = {"concat": panels, "columns": layout.columns}
    theme = replace(PRINT, font=layout.font)
    return finished(chart | focus, theme, "; ".join(map(_description, boards)))


def interactive_curve_chart(board: Board, bests: Sequence[Best]) -> Spec:
    """Return the chart of a page: its script fills the data sets `scores` and `chosen`.

    `scores` holds the fields of `_points`, and `text` and `seeds`; `chosen` the k at which models
    are compared, in a row of `k`. The parameter `focus` is the row that stands out; −1: none.

    Args:
        board: of the task.
        bests: its envelope.
    """
    axes = axes_of(board, board.rows)
    chosen = layer("rule", color=SCREEN.accent, opacity=0.45)
    chosen |= {"data": {"name": "chosen"}, "transform": axes.centred()}
    scores = [(best.k, score(best.row.records[0], best.loss)) for best in bests]
    envelope = [{"k": k, "score": value} for k, value in scores if math.isfinite(value)]
    halo: Spec = {"color": SCREEN.quiet, "opacity": 0.28}
    best = {
        "data": {"values": envelope},
        "transform": [*axes.centred(), *axes.placed("score")],
        "layer": [
            layer("line", where="!datum.full", strokeWidth=7, strokeCap="round", **halo),
            layer("tick", where="datum.full", thickness=7, size=34, orient="horizontal", **halo),
        ],
    }
    hints = {"name": "model", "k": "k", "text": "score", "seeds": "seeds"}
    tooltip = {"tooltip": [{"field": field, "title": title} for field, title in hints.items()]}
    target = layer("point", COLOUR | tooltip, size=240, opacity=0, filled=True, cursor="pointer")
    chart = _panel(board, axes, SCREEN, [chosen], [best], [*_lines(axes), target])
    chart |= {"data": {"name": "scores"}, "usermeta": {"notes": _notes(board, axes)}}
    chart |= {
        "height": HEIGHT,
        "width": "container",
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
    return finished(chart | FOCUS, SCREEN)


def _description(board: Board) -> str:
    rows = named_rows(board)
    return (
        f"{board.task_id}: {unit(board.records[0].task)}, against context length k for "
        f"{count(len(rows), 'model')}: {', '.join(rows)}. Lower is better; "
        f"chance is {number(board.chance)}"
    )


def _notes(board: Board, axes: Axes) -> list[str]:
    """Return what a reader of the chart must know."""
    known = any(cell.half is not None for row in board.rows for cell in row.scores.values())
    notes = ["Band: 95 % interval over data of the same kind."] * known
    if axes.highest is not None:
        notes.append("Shaded: scores far above chance, on a logarithmic scale.")
    return notes


def _print_panel(board: Board, ambiguous: bool, models: Sequence[str], layout: Layout) -> Spec:
    rows = named_rows(board)
    looks = styles(list(rows), models)
    axes = axes_of(board, list(rows.values()))
    facts = board.records[0].task
    title = f"{board.task_id}: {unit(facts)}"
    if ambiguous:
        title += f" ({edition(facts)})"
    lines = [(name, row, look) for (name, row), look in zip(rows.items(), looks, strict=True)]
    points = [point for order, line in enumerate(lines) for point in _points(order, *line)]
    for point in points:
        point["row"] = STRONG if point["name"] in layout.highlight else FAINT
    notes = _notes(board, axes) + ["Thin lines: seeds."] * any("seed" in p for p in points)
    height = max(round(HEIGHT * min(layout.width / WIDTH, 1)), LINE * (len(rows) + 2))

    def wrapped(text: str, size: int) -> list[str]:
        return textwrap.wrap(text, max(int((layout.width + AROUND) / (LETTER * size)), 20))

    panel = _panel(board, axes, PRINT, [], [], [*_thin_lines(), *_lines(axes)])
    return {
        "layer": [panel, _labels(board, lines, axes, height, layout)],
        "data": {"values": points},
        "width": layout.width,
        "height": height,
        "title": {"text": wrapped(title, 13), "subtitle": wrapped(" ".join(notes), 11)},
    }


def _points(order: int, name: str, row: Row, look: Style) -> Rows:
    """Return the scores of a row, and those of its seeds where there are several."""
    line = {"row": order, "order": order, "name": name}
    line |= {"colour": look.colour, "dash": look.dash, "shape": look.shape}
    scores: Rows = [
        line | {"k": k, "score": cell.value, "half": cell.half}
        for k, cell in row.scores.items()
        if math.isfinite(cell.value)
    ]
    return scores + [
        line | {"seed": r.training["seed"], "k": p.k, "score": score(r, p.loss.mean)}
        for r in row.records * (len(row.records) > 1)
        for p in r.curve
    ]


def _panel(
    board: Board, axes: Axes, theme: Theme, rules: list[Spec], below: list[Spec], lines: list[Spec]
) -> Spec:
    """Return a chart with both axes.

    Args:
        board: of the task; its chance and its optimum are drawn.
        axes: of the chart.
        theme: colours.
        rules: layers of upright lines.
        below: layers below chance, the optimum and the lines.
        lines: layers of the data's rows.
    """
    levels = [("chance", x, board.chance, CHANCE) for x in axes.span]
    for k, best in board.optimum.items():
        places, name = (axes.sides, "optimum at full") if k == "full" else ((k,), "optimum")
        levels += [(name, x, best, OPTIMUM) for x in places]
    rows = [dict(zip(("name", "x", "score", "dash"), level, strict=True)) for level in levels]
    reference = DASH | {"detail": {"field": "name"}}
    flat = layer("line", reference, rows=rows, color=theme.quiet, strokeWidth=1.3)
    gap = layer("rule", rows=[{"x": axes.gap}], color=theme.faint)
    strip: list[Spec] = []
    if axes.highest is not None:
        ends = {"x": axes.span[0], "to": axes.span[1], "score": axes.high, "most": axes.top}
        area = {"x2": {"field": "to"}, "y": axes.y(), "y2": {"field": "most"}}
        strip = [layer("rect", area, rows=[ends], color=theme.quiet, opacity=0.1)]
    least = "datum.score - datum.half"
    if axes.log:  # an axis of logarithms has no zero
        least = f"max({least}, datum.score / 1000)"
    return {
        "transform": [
            {"filter": "isValid(datum.score)"},
            *axes.side_by_side(),
            {"calculate": f"isValid(datum.half) ? {least} : null", "as": "least"},
            {"calculate": "datum.score + datum.half", "as": "most"},
            *axes.placed("score", "least", "most"),
        ],
        "encoding": {"x": axes.x()},
        "layer": [
            *strip,
            gap,
            *rules,
            {"encoding": {"y": axes.y()}, "layer": [*below, flat, *lines]},
        ],
    }


def _lines(axes: Axes) -> list[Spec]:
    """Return bands and lines for the finite k, whiskers for the full context, and points."""
    interval = COLOUR | {"y": axes.y("least"), "y2": {"field": "most"}}
    few = {"test": "datum.last < 4", "value": 0.16}
    faded = {"test": "focus >= 0 && datum.row !== focus", "value": 0}
    band = interval | {"fillOpacity": {"condition": [faded, few], "value": 0.09}}
    ends = interval | {"opacity": _shown(0.65, 0.2)}
    line, point = COLOUR | {"opacity": _shown(1, 0.3)} | DASH, COLOUR | SHAPE
    median, known = "!isValid(datum.seed)", "isValid(datum.least)"
    marked = "datum.full" if len(axes.ks) > MANY else "true"
    return [
        layer("area", band, where=f"!datum.full && {known}"),
        layer("rule", ends, where=f"datum.full && {known}"),
        layer("line", line, where=f"!datum.full && {median}", strokeWidth=1.8, strokeJoin="round"),
        layer("point", point | line, where=f"{marked} && {median}", filled=True, size=34),
    ]


def _thin_lines() -> list[Spec]:
    """Return the seeds."""
    look = COLOUR | {"detail": [{"field": "name"}, {"field": "seed"}]}
    look |= {"opacity": _shown(0.6, 0.15)}
    run, end = "!datum.full && isValid(datum.seed)", "datum.full && isValid(datum.seed)"
    return [
        layer("line", look, where=run, strokeWidth=0.7),
        layer("tick", look, where=end, size=7, orient="horizontal"),
    ]


def _shown(strong: float, weak: float) -> Spec:
    """Return an opacity: weak where another row is in focus."""
    test = {"test": "focus < 0 || datum.row === focus", "value": strong}
    return {"condition": test, "value": weak}


def _labels(
    board: Board,
    lines: Sequence[tuple[str, Row, Style]],
    axes: Axes,
    height: int,
    layout: Layout,
) -> Spec:
    """Return every name at the right, after a sample of its line, at the height of its last score.

    Names that would overlap are moved apart, and a thin line leads to each.
    """
    entries = [(_last(row), name, look) for name, row, look in lines]
    entries.append((board.chance, "chance", Style(PRINT.quiet, CHANCE, "")))
    if board.optimum:
        last = max(board.optimum, key=context_order)
        entries.append((board.optimum[last], "optimum", Style(PRINT.quiet, OPTIMUM, "")))
    starts = sorted(
        (height * (1 - axes.height(value)), name, look)
        for value, name, look in entries
        if value is not None
    )
    heights = _apart([start for start, _, _ in starts], LINE, height)
    rows = [
        {"name": name, "from": start, "at": at, "bold": name in layout.highlight, **asdict(look)}
        for (start, name, look), at in zip(starts, heights, strict=True)
    ]
    right = layout.width + LEAD
    ends = [{"x": {"value": right + at}} for at in (0, SAMPLE / 2 - 2, SAMPLE - 4, SAMPLE)]
    at = {"type": "quantitative", "scale": None}
    lead = COLOUR | {"x": {"value": layout.width + 2}, "x2": {"value": right - 2}}
    lead |= {"y": at | {"field": "from"}, "y2": {"field": "at"}}
    sample = COLOUR | DASH | ends[0] | {"x2": ends[2]["x"]}
    mark = COLOUR | SHAPE | ends[1]
    text = ends[3] | {"text": {"field": "name"}}
    written: dict[str, Any] = {
        "clip": False,
        "align": "left",
        "fontSize": LABEL,
        "color": PRINT.ink,
    }
    return {
        "data": {"values": rows},
        "encoding": {"y": at | {"field": "at"}},
        "layer": [
            layer("rule", lead, clip=False, strokeWidth=0.6, opacity=0.6),
            layer("rule", sample, clip=False, strokeWidth=1.8),
            layer("point", mark, where="datum.shape", clip=False, filled=True, size=34, opacity=1),
            layer("text", text, where="!datum.bold", **written),
            layer("text", text, where="datum.bold", fontWeight="bold", **written),
        ],
    }


def _last(row: Row) -> float | None:
    """Return the score at the largest k that has a finite one."""
    finite = [cell.value for cell in row.scores.values() if math.isfinite(cell.value)]
    return finite[-1] if finite else None


def _apart(heights: Sequence[float], least: float, most: float) -> list[float]:
    """Move ascending heights as little as possible, until neighbours are `least` apart."""
    from scipy.optimize import isotonic_regression  # slow to import

    spread = least * np.arange(len(heights))
    moved = isotonic_regression(np.array(heights) - spread).x
    moved = np.clip(moved, 0, max(most - least * (len(heights) - 1), 0)) + spread
    places: list[float] = moved.round(12).tolist()
    return places
