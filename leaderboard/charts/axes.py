"""The axes of a curve chart: context length k to the right, the score upwards."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seqmem.leaderboard.charts.theme import Spec
from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.tables.formatting import number, unit

__all__ = ["Axes", "axes_of"]

FULL = 3.5  # the full context is drawn at so many times the largest k
SIDE = 0.8  # the share of the room for the full context over which models stand side by side
MOST_TICKS = 12
CLOSEST = 1.25  # the least ratio of neighbouring ticks
STRIP = 0.18  # the share of the frame for scores far above chance
HIGHEST = 0.9  # where in that strip the highest score lies
STEPS = 5  # between ticks of the scores, about


@dataclass(frozen=True)
class Axes:
    """The axes of a board's curves.

    Attributes:
        low: the score at the bottom.
        high: the score at the top, without the strip.
        log: whether the axis of scores is logarithmic, as for perplexities.
        highest: the highest score, where it is far above the top: such scores are drawn in a strip
            at the top, on a logarithmic scale of their distance; None if there are none.
        ks: the finite context lengths, ascending.
        title: of the axis of scores.
    """

    low: float
    high: float
    log: bool
    highest: float | None
    ks: tuple[int, ...]
    title: str

    @property
    def full(self) -> float:
        """The place of the full context on the axis of k."""
        return FULL * max(self.ks, default=1)

    @property
    def gap(self) -> float:
        """The place between the largest k and the full context."""
        return self.full / math.sqrt(FULL)

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last place on the axis of k."""
        return min(self.ks, default=1) / 1.2, self.full * math.sqrt(FULL)

    @property
    def sides(self) -> tuple[float, float]:
        """The places of the first and the last model at the full context."""
        return self.full * FULL ** (-SIDE / 2), self.full * FULL ** (SIDE / 2)

    @property
    def top(self) -> float:
        """The place of the frame's top on the axis of scores."""
        return self.high if self.highest is None else self._place(math.inf)

    def height(self, score: float) -> float:
        """Return where a score lies between the bottom, 0, and the top, 1."""
        low, value, top = (
            _scaled(v, self.log) for v in (self.low, self._place(max(score, self.low)), self.top)
        )
        return (value - low) / (top - low)

    def _place(self, score: float) -> float:
        """Return the place of a score on the axis, which differs from it in the strip."""
        if score <= self.high or self.highest is None:
            return min(score, self.high)
        high, room, most = self._strip(self.highest)
        share = HIGHEST * math.log1p(_scaled(score, self.log) - high) / most
        place = high + room * min(share, 1)
        return math.exp(place) if self.log else place

    def _strip(self, highest: float) -> tuple[float, float, float]:
        """Return where the strip begins, its height, and the logarithm for its highest score."""
        low, high = _scaled(self.low, self.log), _scaled(self.high, self.log)
        most = math.log1p(_scaled(highest, self.log) - high)
        return high, (high - low) * STRIP / (1 - STRIP), most

    def placed(self, *fields: str) -> list[Spec]:
        """Return transforms of scores into places on the axis, as `_place` computes them."""
        if self.highest is None:
            return []
        high, room, most = self._strip(self.highest)
        made = []
        for field in fields:
            value = f"log(datum.{field})" if self.log else f"datum.{field}"
            share = f"min({HIGHEST / most!r} * log(1 + {value} - {high!r}), 1)"
            place = f"{high!r} + {room!r} * {share}"
            place = f"exp({place})" if self.log else place
            test = f"datum.{field} > {self.high!r}"
            made.append({"calculate": f"{test} ? {place} : datum.{field}", "as": field})
        return made

    def x(self) -> Spec:
        """Return the channel of k, with a tick of its own for the full context."""
        return {
            "field": "x",
            "type": "quantitative",
            "title": "context length k (inputs)",
            "scale": {"type": "log", "domain": list(self.span), "nice": False},
            "axis": {
                "values": [*_ticks(self.ks), self.full],
                "labelExpr": f"datum.value == {self.full} ? 'full' : format(datum.value, '~d')",
                "grid": False,
                "labelOverlap": "greedy",
            },
        }

    def y(self, field: str = "score") -> Spec:
        """Return the channel of the score."""
        scale: Spec = {"type": "log"} if self.log else {"type": "linear", "zero": False}
        axis: Spec = {} if self.log else {"tickCount": 6}
        if self.highest is not None:
            last = f"datum.value > {self.high!r} ? '{number(self.highest)}' : datum.label"
            ticks = _score_ticks(self.low, self.high, self.log)
            axis = {"values": [*ticks, self._place(self.highest)], "labelExpr": last}
        return {
            "field": field,
            "type": "quantitative",
            "title": self.title,
            "scale": scale | {"domain": [self.low, self.top], "nice": False},
            "axis": axis,
        }

    def side_by_side(self) -> list[Spec]:
        """Return transforms that compute places, `x`, from `k` and `order`.

        At the full context, models stand side by side, so that intervals can be distinguished.
        """
        side = f"pow({FULL}, {SIDE} * ((datum.order + 0.5) / (datum.last + 1) - 0.5))"
        last = {"joinaggregate": [{"op": "max", "field": "order", "as": "last"}]}
        return [last, *self.centred(side)]

    def centred(self, side: str = "1") -> list[Spec]:
        """Return transforms that compute places, `x`, from `k`.

        Args:
            side: a factor for the full context.
        """
        return [
            {"calculate": "datum.k == 'full'", "as": "full"},
            {"calculate": f"datum.full ? {self.full} * {side} : datum.k", "as": "x"},
        ]


