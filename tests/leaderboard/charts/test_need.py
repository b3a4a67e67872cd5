"""A chart of context needs."""

import pytest

pytest.importorskip("vl_convert", reason="charts need the plot extra")

from seqmem.baselines import BASELINES
from seqmem.leaderboard.charts.need import need_chart
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.tests.leaderboard.charts.drawn import points, values
from seqmem.tests.records import make_trained


def test_a_need_chart_distinguishes_the_states() -> None:
    (board,) = boards(
        [
            make_trained({1: 0.9, 4: 0.1, 8: 0.1, "full": 0.1}, label="lstm"),
            make_trained({1: 0.9, 4: 0.5, 8: 0.4, "full": 0.1}, label="rnn"),
            make_trained({1: 1.0, 4: 1.0, 8: 1.0, "full": 1.0}, label="gru"),
            make_trained({1: 1.0}, label="tcn"),
        ]
    )
    chart = need_chart([board], BASELINES)
    states = {
        (p["model"], p["state"]): float(p["k (inputs)"]) for p in points(chart) if "model" in p
    }
    assert states[("lstm", "reached")] == 4
    assert states[("rnn", "beyond")] > 8
    assert states[("gru", "chance")] < 1
    assert not [model for model, _ in states if model == "tcn"]
    (line,) = [row for row in values(chart, "x") if set(row) == {"x"}]
    assert line == {"x": 4}
    assert "lstm 4" in chart["description"]
