"""Numbers, differences and lists as text."""

import math

import pytest
from scipy import stats

from seqmem.docs import limitations, sentences
from seqmem.leaderboard.statistics.differences import difference
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.wording import difference_text, listed
from seqmem.tests.records import board_of, make_record, make_trained


def test_perplexities_differ_by_shares() -> None:
    facts = make_record({"full": 1.0}, score="perplexity").task
    records = [
        make_trained({"full": loss}, label=label, seed=seed, score="perplexity")
        for label, losses in (("a", (0.10, 0.12)), ("b", (0.0, 0.0)))
        for seed, loss in enumerate(losses)
    ]
    rows = {row.label: row for row in board_of(*records).rows}
    paired = difference(rows["a"], rows["b"], "full")
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


def test_lists() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert sentences.contexts([1, 2, "full"]) == "k = 1, 2 and full"
    assert sentences.contexts(["full"]) == "the full context"
    places = [("x", "a"), ("x", "b"), ("y", "c"), ("z", "a"), ("z", "b")]
    assert limitations.grouped(places) == "a and b on x and z; c on y"
