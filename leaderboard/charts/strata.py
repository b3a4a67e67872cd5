"""What each stratum of targets loses with less context: excess loss against k, a line for each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from seqmem.leaderboard.charts.theme import PRINT, Spec, finished, layer
from seqmem.leaderboard.statistics.strata import SplitRow
from seqmem.leaderboard.tables.formatting import unit

__all__ = ["WIDTH", "strata_chart"]

WIDTH, HEIGHT = 360, 260  # pixels, of one frame
# From dark to light, readable side by side and in grey: a stratum's colour is that of its place.
COLOURS = "viridis"
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


def strata_chart(
    splits: Mapping[str, SplitRow], *, width: int = WIDTH, columns: int = 1, font: str = PRINT.font
) -> Spec:
    """Return a chart with a frame for each model: excess over the full context against k.

    Bands are 95 % intervals of the paired difference over data of the same kind.

    Args:
        splits: the models' curves in strata, by the titles of their frames.
        width: of a frame, in pixels.
        columns: frames side by side.
        font: names of font families, best first.
    """
    panels = [_panel(name, split, width) for name, split in splits.items()]
    text = "; ".join(f"{name}, {_description(split)}" for name, split in splits.items())
    chart: Spec = {"concat": panels, "columns": columns}
    return finished(chart, replace(PRINT, font=font), text)


def _panel(name: str, split: SplitRow, width: int) -> Spec:
    labels = list(split.strata.labels)
    x: Spec = {
        "field": "k",
        "type": "quantitative",
        "title": "context length k (inputs)",
        "scale": {"type": "log", "nice": False},
        "axis": {"values": _ticks(split), "format": "~d", "grid": False, "labelOverlap": "greedy"},
    }
    y: Spec = {
        "field": "excess",
        "type": "quantitative",
        "title": f"loss above full context ({split.record.task.unit})",
        "scale": {"nice": False},
    }
    colour = {"domain": labels, "scheme": COLOURS}
    shape = {"domain": labels, "range": [SHAPES[i % len(SHAPES)] for i in range(len(labels))]}
    legend: Spec = {"field": "stratum", "type": "nominal", "title": split.strata.by}
    legend["legend"] = {"symbolOpacity": 1}
    drawn = {
        "x": x,
        "y": y,
        "color": legend | {"scale": colour},
        "shape": legend | {"scale": shape},
    }
    plain = {name: channel for name, channel in drawn.items() if name != "shape"}
    band = plain | {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    return {
        "data": {"values": _rows(split)},
        "layer": [
            layer("area", band, where="isValid(datum.low)", opacity=0.18),
            layer("line", plain, strokeWidth=1.8),
            layer("point", drawn, filled=True, size=34, clip=False),
        ],
        "width": width,
        "height": HEIGHT,
        "title": {"text": name, "subtitle": f"by {split.strata.meaning}"},
    }


def _rows(split: SplitRow) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for point in split.strata.curve:
        if point.k == "full" or point.excess is None or point.excess_half is None:
            continue
        for label, mean, half in zip(
            split.strata.labels, point.excess, point.excess_half, strict=True
        ):
            low, high = (None, None) if half is None else (mean - half, mean + half)
            ends = {"low": low, "high": high}
            rows.append({"stratum": label, "k": point.k, "excess": mean, **ends})
    return rows


def _ticks(split: SplitRow) -> Sequence[int]:
    return [point.k for point in split.strata.curve if point.k != "full"]


def _description(split: SplitRow) -> str:
    ks = _ticks(split)
    return (
        f"{unit(split.record.task)}: loss above that of the full context, against k from "
        f"{ks[0] if ks else 'none'} to {ks[-1] if ks else 'none'}, by {split.strata.meaning}: "
        f"{', '.join(split.strata.labels)}"
    )
