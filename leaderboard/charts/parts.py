"""What all charts share: their data, their look, and how they become a file."""

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from xml.sax.saxutils import quoteattr

import altair as alt

__all__ = ["GREY", "INK", "data", "fingerprint", "finished", "picture"]

GREY, INK = "#666666", "#222222"
PIXELS = 2  # of a PNG, to a pixel of the chart


def data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Put rows into a chart as they are; types are named where they are encoded."""
    return alt.Data(values=[dict(row) for row in rows])  # type: ignore[no-untyped-call]


def finished(chart: alt.VConcatChart, description: str) -> alt.VConcatChart:
    """Set a light ground and quiet axes, and say for those who do not see it what is drawn."""
    look: alt.VConcatChart = (
        chart.configure(background="white", padding=8, font="Helvetica, Arial, sans-serif")
        .configure_view(stroke="#DDDDDD")
        .configure_axis(labelFontSize=11, titleFontSize=12, titleFontWeight="normal")
        .configure_title(fontSize=13, subtitleFontSize=11, subtitleColor=GREY, anchor="start")
        .configure_legend(labelFontSize=11, titleFontSize=11)
        .properties(description=description)
    )
    return look


def picture(chart: alt.VConcatChart, form: Literal["svg", "png"]) -> bytes:
    """Draw a chart, without a browser.

    An SVG holds its description for screen readers, and its `fingerprint`.
    """
    if form == "svg":
        text = io.StringIO()
        chart.save(text, format="svg")
        says = (
            f'<svg role="img" aria-label={quoteattr(str(chart.description))} '
            f'data-fingerprint="{fingerprint(chart)}" '
        )
        return _counted_from_zero(text.getvalue()).replace("<svg ", says, 1).encode()
    image = io.BytesIO()
    chart.save(image, format="png", scale_factor=PIXELS)
    return image.getvalue()


def fingerprint(chart: alt.VConcatChart) -> str:
    """Give a hash of what is drawn and how, whatever fonts a machine draws it with."""
    drawn = {key: part for key, part in chart.to_dict().items() if key != "$schema"}
    text = json.dumps(drawn, sort_keys=True)
    rounded = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
    text = json.dumps(rounded, sort_keys=True)
    counted = re.sub(r'"(view|param|concat)_\d+', r'"\1', text)  # they count on like clip paths
    return hashlib.sha256(counted.encode()).hexdigest()[:16]


def _counted_from_zero(svg: str) -> str:
    """Number clip paths within a picture: as drawn, they count on from the pictures before it."""
    first = min(map(int, re.findall(r'id="clip(\d+)"', svg)), default=0)
    return re.sub(
        r'(id="clip|url\(#clip)(\d+)', lambda found: f"{found[1]}{int(found[2]) - first}", svg
    )
