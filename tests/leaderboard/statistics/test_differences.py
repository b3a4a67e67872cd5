"""Paired differences whose results are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.statistics.intervals import block_mean
from seqmem.leaderboard.tables.wording import verdict
from seqmem.tests.records import board_of, make_trained


@given(st.lists(st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)), min_size=2, max_size=6))
def test_differences_over_seeds_are_a_paired_t_test(losses: list[tuple[float, float]]) -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for seed, both in enumerate(losses)
        for label, loss in zip(("a", "b"), both, strict=True)
    ]
    rows = {row.label: row for row in board_of(*records).rows}
    paired = difference(rows["a"], rows["b"], "full")
    assert paired is not None
    assert paired.seeds == len(losses)
    each = [a - b for a, b in losses]
    error = stats.sem(each)
    half = stats.t.ppf(0.975, len(each) - 1) * error
    assert paired.mean == pytest.approx(sum(each) / len(each), abs=1e-12)
    assert paired.low == pytest.approx(paired.mean - half, abs=1e-9)
    assert paired.high == pytest.approx(paired.mean + half, abs=1e-9)


def test_with_one_seed_targets_are_paired() -> None:
    """Variation that two models have in common cancels, however large."""
    one = make_trained({"full": 0.5}, label="a", noise=0.3)
    two = make_trained({"full": 0.4}, label="b", noise=0.3)
    rows = {row.label: row for row in board_of(one, two).rows}
    alike = difference(rows["a"], rows["b"], "full")
    assert alike is not None
    assert (alike.low, alike.high) == pytest.approx((0.1, 0.1))
    rows["b"] = board_of(replace(two, group_counts=(20,) * 5)).rows[0]
    unknown = difference(rows["a"], rows["b"], "full")
    assert unknown is not None
    assert (unknown.low, unknown.sign, unknown.within(9)) == (None, 0, False)
    noisy = board_of(make_trained({"full": 0.4}, label="b", noise=-0.3)).rows[0]
    unlike = difference(rows["a"], noisy, "full")
    assert unlike is not None
    half = stats.t.ppf(0.975, 9) * 0.6 / math.sqrt(9)  # ten values, all 0.6 from their mean
    assert (unlike.low, unlike.high) == pytest.approx((0.1 - half, 0.1 + half))


def test_groups_of_unequal_sizes_have_wider_intervals() -> None:
    """By how much: `tails`, which test_ranks.py compares with simulations."""
    sizes = (1, 1, 1, 1, 1, 1, 1, 1, 1, 91)
    one, two = (make_trained({"full": loss}, label=f"{loss}", noise=loss) for loss in (0.5, 0.4))
    rows = [board_of(replace(record, group_counts=sizes)).rows[0] for record in (one, two)]
    paired = difference(rows[0], rows[1], "full")
    assert paired is not None
    assert paired.low is not None
    sums = [np.array(row.records[0].point("full").group_sums) for row in rows]  # type: ignore[union-attr]
    error = block_mean(sums[0] - sums[1], np.array(sizes)).standard_error
    assert error is not None
    assert paired.mean - paired.low > 1.05 * stats.t.ppf(0.975, 9) * error


def test_only_common_seeds_count() -> None:
    records = [make_trained({"full": 0.5}, label="a", seed=seed) for seed in (0, 1, 2)]
    records += [make_trained({"full": 0.4}, label="b", seed=seed) for seed in (1, 2, 3)]
    rows = {row.label: row for row in board_of(*records).rows}
    paired = difference(rows["a"], rows["b"], "full")
    assert paired is not None
    assert paired.seeds == 2
    assert difference(rows["a"], rows["b"], 4) is None


@pytest.mark.parametrize(
    ("losses", "says"),
    [
        ([(0.50, 0.40), (0.51, 0.41)], "worse"),
        ([(0.40, 0.50), (0.41, 0.51)], "better"),
        ([(0.405, 0.40), (0.4051, 0.4)], "the same within 1 %"),  # though above zero
        ([(0.50, 0.40), (0.40, 0.50)], "tied"),
    ],
)
def test_verdicts(losses: list[tuple[float, float]], says: str) -> None:
    records = [
        make_trained({"full": loss}, label=label, seed=seed)
        for seed, both in enumerate(losses)
        for label, loss in zip(("a", "b"), both, strict=True)
    ]
    board = board_of(*records)
    rows = {row.label: row for row in board.rows}
    paired = difference(rows["a"], rows["b"], "full")
    assert paired is not None
    assert verdict(board, paired) == says
