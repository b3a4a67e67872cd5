"""Curve charts hold every score, interval and seed, and keep labels apart."""

import json
import re
from itertools import pairwise
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("vl_convert", reason="charts need the plot extra")

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.curve import _apart, curve_chart
from seqmem.leaderboard.charts.need import need_chart
from seqmem.leaderboard.charts.picture import picture
from seqmem.leaderboard.record import Context
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.tests.leaderboard.charts.drawn import LOSSES, everything, points, values
from seqmem.tests.records import make_record


def test_a_curve_chart_holds_every_score_interval_and_seed() -> None:
    board = everything()
    chart = curve_chart([board], BASELINES)
    drawn = values(chart, "name", "score", "half")
    for row in board.rows:
        for k, cell in row.scores.items():
            (point,) = [p for p in drawn if p["name"] == row.label and p["k"] == k]
            assert cell.half is not None
            assert point["score"] == cell.value
            assert point["half"] == cell.half
    assert len(values(chart, "name", "seed")) == len(board.rows) * len(LOSSES) * 2
    axis = "context length k (inputs)"
    places = [float(point[axis]) for point in points(chart) if axis in point]
    assert len(places) == len(drawn)
    right = [place for place in places if place not in LOSSES]
    assert len(right) == len(board.rows)
    assert len(set(right)) == len(right)  # side by side
    assert min(right) > max(k for k in LOSSES if k != "full")


def test_every_model_chance_and_optimum_are_named() -> None:
    svg = picture(curve_chart([everything()], BASELINES), "svg").decode()
    texts = [node.firstChild.nodeValue for node in minidom.parseString(svg).getElementsByTagName(
        "text") if node.firstChild]  # fmt: skip
    for name in (*BASELINES, "chance", "optimum", "full"):
        assert texts.count(name) == 1
    outside = set(re.findall(r"https?://[^\"'<\s)]+", svg))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    count = f"{len(BASELINES)} models"
    assert re.search(rf'role="img" aria-label="toy/T=3: [^"]*{count}: [^"]*Lower is better', svg)


@given(st.lists(st.floats(0, 300), max_size=20).map(sorted))
def test_labels_are_apart_in_order_and_within_the_frame(heights: list[float]) -> None:
    placed = _apart(heights, 14, 300)
    assert len(placed) == len(heights)
    assert all(after - before >= 14 - 1e-6 for before, after in pairwise(placed))
    assert all(0 <= height <= 300 + 1e-6 for height in placed)
    if all(after - before >= 14 for before, after in pairwise(heights)):
        assert placed == pytest.approx(heights)


def test_scores_far_above_chance_do_not_flatten_the_rest() -> None:
    (board,) = boards([make_record({1: 50.0, 2: 0.9, "full": 0.1})])
    text = json.dumps(curve_chart([board], BASELINES))
    assert "Shaded: scores far above chance" in text
    assert "Shaded" not in json.dumps(curve_chart([everything()], BASELINES))


@pytest.mark.parametrize(
    "losses", [{"full": 0.5}, {1: 0.5}, {1: 1.0, "full": 1.0}, {1: 800.0, "full": 5.0}]
)
@pytest.mark.parametrize("score", ["loss", "perplexity"])
def test_bare_boards_can_be_drawn(losses: dict[Context, float], score: str) -> None:
    (board,) = boards([make_record(losses, score=score, half=None, optimum=None)])
    chart = curve_chart([board], BASELINES)
    for drawn in (chart, need_chart([board], BASELINES)):
        assert picture(drawn, "svg").startswith(b"<svg")
