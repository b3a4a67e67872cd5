"""What more words are worth to LSTMs of different quality, beside a published curve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from seqmem.docs.blog_table import epochs, tuned
from seqmem.leaderboard.charts.theme import PRINT, Spec, finished, layer
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.tables.formatting import need, rounded
from seqmem.leaderboard.tables.wording import listed
from seqmem.leaderboard.tables.writing import table

__all__ = ["Curve", "curves", "excess_chart", "excess_sentence", "excess_table", "trend"]

MODEL = "lstm"
# Khandelwal et al. 2018 (arXiv 1805.04623), figure 1a: an AWD-LSTM on the validation articles, in
# nats; read from the figure's data.
PUBLISHED = {5: 0.6643, 10: 0.4358, 20: 0.2718, 50: 0.1183, 100: 0.0466, 150: 0.0221, 200: 0.0115,
             250: 0.0061, 300: 0.0031}  # fmt: skip
PERPLEXITY = 67.29
ENOUGH = 5  # trainings
LEAST = 0.001  # nats: the lower end of the axis
LIGHT, DARK = (184, 212, 232), (5, 44, 71)  # colours of the worst and of the best LSTM
WIDTH, HEIGHT = 460, 300  # pixels


@dataclass(frozen=True)
class Curve:
    """What all words are worth over the k latest, at each k: a loss minus the one at full.

    Attributes:
        name: for the legend.
        perplexity: at full.
        points: k, the difference in nats, and the ends of its 95 % interval.
        need: the context need, for 1 % of perplexity, as text.
        k: it, if it was reached; None for the published curve.
        published: whether it is no model of ours.
    """

    name: str
    perplexity: float
    points: tuple[tuple[int, float, float | None, float | None], ...]
    need: str
    k: int | None = None
    published: bool = False


def curves(boards: Sequence[Board]) -> list[Curve]:
    """Return the published curve, and those of LSTMs here, the worst first.

    Args:
        boards: of WikiText-2, one for each recipe; of several learning rates the one that is best
            on validation counts.
    """
    points = tuple((k, value, None, None) for k, value in PUBLISHED.items())
    name = "AWD-LSTM, published, validation articles"
    known = [Curve(name, PERPLEXITY, points, "200–250", published=True)]
    known += [_measured(board, row) for board in boards for row in tuned(board, [MODEL]).values()]
    return sorted(known, key=lambda curve: -curve.perplexity)


def _measured(board: Board, row: Row) -> Curve:
    points = []
    for k in (k for k in row.scores if k != "full"):
        paired = difference(board.rows, row, row, k, "full", alone=True)
        if paired is not None:
            points.append((int(k), paired.mean, paired.low, paired.high))
    perplexity, name = row.scores["full"].value, f"LSTM, {epochs(row):.2g} epochs"
    return Curve(name, perplexity, tuple(points), need(row.need), row.need.k)


def excess_sentence(found: Sequence[Curve]) -> str:
    """Return how the context need depends on the perplexity."""
    own = [curve for curve in found if not curve.published]
    law = trend(found)
    named = own if law is None else [own[0], own[-1]]  # the chart names the others
    needs = listed(f"{curve.need} at perplexity {curve.perplexity:.0f}" for curve in named)
    published = listed(
        f"{curve.need} at {curve.perplexity:.0f}" for curve in found if curve.published
    )
    ks = [curve.k or 0 for curve in own]
    rises = all(first < second for first, second in pairwise(ks)) if law is None else law.low > 1
    claim = "The better the LSTM, the more words it uses" if rises else "How many words LSTMs use"
    factor = (
        f" Where perplexity halves, it is {law.factor:.2g} times as many ({law.low:.2g} to "
        f"{law.high:.2g}; {law.models} trainings here, on the k measured)."
        if law is not None
        else ""
    )
    return (
        f"**{claim}**: k\\*(1 %), the words with which one comes within 1 % of its own perplexity "
        f"on WikiText-2 with all, is {needs}; {published} for the AWD-LSTM of "
        f"Khandelwal et al. 2018.{factor}"
    )


@dataclass(frozen=True)
class Trend:
    """By what factor the context need changes where perplexity halves.

    Attributes:
        factor: the estimate.
        low: the lower end of its 95 % interval.
        high: the upper end.
        models: the number of trainings.
    """

    factor: float
    low: float
    high: float
    models: int


def trend(found: Sequence[Curve]) -> Trend | None:
    """Return how the need depends on the perplexity: least squares of their logarithms.

    Returns:
        None for fewer than `ENOUGH` models, if all are equal, or if one's need is not known.
    """
    own = [curve for curve in found if not curve.published]
    known = [(curve.perplexity, curve.k) for curve in own if curve.k is not None]
    if len(known) < max(ENOUGH, len(own)) or any(
        len({*side}) == 1 for side in zip(*known, strict=True)
    ):
        return None
    from scipy.stats import linregress, t

    fit = linregress(
        [-math.log2(perplexity) for perplexity, _ in known], [math.log2(k) for _, k in known]
    )
    half = fit.stderr * t.ppf(0.975, len(known) - 2)
    return Trend(2**fit.slope, 2 ** (fit.slope - half), 2 ** (fit.slope + half), len(known))


def excess_table(found: Sequence[Curve]) -> str:
    """Return a row for each k of the published curve, a column for each LSTM that has all."""
    known = [curve for curve in found if {k for k, *_ in curve.points} >= set(PUBLISHED)]
    rows: list[dict[str, object]] = [
        {"k": k, **{_title(curve): _at(curve, k) for curve in known}} for k in PUBLISHED
    ]
    return table(rows, "markdown").rstrip("\n")


def _title(curve: Curve) -> str:
    return f"{curve.name}: {curve.perplexity:.4g}"


def _at(curve: Curve, k: int) -> str:
    for at, mean, low, high in curve.points:
        if at == k and low is not None and high is not None:
            text, first, last = rounded((mean, low, high), (high - low) / 2)
            return f"{text} ({first} to {last})"
        if at == k:
            return f"{mean}"
    return "–"


def _shade(share: float) -> str:
    """Return the colour at a share of the way from light to dark."""
    parts = (round(light + share * (dark - light)) for light, dark in zip(LIGHT, DARK, strict=True))
    return "#" + "".join(f"{part:02X}" for part in parts)


def excess_chart(found: Sequence[Curve]) -> Spec:
    """Return the chart: differences against k, both axes logarithmic, a line for each LSTM."""
    names = [_title(curve) for curve in found]
    own = [not curve.published for curve in found]
    colours = [
        _shade(sum(own[:i]) / max(sum(own) - 1, 1)) if measured else PRINT.warn
        for i, measured in enumerate(own)
    ]
    values: list[dict[str, Any]] = [
        {
            "name": _title(curve),
            "k": k,
            "excess": mean if mean >= LEAST else None,  # a gap in the line
            "low": max(mean if low is None else low, LEAST),
            "high": max(mean if high is None else high, LEAST),
        }
        for curve in found
        for k, mean, low, high in curve.points
    ]
    largest = max((row["k"] for row in values), default=1)
    x: Spec = {
        "field": "k",
        "type": "quantitative",
        "title": "k (words)",
        "scale": {"type": "log", "base": 2, "domain": [0.9, 1.13 * largest], "nice": False},
        "axis": {"values": [2**i for i in range(12) if 2**i <= largest], "format": "d"},
    }
    y: Spec = {
        "type": "quantitative",
        "title": "loss with k words minus loss with all, nats",
        "scale": {"type": "log", "domain": [LEAST, 2]},
        "axis": {"values": [0.001, 0.01, 0.1, 1], "format": "~f"},
    }
    colour: Spec = {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": names, "range": colours},
        "legend": {"title": "perplexity with all words", "labelLimit": 330},
    }
    one = math.log(1.01)
    chart: Spec = {
        "data": {"values": values},
        "encoding": {"x": x, "color": colour},
        "layer": [
            layer(
                "rule",
                {"y": y | {"datum": one}, "x": None, "color": {"value": PRINT.quiet}},
                rows=[{}],
                strokeDash=[4, 3],
            ),
            layer("line", {"y": y | {"field": "excess"}}, strokeWidth=2),
            layer("rule", {"y": y | {"field": "low"}, "y2": {"field": "high"}}, strokeWidth=1.4),
            layer("point", {"y": y | {"field": "excess"}}, filled=True, size=34, opacity=1),
        ],
        "width": WIDTH,
        "height": HEIGHT,
        "title": {
            "text": "What all words are worth over the k latest, WikiText-2",
            "subtitle": f"bars: 95 % intervals; dashed: 1 % of perplexity; gaps: below {LEAST}",
            "offset": 14,
        },
    }
    said = "; ".join(
        f"{_title(curve)}, context need {curve.need}: "
        + ", ".join(f"{mean:.3g} at {k}" for k, mean, _, _ in curve.points)
        for curve in found
    )
    return finished(chart, PRINT, f"Loss with k words minus loss with all. {said}")
