"""Scores and bits held of models, against the size of their state or a parameter of the tasks.

Tasks of recall are usually reported so: Arora et al. 2024 (Zoology, arXiv 2312.04927, and Based,
arXiv 2402.18668).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

from seqmem.leaderboard.charts.styles import listing_order, styles
from seqmem.leaderboard.charts.theme import PRINT, Spec, finished, layer
from seqmem.leaderboard.statistics.sweep import STATE, Sweep, SweptPoint
from seqmem.leaderboard.tables.formatting import number, unit
from seqmem.leaderboard.tables.wording import shown

__all__ = ["WIDTH", "kinds_of", "sweep_chart"]

WIDTH, HEIGHT = 320, 240  # pixels, of one frame
WIDE = 4  # from this ratio of the largest x to the smallest on, the axis is logarithmic
CHANCE, BEST = (2, 3), (7, 3)  # dashes

Kind = Literal["score", "bits"]
Rows = list[dict[str, Any]]


def sweep_chart(
    sweeps: Sequence[Sweep],
    models: Iterable[str],
    *,
    highlight: Sequence[str] = (),
    width: int = WIDTH,
    font: str = PRINT.font,
) -> Spec:
    """Return a chart with a line of frames for each sweep: the score, and bits held if defined.

    A point is the median over seeds and the thick line through it the 95 % interval over test data;
    the thin line is the range over seeds.

    Args:
        sweeps: what is drawn.
        models: names of known models; each has its own colour in every chart.
        highlight: names of the lines that stand out; the others are drawn faint.
        width: of a frame, in pixels.
        font: names of font families, best first.
    """
    known = list(models)
    lines = sorted(
        {point.line for sweep in sweeps for point in sweep.points},
        key=lambda line: listing_order(line, known),
    )
    looks = styles(lines, known)
    channels = {
        "color": _channel(lines, [look.colour for look in looks]),
        "shape": _channel(lines, [look.shape for look in looks]),
        "strokeDash": _channel(lines, [list(look.dash) for look in looks]),
    }
    if highlight:
        strong = {"field": "line", "oneOf": list(highlight)}
        channels["opacity"] = {"condition": {"test": strong, "value": 1}, "value": 0.25}
    panels = [
        {
            "hconcat": [_frame(sweep, kind, channels, width) for kind in kinds_of(sweep)],
            "title": {"text": sweep.name, "subtitle": "with the full context"},
        }
        for sweep in sweeps
    ]
    return finished(
        {"vconcat": panels},
        replace(PRINT, font=font),
        "; ".join(map(_description, sweeps)),
    )


def _channel(lines: Sequence[str], looks: Sequence[object]) -> Spec:
    scale = {"domain": list(lines), "range": list(looks)}
    return {"field": "line", "type": "nominal", "scale": scale, "title": "model"}


def kinds_of(sweep: Sweep) -> tuple[Kind, ...]:
    """Return what is drawn: bits held too, where a task defines them."""
    return ("score", "bits") if any(point.bits for point in sweep.points) else ("score",)


def _frame(sweep: Sweep, kind: Kind, channels: Spec, width: int) -> Spec:
    """Return one frame: a line for each model, and lines of chance and the optimum."""
    facts = sweep.points[0].facts
    perplexity = kind == "score" and facts.score == "perplexity"
    x = _axis(sweep, [point.x for point in sweep.points])
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": unit(facts) if kind == "score" else "bits held, at least",
        "scale": {"type": "log" if perplexity else "linear", "zero": kind == "bits"},
    }
    if kind == "bits":
        y["scale"]["domainMin"] = 0
    rows = [row for point in sweep.points if (row := _row(point, kind)) is not None]
    reference = {"x": x, "y": y, "strokeDash": {"field": "dash", "scale": None}}
    drawn = {"x": x, "y": y} | channels
    plain = {
        name: channel for name, channel in drawn.items() if name not in ("shape", "strokeDash")
    }
    return {
        "layer": [
            layer(
                "line",
                reference | {"detail": {"field": "name"}},
                rows=_references(sweep, kind),
                color=PRINT.quiet,
                strokeWidth=1.3,
            ),
            layer("rule", _between(plain, "smallest", "largest"), rows=rows, strokeWidth=0.8),
            layer(
                "rule",
                _between(plain, "low", "high"),
                rows=rows,
                where="isValid(datum.low)",
                strokeWidth=2.4,
            ),
            layer("line", {k: v for k, v in drawn.items() if k != "shape"}, rows=rows),
            layer("point", drawn, rows=rows, filled=True, size=40, clip=False),
        ],
        "width": width,
        "height": HEIGHT,
    }


def _between(encoding: Spec, low: str, high: str) -> Spec:
    return encoding | {"y": encoding["y"] | {"field": low}, "y2": {"field": high}}


def _axis(sweep: Sweep, places: Sequence[float]) -> Spec:
    """Return the channel of the swept quantity."""
    few = sorted(set(places))
    state = sweep.against == STATE
    wide = state or (few[0] > 0 and few[-1] / few[0] >= WIDE)
    return {
        "field": "x",
        "type": "quantitative",
        "title": "floats of the state" if state else sweep.against,
        "scale": {"type": "log" if wide else "linear", "nice": False, "zero": False, "padding": 12},
        "axis": {"format": "~s", "labelOverlap": True}
        if state
        else {"format": "~g", "values": few},
    }


def _row(point: SweptPoint, kind: Kind) -> dict[str, Any] | None:
    """Return a point as data of the chart; None if it cannot be drawn."""
    score = point.score if kind == "score" else point.bits
    if score is None or not math.isfinite(score.value):
        return None
    half = score.half
    return {
        "line": point.line,
        "x": point.x,
        "value": score.value,
        "low": None if half is None else score.value - half,
        "high": None if half is None else score.value + half,
        "smallest": score.smallest,
        "largest": score.largest,
    }


def _references(sweep: Sweep, kind: Kind) -> Rows:
    """Return chance and the optimum at every x, or the bits that the optimum holds."""
    rows = []
    for point in {point.x: point for point in sweep.points}.values():
        levels = [("optimum", point.optimum if kind == "score" else point.most, BEST)]
        if kind == "score":
            levels.append(("chance", point.chance, CHANCE))
        rows += [
            {"name": name, "x": point.x, "value": value, "dash": dash}
            for name, value, dash in levels
            if value is not None
        ]
    return rows


def _description(sweep: Sweep) -> str:
    first = sweep.points[0]
    scores = ", ".join(f"{point.line} {point.x:g}: {shown(point.score)}" for point in sweep.points)
    return (
        f"{sweep.name}: {unit(first.facts)}, against {sweep.against}; chance is "
        f"{number(first.chance)}; {scores}"
    )
