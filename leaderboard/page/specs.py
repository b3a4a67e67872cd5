"""The charts of a page, as Vega-Lite says them; the page's script fills in the rows that are shown.

Colours are the page's own custom properties, so that one drawing serves light, dark and print.
"""

from typing import Any

import altair as alt

__all__ = ["curve_spec", "need_spec"]

QUIET, FAINT, ACCENT = "var(--quiet)", "var(--line)", "var(--accent)"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
FOCUS = "focus < 0 || datum.row === focus"


def curve_spec(log: bool) -> dict[str, Any]:
    """Say how a task's curves are drawn.

    Its data sets `scores`, `envelope`, `levels`, `gap` and `chosen` are empty; its parameters
    `low`, `high`, `band` and `focus` are the ends of the scale, the opacity of bands and the row
    that stands out (−1: none). The page's script gives the axis of k its ends and ticks.

    Args:
        log: whether the axis of scores is logarithmic, as perplexities have it.
    """
    x = alt.X(
        "x:Q",
        title="context length k (inputs)",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(grid=False, labelOverlap="greedy"),
    )

    def y(field: str) -> alt.Y:
        scale = alt.Scale(
            type="log" if log else "linear",
            domainMin=alt.ExprRef("low"),
            domainMax=alt.ExprRef("high"),
            nice=False,
            zero=alt.Undefined if log else False,
        )
        return alt.Y(field, title=None, scale=scale, axis=alt.Axis(tickCount=6))

    colour = alt.Color("colour:N", scale=None)
    dash = alt.StrokeDash("dash:N", scale=None)
    known, apart = "!datum.full", "datum.full"

    def shown(strong: float, weak: float) -> dict[str, Any]:
        return {"condition": {"test": FOCUS, "value": strong}, "value": weak}

    levels = alt.Chart(_named("levels")).encode(x, y("score:Q"), alt.Detail("name:N"))
    best = alt.Chart(_named("envelope")).encode(x, y("score:Q"))
    rows = alt.Chart(_named("scores")).encode(x, y("score:Q"), alt.Detail("row:N"))
    layers = [
        alt.Chart(_named("gap")).mark_rule(color=FAINT, strokeDash=[3, 3]).encode(x),
        alt.Chart(_named("chosen")).mark_rule(color=ACCENT, opacity=0.45).encode(x),
        best.transform_filter(known).mark_line(
            color=QUIET, opacity=0.28, strokeWidth=7, strokeCap="round", clip=True
        ),
        best.transform_filter(apart).mark_tick(
            color=QUIET, opacity=0.28, thickness=7, size=34, orient="horizontal", clip=True
        ),
        levels.mark_line(color=QUIET, strokeWidth=1.3, clip=True).encode(dash),
        rows.transform_filter(f"{known} && isValid(datum.least)")
        .mark_area(clip=True, opacity=alt.ExprRef("band"))
        .encode(y("least:Q"), alt.Y2("most:Q"), colour, fillOpacity=shown(1, 0)),
        rows.transform_filter(f"{apart} && isValid(datum.least)")
        .mark_rule(clip=True)
        .encode(y("least:Q"), alt.Y2("most:Q"), colour, opacity=shown(0.7, 0.1)),
        rows.transform_filter(known)
        .mark_line(strokeWidth=1.8, clip=True, strokeJoin="round")
        .encode(colour, dash, opacity=shown(1, 0.15)),
        rows.mark_point(filled=True, size=32, clip=True).encode(
            colour, alt.Shape("shape:N", scale=None), opacity=shown(1, 0.15)
        ),
        rows.mark_point(size=240, opacity=0, filled=True, clip=True, cursor="pointer").encode(
            tooltip=[
                alt.Tooltip("name:N", title="model"),
                alt.Tooltip("k:N"),
                alt.Tooltip("text:N", title="score"),
                alt.Tooltip("seeds:N"),
            ]
        ),
    ]
    chart = alt.LayerChart(layer=layers, width="container", height=360)
    parameters = [_parameter("low", 0.1), _parameter("high", 1), _parameter("band", 0.12)]
    return _finished(chart.add_params(*parameters, _parameter("focus", -1)))


def need_spec() -> dict[str, Any]:
    """Say how the context needs of one task's models are drawn, a line for each.

    Its data sets `marks`, `ranges` and `enough` are empty; the page's script sets its height
    and gives the axis of k its ends and ticks.
    """
    x = alt.X(
        "x:Q",
        title=None,
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(labelOverlap="greedy"),
    )
    y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=130, grid=True))
    layers = [
        alt.Chart(_named("enough")).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(x),
        alt.Chart(_named("ranges"))
        .mark_rule(strokeWidth=2, opacity=0.7)
        .encode(x, alt.X2("end:Q"), y, alt.Color("colour:N", scale=None)),
        alt.Chart(_named("marks"))
        .mark_point(size=52, opacity=1, strokeWidth=1.6)
        .encode(
            x,
            y,
            alt.Shape("shape:N", scale=None),
            alt.Fill("fill:N", scale=None),
            alt.Stroke("colour:N", scale=None),
            tooltip=[
                alt.Tooltip("name:N", title="model"),
                alt.Tooltip("text:N", title="k*(1 %)"),
            ],
        ),
    ]
    return _finished(alt.LayerChart(layer=layers, width="container", height=100))


def _named(name: str) -> Any:
    return alt.NamedData(name=name)


def _parameter(name: str, value: float) -> Any:
    return alt.param(name=name, value=value)


def _finished(chart: alt.LayerChart) -> dict[str, Any]:
    look = (
        chart.configure(background="transparent", padding=4, font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            labelFontSize=11.5,
            titleFontSize=12,
            titleFontWeight="normal",
            titleColor=QUIET,
            labelColor=QUIET,
            domainColor=FAINT,
            tickColor=FAINT,
            gridColor=FAINT,
            gridOpacity=0.6,
            titlePadding=8,
        )
        .properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    )
    specification: dict[str, Any] = look.to_dict()
    del specification["$schema"]  # an address: the page names no other place
    return specification
