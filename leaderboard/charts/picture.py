"""Charts as files, drawn by the package vl-convert without a browser."""

import hashlib
import json
import re
from functools import cache
from types import ModuleType
from xml.sax.saxutils import quoteattr

from seqmem.errors import InputError
from seqmem.leaderboard.charts.theme import Spec

__all__ = ["FORMATS", "fingerprint", "javascript", "picture", "renderer"]

FORMATS = ("svg", "png")
PIXELS = 2  # of a PNG, for each pixel of the chart


def renderer(command: str) -> ModuleType:
    """Return the package that draws.

    Args:
        command: what needs it, for the error's text.

    Raises:
        InputError: it is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise InputError(
            f"{command}: the package vl_convert is not installed; pip install 'seqmem[plot]'"
        ) from None
    return vl_convert


@cache
def javascript() -> str:
    """Return a script that defines `vegaEmbed`, for all charts of a page."""
    script: str = renderer("--format html").javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


def picture(chart: Spec, form: str) -> bytes:
    """Return a chart as a file's content.

    An SVG holds its description for screen readers, and its `fingerprint`.

    Args:
        chart: what is drawn.
        form: one of FORMATS.
    """
    if form == "png":
        image: bytes = renderer("plot").vegalite_to_png(chart, scale=PIXELS)
        return image
    attributes = (
        f'<svg role="img" aria-label={quoteattr(chart["description"])} '
        f'data-fingerprint="{fingerprint(chart)}" '
    )
    svg = _numbered_from_zero(renderer("plot").vegalite_to_svg(chart))
    return svg.replace("<svg ", attributes, 1).encode()


def fingerprint(chart: Spec) -> str:
    """Return a hash of a chart's specification, which no font of a machine changes."""
    text = json.dumps(chart, sort_keys=True)
    rounded = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
    return hashlib.sha256(json.dumps(rounded, sort_keys=True).encode()).hexdigest()[:16]


def _numbered_from_zero(svg: str) -> str:
    """Number clip paths within a picture: vl-convert counts on from the pictures before it."""
    first = min(map(int, re.findall(r'id="clip(\d+)"', svg)), default=0)
    return re.sub(
        r'(id="clip|url\(#clip)(\d+)', lambda found: f"{found[1]}{int(found[2]) - first}", svg
    )
