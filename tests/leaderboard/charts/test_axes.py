"""Axes show every score near chance and better, and are the same in a plot and on the page."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.axes import _ticks, axes_of
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
    assert axes.cut
    assert axes.height(axes.low) == pytest.approx(0)
    assert axes.height(math.inf) == pytest.approx(1)
    assert 0.5 < axes.height(board.chance) < 1
    assert all(0 < axes.height(value) < 1 for value in values if value <= board.chance)


@given(st.sets(st.integers(1, 5000), min_size=1, max_size=200))
def test_ticks_do_not_overlap_and_include_the_largest_k(ks: set[int]) -> None:
    ticks = _ticks(sorted(ks))
    assert set(ticks) <= ks
    assert ticks == sorted(ticks)
    assert ticks[-1] == max(ks)
    assert len(ticks) <= 12
