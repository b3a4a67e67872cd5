"""The colours, fonts and axis styles that all charts share, on paper and on a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PRINT", "SCREEN", "Spec", "Theme", "finished", "layer"]

Spec = dict[str, Any]  # a Vega-Lite specification, or a part of one


@dataclass(frozen=True)
class Theme:
    """The colours of everything but models, and the font.

    Attributes:
        ground: the background.
        ink: of text that must stand out.
        quiet: of axis texts and reference lines.
        faint: of axes and grid lines.
        accent: of marks that belong to no model.
        warn: of marks that need attention.
        font: names of font families, best first.
    """

    ground: str
    ink: str
    quiet: str
    faint: str
    accent: str
    warn: str
    font: str


PRINT = Theme(
    "white", "#222222", "#666666", "#DDDDDD", "#0072B2", "#D55E00", "Helvetica, Arial, sans-serif"
)
# Custom properties of page.css, so that one drawing serves light, dark and print.
SCREEN = Theme(
    "transparent",
    "var(--ink)",
    "var(--quiet)",
    "var(--line)",
    "var(--accent)",
    "var(--warn)",
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
)


def layer(
    mark: str,
    encoding: Spec | None = None,
    *,
    rows: Sequence[Mapping[str, Any]] | None = None,
    where: str | None = None,
    **look: Any,
) -> Spec:
    """Return one layer of a chart.

    Args:
        mark: its kind, by Vega-Lite's name.
        encoding: channels besides those of the chart.
        rows: its data; None for those of the chart.
        where: a condition on rows, in Vega's language.
        **look: properties of the mark; it is clipped to the frame by default.
    """
    made: Spec = {"mark": {"type": mark, "clip": True, **look}, "encoding": encoding or {}}
    made |= {} if rows is None else {"data": {"values": list(rows)}}
    return made | ({} if where is None else {"transform": [{"filter": where}]})


def finished(chart: Spec, theme: Theme, description: str = "") -> Spec:
    """Return a whole specification: a chart with its look.

    Args:
        chart: what is drawn.
        theme: colours and font.
        description: what is drawn, for readers who do not see it.
    """
    axis = {
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "titleColor": theme.quiet,
        "labelColor": theme.quiet,
        "domainColor": theme.faint,
        "tickColor": theme.faint,
        "gridColor": theme.faint,
        "gridOpacity": 0.6,
    }
    title = {"anchor": "start", "fontSize": 13, "subtitleFontSize": 11}
    config = {
        "font": theme.font,
        "view": {"stroke": None},
        "axis": axis,
        "title": title | {"color": theme.ink, "subtitleColor": theme.quiet},
        "legend": {"labelFontSize": 11, "labelColor": theme.quiet},
    }
    return chart | {
        "description": description,
        "background": theme.ground,
        "padding": 8,
        "config": config,
    }
