"""Context needs: intervals contain the true need on simulated curves; needs of known records."""

import math
from dataclasses import replace

import pytest

from seqmem.leaderboard.record import (
    Context,
)
from seqmem.leaderboard.statistics.aggregate import boards
from seqmem.leaderboard.statistics.context_need import ContextNeed, context_need, first_within
from seqmem.leaderboard.tables.formatting import need, row_need
from seqmem.tests.leaderboard.statistics.test_ranks import benchmark
from seqmem.tests.records import Losses, make_record, make_trained

simulated = benchmark("context_need")


@pytest.mark.parametrize(
    "name",
    ["geometric", "power law", "cliff", "beyond the grid", "at the first k", "at the last k",
     "on the edge", "on the edge, independent", "every k: slow tail"],
)  # fmt: skip
def test_intervals_contain_the_need(name: str) -> None:
    assert simulated.covered(simulated.NEEDS[name], 300) >= 0.93


def test_intervals_sometimes_fail_if_the_tolerance_is_just_met() -> None:
    """An interval that never failed would be too wide."""
    assert simulated.covered(simulated.NEEDS["at the last k"], 300) < 0.99


def test_models_without_gain_are_recognised_and_others_are_not() -> None:
    called = {name: simulated.called_chance(w, 200) for name, w in simulated.CHANCE.items()}
    assert called["no gain"] >= 0.93
    assert called["worse than chance"] == 1
    assert called["a gain of 5 standard errors"] < 0.03


def test_one_lucky_k_does_not_bound_the_need() -> None:
    """k = 2 is within the tolerance by chance, as k = 4 is not: among many k one always is."""
    excesses = [(1, 0.9, 0.8, 1.0), (2, 0.0, -0.01, 0.005), (4, 0.01, 0.0, 0.02), (8, 0, 0, 0)]
    found = first_within(excesses, 0.01)
    assert (found.k, found.low, found.high) == (2, 2, 8)


@pytest.mark.parametrize(
    ("found", "written"),
    [
        (ContextNeed("reached", 8, 8, 8, 64), "8"),
        (ContextNeed("reached", 8, 4, 16, 64), "8 (4–16)"),
        (ContextNeed("reached", 8, 4, None, 64), "8 (≥ 4)"),
        (ContextNeed("beyond", None, None, None, 64), "> 64"),
        (ContextNeed("beyond", None, 32, None, 64), "> 64 (≥ 32)"),
        (ContextNeed("chance", largest=64), "never better than chance"),
        (ContextNeed("unknown"), "–"),
    ],
)
def test_needs_are_printed_with_their_interval(found: ContextNeed, written: str) -> None:
    assert need(found) == written


AT_1: Losses = {1: 0.1, 4: 0.1, "full": 0.1}
AT_4: Losses = {1: 0.5, 4: 0.1, "full": 0.1}
BEYOND: Losses = {1: 0.5, 4: 0.5, "full": 0.1}
NONE: Losses = {1: 1.0, 4: 1.0, "full": 1.0}


@pytest.mark.parametrize(
    ("seeds", "written"),
    [
        ([AT_4], "4"),
        ([AT_4, AT_4, AT_4], "4"),
        ([AT_4, AT_1, AT_4], "1 [1, 4]"),  # equal at full: the second in order is the median
        ([AT_4, BEYOND, AT_4], "> 4 [4, > 4]"),
        ([NONE, AT_4, NONE], "never better than chance [4, chance]"),
        ([AT_4, AT_4, {1: 0.2, 4: 0.2}], "4"),  # one of them is unknown
        ([BEYOND, {1: 0.5, "full": 0.1}], "> 4 [> 1, > 4]"),
        ([{1: 0.2}, BEYOND, {1: 0.2}], "–"),
    ],
)
def test_needs_of_seeds_that_differ_are_printed(seeds: list[Losses], written: str) -> None:
    (board,) = boards(make_trained(losses, seed=seed) for seed, losses in enumerate(seeds))
    (row,) = board.rows
    assert row_need(row) == written
    assert len(row.needs) == len(seeds)


# Known records.


def test_context_need_is_the_smallest_k_close_to_full() -> None:
    losses: dict[Context, float] = {1: 0.9, 2: 0.5, 4: 0.205, 8: 0.2004, "full": 0.2}
    need = context_need(make_record(losses))  # 1 % of 1.0 − 0.0
    assert (need.state, need.k, need.low, need.high) == ("reached", 4, 4, 4)


def test_context_need_interval_comes_from_the_paired_differences() -> None:
    losses: dict[Context, float] = {1: 0.9, 2: 0.212, 4: 0.209, 8: 0.2004, "full": 0.2}
    need = context_need(make_record(losses, excess_half=0.003))
    assert (need.k, need.low, need.high) == (4, 2, 8)


def test_context_need_beyond_what_was_measured() -> None:
    need = context_need(make_record({1: 0.9, 2: 0.5, "full": 0.2}))
    assert (need.state, need.k, need.largest) == ("beyond", None, 2)


def test_context_need_of_a_model_no_better_than_chance() -> None:
    need = context_need(make_record({1: 0.995, 2: 0.995, "full": 0.995}, half=0.01))
    assert need.state == "chance"
    assert context_need(make_record({1: 0.98, "full": 0.98}, half=0.01)).state == "reached"


def test_a_small_precise_gain_is_better_than_chance() -> None:
    """The gain over chance is paired: the variance of the losses does not matter."""
    record = make_record({1: 0.981, "full": 0.98}, half=0.3)
    assert record.gain is not None
    sure = replace(record, gain=replace(record.gain, interval=(0.01, 0.03)))
    assert context_need(record).state == "chance"
    assert context_need(sure).state == "reached"


def test_context_need_without_full_is_not_known() -> None:
    assert context_need(make_record({1: 0.9, 2: 0.5})).state == "unknown"


def test_context_need_of_perplexities_is_relative() -> None:
    for excess, state in ((math.log(1.009), "reached"), (math.log(1.011), "beyond")):
        record = make_record({2: 5 + excess, "full": 5.0}, score="perplexity", chance=7.0)
        assert context_need(record).state == state
