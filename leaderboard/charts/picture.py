"""Charts as files, drawn by the package vl-convert without a browser."""

import hashlib
import json
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from xml.sax.saxutils import quoteattr

from seqmem.errors import InputError
from seqmem.leaderboard.charts.theme import Spec

__all__ = ["FORMATS", "fingerprint", "form_of", "javascript", "picture", "renderer", "width_of"]

FORMATS = ("svg", "pdf", "png", "html")
PIXELS = 4  # of a PNG, for each point of the chart: 288 in an inch


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


def form_of(path: Path, command: str) -> str:
    """Return the format that a file's name ends in.

    Args:
        path: the file.
        command: what writes it, for the error's text.

    Raises:
        InputError: the name has another ending, or the package that draws is missing.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        endings = ", ".join(f".{each}" for each in FORMATS)
        raise InputError(f"{path}: a picture's name ends in one of {endings}; choose such a name")
    renderer(command)
    return form


@cache
def javascript() -> str:
    """Return a script that defines `vegaEmbed`, for all charts of a page."""
    script: str = renderer("--format html").javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


def picture(chart: Spec, form: str, scale: float = 1.0) -> bytes:
    """Return a chart as a file's content.

    An SVG holds its description for screen readers, and its `fingerprint`.

    Args:
        chart: what is drawn.
        form: one of FORMATS; html is a page that needs no network.
        scale: a factor of all sizes, texts included; a page has none.
    """
    if form == "html":
        page: str = renderer("plot").vegalite_to_html(chart, bundle=True)
        return page.encode()
    if form == "png":
        image: bytes = renderer("plot").vegalite_to_png(chart, scale=PIXELS * scale)
        return image
    attributes = (
        f'<svg role="img" aria-label={quoteattr(chart["description"])} '
        f'data-fingerprint="{fingerprint(chart)}" '
    )
    svg = _numbered_from_zero(renderer("plot").vegalite_to_svg(chart))
    if form == "pdf":  # where one pixel is a point
        document: bytes = renderer("plot").svg_to_pdf(_scaled(svg, scale, ""))
        return document
    svg = svg if scale == 1 else _scaled(svg, scale, "pt")
    return svg.replace("<svg ", attributes, 1).encode()


def width_of(chart: Spec) -> float:
    """Return the width in pixels of a whole chart, with its axes and labels."""
    svg = renderer("plot").vegalite_to_svg(chart)
    found = re.search(r'<svg [^>]*?width="([0-9.]+)"', svg)
    assert found is not None, "vl-convert writes the width"
    return float(found[1])


def fingerprint(chart: Spec) -> str:
    """Return a hash of a chart's specification, which no font of a machine changes."""
    text = json.dumps(chart, sort_keys=True)
    rounded = json.loads(text, parse_float=lambda number: f"{float(number):.9g}")
    return hashlib.sha256(json.dumps(rounded, sort_keys=True).encode()).hexdigest()[:16]


def _scaled(svg: str, scale: float, unit: str) -> str:
    """Scale the size of a picture; its coordinates are those of its view box, and stay."""

    def scaled(found: re.Match[str]) -> str:
        return f'{found[1]}="{float(found[2]) * scale:g}{unit}"'

    opening, end, rest = svg.partition(">")
    return re.sub(r'(?<= )(width|height)="([0-9.]+)"', scaled, opening) + end + rest


def _numbered_from_zero(svg: str) -> str:
    """Number clip paths within a picture: vl-convert counts on from the pictures before it."""
    first = min(map(int, re.findall(r'id="clip(\d+)"', svg)), default=0)
    return re.sub(
        r'(id="clip|url\(#clip)(\d+)', lambda found: f"{found[1]}{int(found[2]) - first}", svg
    )
