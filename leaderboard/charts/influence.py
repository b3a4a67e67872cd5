"""How much each past input moves an output of a network."""

from collections.abc import Sequence

from seqmem.leaderboard.charts.theme import PRINT, Spec, finished, layer

__all__ = ["influence_chart"]

WIDTH, HEIGHT = 420, 220  # pixels
SMALLEST = 1e-12  # the share at the bottom of the axis, at the least


def influence_chart(
    parts: Sequence[float], name: str, field: int | None, within: int, share: float
) -> Spec:
    """Return a line of the share of each lag, both axes logarithmic.

    Args:
        parts: the share of each lag in the influence, lag 0 first.
        name: of the network, for the title.
        field: the receptive field in inputs, drawn as a line; None: unbounded.
        within: the inputs beyond which the older ones have less than `share`, drawn as a line.
        share: as in 0.01.
    """
    rows = [{"inputs": lag + 1, "share": part} for lag, part in enumerate(parts) if part > SMALLEST]
    marks = [{"inputs": within, "text": f"{1 - share:.0%} within {within:,}"}]
    if field is not None:
        whole = {"inputs": field, "text": f"receptive field {field:,}"}
        near = field < 1.2 * within  # two labels would not fit beside each other
        marks = [whole] if near else [*marks, whole]
    x = {"field": "inputs", "type": "quantitative", "scale": {"type": "log", "nice": False}}
    y = {"field": "share", "type": "quantitative", "scale": {"type": "log"}}
    over = {"x": x, "y": {"value": HEIGHT}, "y2": {"value": 0}}
    at_top = {"x": x, "y": {"value": 8}, "text": {"field": "text"}}
    titles = ("inputs ago, the current one is 1", "share of the influence on the last output")
    there = "datum.inputs > 0"  # on a logarithmic axis
    chart: Spec = {
        "data": {"values": rows},
        "encoding": {
            "x": {**x, "title": titles[0], "axis": {"format": "~s"}},
            "y": {**y, "title": titles[1], "axis": {"format": "~g", "tickCount": 6}},
        },
        "layer": [
            layer("line", point={"size": 12}, color=PRINT.accent),
            layer("rule", over, rows=marks, where=there,
                  strokeDash=[4, 3], color=PRINT.quiet),
            layer("text", at_top, rows=marks, where=there,
                  angle=270, align="right", dy=-6, color=PRINT.quiet, clip=False),
        ],
        "width": WIDTH,
        "height": HEIGHT,
        "title": f"{name}: influence by lag",
    }  # fmt: skip
    end = f"none beyond {field:,} inputs" if field is not None else "no end was found"
    text = f"Influence of past inputs on the last output of {name}: {end}"
    return finished(chart, PRINT, text)
