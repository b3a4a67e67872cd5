"""Sweeps: which points belong together, and where they lie."""

import math

import pytest

from seqmem.errors import InputError
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.bits_held import bits_of_row
from seqmem.leaderboard.statistics.sweep import sweeps
from seqmem.tests.records import recalled


def test_tasks_that_differ_in_the_parameter_alone_are_one_sweep() -> None:
    records = [
        recalled(0.1 * keys / 8, f"recall/keys={keys},zipf={zipf}", label=label)
        for keys in (8, 16, 128)
        for zipf in (0, 1)
        for label in ("lstm", "tcn")
    ]
    records.append(recalled(1.5, "recall/keys=8,zipf=0", seed=1))  # of two seeds, the median
    first, second = sweeps(boards(records), "keys")
    assert (first.name, second.name) == ("recall/keys=…,zipf=0", "recall/keys=…,zipf=1")
    assert [(point.line, point.x) for point in first.points] == [
        (label, keys) for label in ("lstm", "tcn") for keys in (8, 16, 128)
    ]
    lstm = first.points[0]
    assert lstm.score.value == pytest.approx((0.1 + 1.5) / 2)
    assert lstm.bits is not None
    assert lstm.bits.value == pytest.approx(10 * (math.log(8) - 0.8) / math.log(2))
    assert lstm.most == pytest.approx(30)  # the optimum's loss is zero
    (row,) = [row for row in boards(records)[0].rows if row.label == "lstm"]
    assert lstm.bits == bits_of_row(row)


def test_against_the_state_a_line_joins_all_sizes_of_a_model() -> None:
    task = "recall/keys=8"
    records = [
        recalled(0.5, task, label="lstm:hidden=64", floats=128),
        recalled(0.9, task, label="lstm:hidden=8", floats=16),
        recalled(0.7, task, label="lstm", floats=32, budget="medium"),
        recalled(0.2, task, label="tcn", floats=4000),
        recalled(2.0, task, label="marginal", floats=0),  # on no axis of logarithms
        recalled(1.0, task, label="rnn", floats=None),
    ]
    (sweep,) = sweeps(boards(records), "state")
    assert [(p.line, p.x, p.score.value) for p in sweep.points] == [
        ("lstm", 16, 0.9),
        ("lstm", 32, 0.7),
        ("lstm", 128, 0.5),
        ("tcn", 4000, 0.2),
    ]


def test_a_task_that_is_not_longer_has_the_length_of_training() -> None:
    records = [
        recalled(loss, f"track/group=S3{longer}")
        for loss, longer in ((0.1, ""), (0.5, ",longer=4"), (1.0, ",longer=16"))
    ]
    (sweep,) = sweeps(boards(records), "longer")
    assert sweep.name == "track/group=S3,longer=…"
    assert [(p.x, p.score.value) for p in sweep.points] == [(1, 0.1), (4, 0.5), (16, 1.0)]


@pytest.mark.parametrize(
    ("against", "says"),
    [
        ("group", "it may be state, keys"),  # its values are no numbers
        ("kyes", "--against kyes: no id of these tasks has this parameter"),
        ("state", "no record of these tasks has the size of a state"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(against: str, says: str) -> None:
    board = boards([recalled(0.5, "recall/keys=8,group=S3,T=10-50", floats=None)])
    with pytest.raises(InputError, match=says):
        sweeps(board, against)
