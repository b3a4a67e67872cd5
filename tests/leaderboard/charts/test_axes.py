"""Axes show every score near chance and better, and are the same in a plot and on the page."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.axes import _score_ticks, _ticks, axes_of
from seqmem.leaderboard.charts.curve import curve_chart, interactive_curve_chart
from seqmem.leaderboard.statistics.envelope import envelope
from seqmem.tests.leaderboard.charts.drawn import everything
from seqmem.tests.records import board_of, make_record


def channels(part: Any, name: str) -> set[str]:
    """Return every definition of a channel that has an axis title, as text."""
    if isinstance(part, list):
        return set().union(*(channels(each, name) for each in part))
    if not isinstance(part, dict):
        return set()
    own = part.get("encoding", {}).get(name, {})
    found = {repr({**own, "field": ""})} if "title" in own else set()
    return found.union(*(channels(each, name) for each in part.values()))


@pytest.mark.parametrize("channel", ["x", "y"])
def test_a_plot_and_the_page_have_the_same_axes(channel: str) -> None:
    board = everything()
    printed = channels(curve_chart([board], BASELINES), channel)
    assert len(printed) == 1
    assert channels(interactive_curve_chart(board, envelope(board)), channel) == printed


@pytest.mark.parametrize("score", ["loss", "perplexity"])
def test_the_frame_holds_chance_and_all_better_scores(score: str) -> None:
    board = board_of(make_record({1: 90.0, 2: 0.9, "full": 0.1}, score=score))
    axes = axes_of(board, board.rows)
    values = [cell.value for row in board.rows for cell in row.scores.values()]
    assert axes.highest == pytest.approx(max(values))
    assert axes.height(axes.low) == pytest.approx(0)
    assert axes.height(math.inf) == pytest.approx(1)
    assert 0.5 < axes.height(board.chance) < 1
    assert all(0 < axes.height(value) < 1 for value in values)
    ascending = [axes.height(v) for v in (min(values), axes.high, 2 * axes.high, max(values))]
    assert ascending == sorted(set(ascending))


@pytest.mark.parametrize("score", ["loss", "perplexity"])
def test_the_chart_places_scores_where_the_axes_say(score: str) -> None:
    """The expressions are evaluated as Vega does: its functions have the names of Python's."""
    board = board_of(make_record({1: 90.0, 2: 0.9, "full": 0.1}, score=score, chance=2.0))
    axes = axes_of(board, board.rows)
    (transform,) = axes.placed("score")
    test, then = transform["calculate"].split(" ? ")
    place, other = then.split(" : ")
    assert axes.highest is not None
    for value in (axes.low, axes.high, axes.high * 1.01, axes.highest / 3, axes.highest):
        names = {
            "log": math.log,
            "exp": math.exp,
            "min": min,
            "datum": SimpleNamespace(score=value),
        }
        found = eval(place if eval(test, names) else other, names)
        low, top = (math.log(v) if axes.log else v for v in (axes.low, axes.top))
        height = ((math.log(found) if axes.log else found) - low) / (top - low)
        assert height == pytest.approx(axes.height(value))


@given(st.floats(-100, 1000), st.floats(1e-3, 1000), st.booleans())
def test_ticks_of_scores_are_few_and_within(low: float, width: float, log: bool) -> None:
    low = abs(low) + 1e-3 if log else low
    ticks = _score_ticks(low, low + width, log)
    assert ticks == sorted(set(ticks))
    assert all(low <= tick <= low + width for tick in ticks)
    assert 2 <= len(ticks) <= 20


def test_scores_near_chance_need_no_strip() -> None:
    board = board_of(make_record({1: 1.2, 2: 0.9, "full": 0.1}))
    axes = axes_of(board, board.rows)
    assert axes.highest is None
    assert axes.placed("score") == []
    assert axes.top == axes.high


@given(st.sets(st.integers(1, 5000), min_size=1, max_size=200))
def test_ticks_do_not_overlap_and_include_the_largest_k(ks: set[int]) -> None:
    ticks = _ticks(sorted(ks))
    assert set(ticks) <= ks
    assert ticks == sorted(ticks)
    assert ticks[-1] == max(ks)
    assert len(ticks) <= 12
