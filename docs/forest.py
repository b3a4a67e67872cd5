"""A chart of differences with their intervals, a line for each."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from seqmem.leaderboard.charts.theme import PRINT, Spec, finished, layer
from seqmem.leaderboard.tables.formatting import rounded

__all__ = ["Comparison", "forest_chart"]

WIDTH, LINE = 300, 20  # pixels: of the frame, and from one line to the next
LOOKS = {"better": PRINT.accent, "tied": PRINT.ground, "worse": PRINT.warn}


@dataclass(frozen=True)
class Comparison:
    """A mean loss minus another, in per cent of the task's gain over chance.

    Attributes:
        name: what is compared.
        mean: below zero if the first is better.
        low: the lower end of its interval.
        high: the upper end.
        word: "better", "worse" or "tied": what that shows of the first.
        one: whether it is unknown how much trainings vary.
    """

    name: str
    mean: float
    low: float
    high: float
    word: str
    one: bool

    def text(self, unit: str = "") -> str:
        """Return the difference and its interval: "+1.9 (+0.4 to +3.4)"."""
        values, excluded = (self.mean, self.low, self.high), self.low * self.high > 0
        half = (self.high - self.low) / 2
        mean, low, high = rounded(values, half, "+", exclude_zero=excluded)
        return f"{mean}{unit} ({low} to {high})"


def forest_chart(title: str, rows: Sequence[Comparison]) -> Spec:
    """Return the chart; an interval that leaves the frame is cut, and its numbers stand beside it.

    Args:
        title: what is subtracted from what.
        rows: from top to bottom.
    """
    values = [
        asdict(row) | {"text": f"{row.text()} {row.word}{' (1 training)' * row.one}"}
        for row in rows
    ]
    most = 1.5 * max([5.0, *(abs(row.mean) for row in rows)])
    ends = [
        max(-most, min([-1.0, *(row.low for row in rows)])),
        min(most, max([1.0, *(row.high for row in rows)])),
    ]
    x = {
        "type": "quantitative",
        "title": "difference, % of the gain over chance",
        "scale": {"domain": ends, "nice": False},
    }
    y: Spec = {"field": "name", "type": "nominal", "title": None}
    y |= {"sort": None, "axis": {"labelLimit": 260, "grid": True}}
    looks = {"domain": list(LOOKS), "range": list(LOOKS.values())}
    point = {
        "x": x | {"field": "mean"},
        "fill": {"field": "word", "type": "nominal", "scale": looks, "legend": None},
    }
    interval = {"x": x | {"field": "low"}, "x2": {"field": "high"}}
    text = {"x": {"value": WIDTH + 10}, "text": {"field": "text"}}
    written: Spec = {"clip": False, "align": "left", "fontSize": 11, "color": PRINT.ink}
    said = "; ".join(f"{value['name']}: {value['text']}" for value in values)
    chart: Spec = {
        "data": {"values": values},
        "layer": [
            layer("rule", {"x": x | {"datum": 0}}, color=PRINT.quiet, strokeDash=[4, 3]),
            {
                "encoding": {"y": y},
                "layer": [
                    layer("rule", interval, color=PRINT.quiet, strokeWidth=1.6),
                    layer("point", point, stroke=PRINT.ink, size=54, opacity=1, strokeWidth=1.2),
                    layer("text", text, **written),
                ],
            },
        ],
        "width": WIDTH,
        "height": {"step": LINE},
        "title": {
            "text": title,
            "subtitle": "95 % intervals; left of 0 the first is better; white: tied",
            "offset": 14,
        },
    }
    return finished(chart, PRINT, f"{title}, in % of the gain over chance. {said}")
