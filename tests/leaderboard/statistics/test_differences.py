"""Paired differences whose results are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.leaderboard.statistics.aggregate import Board, Row
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.intervals import block_mean
from seqmem.leaderboard.tables.wording import VERDICTS, verdict
from seqmem.tests.records import board_of, make_trained


def test_with_one_seed_targets_are_paired() -> None:
    """Variation that two models have in common cancels, however large."""
    one = make_trained({"full": 0.5}, label="a", noise=0.3)
    two = make_trained({"full": 0.4}, label="b", noise=0.3)
    rows = {row.label: row for row in board_of(one, two).rows}
    alike = difference(tuple(rows.values()), rows["a"], rows["b"], "full")
    assert alike is not None
    assert not alike.trainings  # how much they vary is unknown
    assert (alike.low, alike.high) == pytest.approx((0.1, 0.1))
    rows["b"] = board_of(replace(two, group_counts=(20,) * 5)).rows[0]
    unknown = difference(tuple(rows.values()), rows["a"], rows["b"], "full")
    assert unknown is not None
    assert (unknown.low, unknown.sign, unknown.within(9)) == (None, 0, False)
    noisy = board_of(make_trained({"full": 0.4}, label="b", noise=-0.3)).rows[0]
    unlike = difference((rows["a"], noisy), rows["a"], noisy, "full")
    assert unlike is not None
    half = stats.t.ppf(0.975, 9) * 0.6 / math.sqrt(9)  # ten values, all 0.6 from their mean
    assert (unlike.low, unlike.high) == pytest.approx((0.1 - half, 0.1 + half))


def test_groups_of_unequal_sizes_have_wider_intervals() -> None:
    """By how much: `tails`, which test_ranks.py compares with simulations."""
    sizes = (1, 1, 1, 1, 1, 1, 1, 1, 1, 91)
    one, two = (make_trained({"full": loss}, label=f"{loss}", noise=loss) for loss in (0.5, 0.4))
    rows = [board_of(replace(record, group_counts=sizes)).rows[0] for record in (one, two)]
    paired = difference(rows, rows[0], rows[1], "full")
    assert paired is not None
    assert paired.low is not None
    sums = [np.array(row.records[0].point("full").group_sums) for row in rows]  # type: ignore[union-attr]
    error = block_mean(sums[0] - sums[1], np.array(sizes)).standard_error
    assert error is not None
    assert paired.mean - paired.low > 1.05 * stats.t.ppf(0.975, 9) * error


@given(st.lists(st.floats(0.1, 0.9), min_size=2, max_size=5, unique=True), st.floats(0, 0.05))
def test_alone_the_same_weights_are_a_paired_t_test(losses: list[float], excess: float) -> None:
    records = [
        make_trained({4: loss + excess * (i + 1), "full": loss}, seed=i)
        for i, loss in enumerate(losses)
    ]
    rows = board_of(*records).rows
    paired = difference(rows, rows[0], rows[0], 4, "full", alone=True)
    assert paired is not None
    assert paired.low is not None
    assert paired.seeds == (len(losses), len(losses))
    each = [excess * (i + 1) for i in range(len(losses))]
    half = stats.t.ppf(0.975, len(each) - 1) * stats.sem(each)
    assert paired.mean == pytest.approx(sum(each) / len(each), abs=1e-12)
    assert paired.low == pytest.approx(paired.mean - half, abs=1e-9)


def test_alone_two_models_are_compared_by_welchs_test() -> None:
    losses = {"a": (0.1, 0.2, 0.4), "b": (0.5, 0.51, 0.52, 0.56)}
    records = [
        make_trained({4: loss, "full": loss}, label=label, seed=seed)
        for label, some in losses.items()
        for seed, loss in enumerate(some)
    ]
    rows = board_of(*records).rows
    paired = difference(rows, rows[0], rows[1], 4, "full", alone=True)
    known = stats.ttest_ind(*losses.values(), equal_var=False).confidence_interval()
    assert paired is not None
    assert paired.trainings
    assert (paired.low, paired.high) == pytest.approx((known.low, known.high))


def rows_with(losses: list[tuple[float, float]]) -> tuple[Board, Row, Row]:
    records = [
        make_trained({"full": loss}, label=label, seed=seed, half=0.001)
        for seed, both in enumerate(losses)
        for label, loss in zip(("a", "b"), both, strict=True)
    ]
    board = board_of(*records)
    rows = {row.label: row for row in board.rows}
    return board, rows["a"], rows["b"]


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([(0.50, 0.40), (0.501, 0.401)], "worse"),
        ([(0.40, 0.50), (0.401, 0.501)], "better"),
        ([(0.405, 0.40), (0.4051, 0.4)], "the same within 1 %"),  # though above zero
        ([(0.50, 0.40), (0.40, 0.50)], "tied"),
        ([(0.50, 0.40)], "worse in one training each"),
        ([(0.401, 0.40)], "the same within 1 % in one training each"),
        ([(0.995, 0.995), (0.995, 0.995)], "neither at least 1 % better than chance"),
        ([(1.0, 1.0), (1.0, 1.0)], "neither significantly better than chance"),
        ([(0.9905, 0.985), (0.9905, 0.985)], "worse"),  # one learned nothing: not "the same"
    ],
)
def test_verdicts(losses: list[tuple[float, float]], says: str) -> None:
    board, one, two = rows_with(losses)
    paired = difference(board.rows, one, two, "full")
    assert paired is not None
    assert says in VERDICTS
    assert verdict(board, paired, (one, "full"), (two, "full")) == says


def test_nothing_is_said_about_missing_scores() -> None:
    board, one, two = rows_with([(0.5, 0.4)])
    assert difference(board.rows, one, two, 4) is None
