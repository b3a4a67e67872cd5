"""A heat map of k_train against k."""

import pytest

from seqmem.leaderboard.charts.matrix import matrix_chart
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.tests.leaderboard.charts.drawn import values
from seqmem.tests.records import make_trained


def test_a_matrix_keeps_carried_and_reset_apart_and_leaves_gaps() -> None:
    records = [
        make_trained({1: first, k: 0.4, "full": first / 2}, k_train=k, usual_k=8, state=state)
        for k, state, first in ((2, "carried", 0.9), (8, "carried", 0.8), (8, "reset", 0.7))
    ]
    (board,) = boards([*records, make_trained({1: 0.1, "full": 0.1}, label="gru")])
    chart = matrix_chart(board, "lstm")
    cells = values(chart, "k_train", "k")
    assert len(cells) == 8  # of nine, the two of k = k_train = 8 are alike
    assert {(c["k_train"], c["k"]) for c in cells if c["same"]} == {("2", "2"), ("8", "8")}
    assert [panel["title"]["text"] for panel in chart["vconcat"]] == [
        "state carried", "state reset before each window",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no row of rnn"):
        matrix_chart(board, "rnn")
