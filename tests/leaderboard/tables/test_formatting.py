"""Numbers, differences and lists as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.leaderboard.statistics.differences import Difference, difference
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.wording import contexts, difference_text, listed
from seqmem.tests.records import board_of, make_record, make_trained


def test_perplexities_differ_by_shares() -> None:
    facts = make_record({"full": 1.0}, score="perplexity").task
    records = [
        make_trained({"full": loss}, label=label, seed=seed, score="perplexity")
        for label, losses in (("a", (0.10, 0.12)), ("b", (0.0, 0.0)))
        for seed, loss in enumerate(losses)
    ]
    rows = {row.label: row for row in board_of(*records).rows}
    paired = difference(tuple(rows.values()), rows["a"], rows["b"], "full", alone=True)
    assert paired is not None
    half = stats.t.ppf(0.975, 1) * 0.01
    assert difference_text(paired, facts) == (
        f"+{100 * math.expm1(0.11):.0f} % (−{-100 * math.expm1(0.11 - half):.0f} to "
        f"+{100 * math.expm1(0.11 + half):.0f})"
    )


@pytest.mark.parametrize(
    ("values", "half", "written"),
    [
        ([144.62, 2.63], 2.63, ["144.6", "2.6"]),
        ([204.7, 17.6], 17.6, ["205", "18"]),
        ([0.00123, 0.00004], 0.00004, ["0.001230", "0.000040"]),
        ([1.5], None, ["1.500"]),
        ([0.0], None, ["0.000"]),
        ([-0.001, 2.0], 1.0, ["0.0", "2.0"]),
        ([-2.0], 0.5, ["−2.00"]),
        ([0.123456789], 1e-12, ["0.12346"]),
    ],
)
def test_numbers_are_rounded_by_their_interval(
    values: list[float], half: float | None, written: list[str]
) -> None:
    assert rounded(values, half) == written


@given(st.floats(-1e-3, 1e-3), st.floats(1e-7, 1e-2))
def test_a_significant_difference_has_no_end_that_looks_like_zero(low: float, width: float) -> None:
    facts = make_record({"full": 1.0}).task
    paired = Difference(low + width / 2, low, low + width, 0.0, (3, 3), True)
    ends = difference_text(paired, facts).replace("−", "-").strip("()").split(" (")[1].split(" to ")
    if low * (low + width) > 0:
        assert all(float(end) for end in ends)
        assert float(ends[0]) * float(ends[1]) > 0


def test_digits_are_added_where_an_end_is_close_to_zero() -> None:
    facts = make_record({"full": 1.0}).task
    text = difference_text(Difference(-0.0011, -0.0022, -0.00002, -0.001, (3, 3), True), facts)
    assert text == "−0.00110 (−0.00220 to −0.00002)"
    tied = Difference(-0.0011, -0.0022, 0.00002, -0.001, (3, 3), True)
    assert difference_text(tied, facts) == "−0.0011 (−0.0022 to 0.0000)"


def test_lists() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert contexts([1, 2, "full"]) == "k = 1, 2 and full"
    assert contexts(["full"]) == "the full context"