def axes_of(board: Board, rows: Sequence[Row]) -> Axes:
    """Return axes for rows of a board; scores far worse than chance do not flatten the rest.

    They are drawn in a strip of their own at the top.
    """
    facts = board.records[0].task
    log = facts.score == "perplexity"
    cells = [cell for row in rows for cell in row.scores.values()]
    ends = [cell.value - cell.half for cell in cells if cell.half is not None]
    chance = _scaled(board.chance, log)
    values = _all_scaled((cell.value for cell in cells), log)
    low = min([chance, *values, *_all_scaled([*ends, *board.optimum.values()], log)])
    high = max([chance, *values])
    gain = chance - low or abs(chance) or 1.0
    top = min(high, chance + gain / 2)
    room = 0.05 * (top - low or gain)
    bottom, top = low - room, top + room
    highest = high if high > top else None
    if log:
        bottom, top = math.exp(bottom), math.exp(top)
        highest = None if highest is None else math.exp(highest)
    title = "perplexity" if log else unit(facts)
    ks = tuple(k for k in board.contexts if k != "full")
    return Axes(bottom, top, log, highest, ks, title)


def _scaled(score: float, log: bool) -> float:
    return math.log(score) if log else score


def _all_scaled(scores: Iterable[float], log: bool) -> list[float]:
    """Return the scores that an axis can show, on its scale."""
    return [_scaled(s, log) for s in scores if math.isfinite(s) and (s > 0 or not log)]


def _score_ticks(low: float, high: float, log: bool) -> list[float]:
    """Return about STEPS round numbers between two scores."""
    if log and high / low > 10:
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    else:
        rough = (high - low) / STEPS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = unit * min((1, 2, 5, 10), key=lambda times: abs(math.log(times * unit / rough)))
        found = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [float(f"{tick:.9g}") for tick in found if low <= tick <= high]


def _ticks(ks: Sequence[int]) -> list[int]:
    """Return ticks whose labels do not overlap; the largest k always has one."""
    chosen: list[int] = []
    for k in sorted(ks, reverse=True):
        if not chosen or chosen[-1] / k > CLOSEST:
            chosen.append(k)
    return chosen[:: -(-len(chosen) // MOST_TICKS) or 1][::-1]
