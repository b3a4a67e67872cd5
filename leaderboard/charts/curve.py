"""The context curves of one task: score against k, a line for each model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from seqmem.leaderboard.aggregate import Board, Row, score
from seqmem.leaderboard.charts.parts import GREY, INK, data, finished
from seqmem.leaderboard.charts.styles import Style, styles
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.rows import named_rows
from seqmem.leaderboard.tables.formatting import number, unit
from seqmem.leaderboard.tables.wording import count

__all__ = ["curve_chart"]

WIDTH, HEIGHT = 520, 340
LINE = 14  # pixels from one label to the next
BEYOND = 3.5  # full stands so many times further right than the largest k
CHANCE, OPTIMUM = "chance", "optimum"
MANY = 40  # more points than this on a line are drawn without marks


@dataclass(frozen=True)
class _Frame:
    """Where things are in a panel: from scores to pixels and back.

    Attributes:
        low: the score at the bottom.
        high: the score at the top.
        log: whether the scale is logarithmic.
        height: in pixels.
        ks: the finite context lengths.
        full: where full stands on the axis of k.
        cut: whether scores lie above the top.
        title: of the scores.
    """

    low: float
    high: float
    log: bool
    height: int
    ks: tuple[int, ...]
    full: float
    cut: bool
    title: str

    @property
    def span(self) -> tuple[float, float]:
        """Where the axis of k begins and ends."""
        return min(self.ks, default=1) / 1.2, self.full * math.sqrt(BEYOND)

    def pixel(self, value: float) -> float:
        low, high = self._line(self.low), self._line(self.high)
        share = (self._line(min(max(value, self.low), self.high)) - low) / (high - low)
        return self.height * (1 - share)

    def _line(self, value: float) -> float:
        return math.log(value) if self.log else value


@dataclass(frozen=True)
class _Look:
    """How the lines of a panel are told apart; chance and optimum are among them."""

    colour: alt.Color
    dash: alt.StrokeDash
    shape: alt.Shape


def _look(names: Sequence[str], models: Iterable[str]) -> _Look:
    known = dict(zip(names, styles(names, models), strict=True))
    known |= {CHANCE: Style(GREY, (2, 3), "circle"), OPTIMUM: Style(GREY, (7, 3), "circle")}

    def scale(values: list[Any]) -> alt.Scale:
        return alt.Scale(domain=list(known), range=values)

    return _Look(
        alt.Color("model:N", scale=scale([s.colour for s in known.values()]), legend=None),
        alt.StrokeDash("model:N", scale=scale([list(s.dash) for s in known.values()]), legend=None),
        alt.Shape("model:N", scale=scale([s.shape for s in known.values()]), legend=None),
    )


def curve_chart(boards: Sequence[Board], models: Iterable[str]) -> alt.VConcatChart:
    """Draw the score against the context length, a line for each model.

    The line is the median over seeds, thin lines are the seeds where there are several, and the
    band is the 95 % interval over test data of the same kind. The full context stands apart at
    the right. Each model is drawn as its recipe trains it (see `rows.usual_rows`).

    Args:
        boards: of one task, a panel for each.
        models: names of known models; each has its own colour in every chart.
    """
    panels = [_curves(board, len(boards) > 1, models) for board in boards]
    chart = alt.vconcat(*panels).resolve_scale(
        color="independent", strokeDash="independent", shape="independent"
    )
    return finished(chart, "; ".join(map(_description, boards)))


def _description(board: Board) -> str:
    rows = named_rows(board)
    facts = board.records[0].task
    return (
        f"{board.task_id}: {unit(facts)}, against context length k for "
        f"{count(len(rows), 'model')}: {', '.join(rows)}. Lower is better; "
        f"chance is {number(board.chance)}"
    )


def _curves(board: Board, ambiguous: bool, models: Iterable[str]) -> alt.LayerChart:
    rows = named_rows(board)
    frame = _frame(board, list(rows.values()))
    look = _look(list(rows), models)
    lines: list[dict[str, Any]] = []
    seeds: list[dict[str, Any]] = []
    for i, (name, row) in enumerate(rows.items()):
        # At full, models stand side by side, best first, so that their intervals can be told apart.
        place = frame.full * BEYOND ** (0.8 * ((i + 0.5) / len(rows) - 0.5))
        lines += _scores(row, name, place, frame)
        seeds += _seeds(row, name, place)
    facts = board.records[0].task
    title = f"{board.task_id}: {unit(facts)}"
    if ambiguous:
        title += f" (version {facts.version}, data {facts.data_hash[:8]})"
    known = any("low" in line for line in lines)
    notes = ["band: 95 % interval over data of the same kind"] * known
    notes += ["thin lines: seeds"] * bool(seeds)
    notes += ["what lies above the frame is not drawn"] * frame.cut
    layers = [
        *_references(board, frame),
        *_lines(lines, seeds, frame, look),
        *_labels(board, rows, look, frame),
    ]
    return alt.LayerChart(
        layer=layers,
        width=WIDTH,
        height=frame.height,
        title=alt.TitleParams(title, subtitle="; ".join(notes), anchor="start"),
    )


def _frame(board: Board, rows: Sequence[Row]) -> _Frame:
    """Choose the axes: what is far worse than chance must not flatten the rest."""
    log = board.records[0].task.score == "perplexity"
    values = [cell.value for row in rows for cell in row.scores.values()]
    values = [value for value in values if math.isfinite(value)]
    ends = [cell.value - cell.half for row in rows for cell in row.scores.values() if cell.half]
    ends = [end for end in ends if math.isfinite(end) and (end > 0 or not log)]
    low = min([board.chance, *values, *ends, *board.optimum.values()])
    high = max([board.chance, *values])
    if log:
        limit = board.chance * math.sqrt(board.chance / low)
        room = (min(high, limit) / low) ** 0.05
        low, high, cut = low / max(room, 1.01), min(high, limit) * max(room, 1.01), high > limit
    else:
        gain = board.chance - low or abs(board.chance) or 1.0
        limit = board.chance + gain / 2
        room = 0.05 * (min(high, limit) - low) or 0.05 * gain
        low, high, cut = low - room, min(high, limit) + room, high > limit
    ks = tuple(k for k in board.contexts if k != "full")
    full = BEYOND * max(ks, default=1)
    height = max(HEIGHT, LINE * (len(rows) + 2))
    facts = board.records[0].task
    title = "perplexity" if log else f"{facts.loss}, {facts.unit}"
    return _Frame(low, high, log, height, ks, full, cut, title)


def _scores(row: Row, name: str, full: float, frame: _Frame) -> list[dict[str, Any]]:
    found = []
    for k, cell in row.scores.items():
        if not math.isfinite(cell.value):
            continue
        point: dict[str, Any] = {"model": name, "k": full if k == "full" else k}
        point |= {"full": k == "full", "score": cell.value}
        if cell.half is not None:
            lowest = cell.value - cell.half
            point |= {"low": max(lowest, frame.low) if frame.log else lowest}
            point |= {"high": cell.value + cell.half}
        found.append(point)
    return found


def _seeds(row: Row, name: str, full: float) -> list[dict[str, Any]]:
    if len(row.records) == 1:
        return []
    return [
        {
            "model": name,
            "seed": record.training["seed"],
            "k": full if point.k == "full" else point.k,
            "full": point.k == "full",
            "score": score(record, point.loss.mean),
        }
        for record in row.records
        for point in record.curve
    ]


def _x(frame: _Frame) -> alt.X:
    """Give the axis of k, with a tick of its own for full."""
    ticks = _ticks(frame.ks)
    return alt.X(
        "k:Q",
        title="context length k (inputs)",
        scale=alt.Scale(type="log", domain=list(frame.span), nice=False),
        axis=alt.Axis(
            values=[*ticks, frame.full],
            labelExpr=f"datum.value == {frame.full} ? 'full' : format(datum.value, '~d')",
            grid=False,
            labelOverlap=False,
        ),
    )


def _ticks(ks: Sequence[int]) -> list[int]:
    """Choose ticks that do not run into each other: a factor of 1.25 apart, the largest kept."""
    kept: list[int] = []
    for k in sorted(ks, reverse=True):
        if not kept or kept[-1] / k > 1.25:
            kept.append(k)
    return kept[::-1] if len(kept) <= 12 else kept[::2][::-1]


def _y(frame: _Frame, field: str = "score:Q") -> alt.Y:
    return alt.Y(
        field,
        title=frame.title,
        scale=alt.Scale(
            type="log" if frame.log else "linear",
            domain=[frame.low, frame.high],
            nice=False,
            zero=False,
        ),
        axis=alt.Axis(gridOpacity=0.4),
    )


def _references(board: Board, frame: _Frame) -> list[alt.Chart]:
    """Draw chance, the optimum, and what sets full apart."""
    ends = [{"k": k} for k in frame.span]
    chance = alt.Chart(data([{**end, "score": board.chance} for end in ends])).mark_line(
        color=GREY, strokeDash=[2, 3], strokeWidth=1.2, clip=True
    )
    found = [chance.encode(_x(frame), _y(frame))]
    gap = [{"k": frame.full / math.sqrt(BEYOND)}]
    found.append(alt.Chart(data(gap)).mark_rule(color="#BBBBBB", strokeWidth=1).encode(_x(frame)))
    best = [
        {"k": frame.full if k == "full" else k, "score": value, "full": k == "full"}
        for k, value in board.optimum.items()
    ]
    if best:
        base = alt.Chart(data(best)).encode(_x(frame), _y(frame))
        known = base.transform_filter("!datum.full")
        found.append(known.mark_line(color=GREY, strokeDash=[7, 3], strokeWidth=1.4, clip=True))
        full = base.transform_filter("datum.full")
        width = WIDTH * 0.8 * math.log(BEYOND) / math.log(frame.span[1] / frame.span[0])
        found.append(full.mark_tick(color=GREY, thickness=1.4, size=width, orient="horizontal"))
    return found


def _lines(
    lines: Sequence[Mapping[str, Any]],
    seeds: Sequence[Mapping[str, Any]],
    frame: _Frame,
    look: _Look,
) -> list[alt.Chart]:
    x, y = _x(frame), _y(frame)
    base = alt.Chart(data(lines))
    opacity = 0.16 if len({line["model"] for line in lines}) <= 4 else 0.09
    found = []
    if any("low" in line for line in lines):
        band = base.transform_filter("!datum.full").mark_area(opacity=opacity, clip=True)
        found.append(band.encode(x, _y(frame, "low:Q"), alt.Y2("high:Q"), look.colour))
        whisker = base.transform_filter("datum.full").mark_rule(opacity=0.6, clip=True)
        found.append(whisker.encode(x, _y(frame, "low:Q"), alt.Y2("high:Q"), look.colour))
    if seeds:
        thin = alt.Chart(data(seeds))
        run = thin.transform_filter("!datum.full").mark_line(
            strokeWidth=0.7, opacity=0.55, clip=True
        )
        found.append(run.encode(x, y, look.colour, alt.Detail("seed:N")))
        ends = thin.transform_filter("datum.full")
        tick = ends.mark_tick(size=7, opacity=0.7, clip=True, orient="horizontal")
        found.append(tick.encode(x, y, look.colour))
    run = base.transform_filter("!datum.full").mark_line(strokeWidth=1.8, clip=True)
    found.append(run.encode(x, y, look.colour, look.dash))
    shown = base
    if len(frame.ks) > MANY:
        shown = base.transform_filter("datum.full")
    points = shown.mark_point(filled=True, size=34, opacity=1, clip=True)
    found.append(points.encode(x, y, look.colour, look.shape))
    return found


def _labels(board: Board, rows: Mapping[str, Row], look: _Look, frame: _Frame) -> list[alt.Chart]:
    """Write every name at the right, a line's sample before it, at the height of its last score.

    Names that would run into each other are moved apart, and a thin line leads to each.
    """
    entries = [
        (frame.pixel(row.scores[k].value), name)
        for name, row in rows.items()
        if (k := _last(row)) is not None
    ]
    entries.append((frame.pixel(board.chance), CHANCE))
    if board.optimum:
        last = max(board.optimum, key=lambda k: math.inf if k == "full" else k)
        entries.append((frame.pixel(board.optimum[last]), OPTIMUM))
    entries.sort()
    heights = _apart([height for height, _ in entries], LINE, frame.height)
    right = WIDTH + 26
    base = alt.Chart(
        data(
            [
                {"model": name, "from": start, "at": height, "marked": name in rows}
                for (start, name), height in zip(entries, heights, strict=True)
            ]
        )
    ).encode(y=alt.Y("at:Q", scale=None))
    lead = base.mark_rule(strokeWidth=0.6, opacity=0.6).encode(
        alt.Y("from:Q", scale=None), alt.Y2("at"), look.colour, x=alt.value(WIDTH + 2)
    )
    sample = base.mark_rule(strokeWidth=1.8).encode(
        look.colour, look.dash, x=alt.value(right), x2=alt.value(right + 26)
    )
    mark = base.transform_filter("datum.marked").mark_point(filled=True, size=34, opacity=1)
    text = base.mark_text(align="left", fontSize=11, color=INK)
    return [
        lead.encode(x2=alt.value(right - 2)),
        sample,
        mark.encode(look.colour, look.shape, x=alt.value(right + 13)),
        text.encode(text="model:N", x=alt.value(right + 32)),
    ]


def _last(row: Row) -> Context | None:
    finite = [k for k, cell in row.scores.items() if math.isfinite(cell.value)]
    return finite[-1] if finite else None


def _apart(heights: Sequence[float], least: float, most: float) -> list[float]:
    """Move ascending heights until neighbours are `least` apart, each as little as can be.

    Groups that touch are moved as one around the middle of where they wanted to be.
    """
    groups: list[list[float]] = []  # wanted heights
    for height in heights:
        groups.append([height])
        while len(groups) > 1 and _top(groups[-1], least, most) < (
            _top(groups[-2], least, most) + least * len(groups[-2])
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_top(group, least, most) + i * least for group in groups for i in range(len(group))]


def _top(group: Sequence[float], least: float, most: float) -> float:
    """Where the first of a group stands."""
    reach = least * (len(group) - 1)
    wanted = sum(group) / len(group) - reach / 2
    return min(max(wanted, 0.0), max(most - reach, 0.0))
