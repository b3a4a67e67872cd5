import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqmem.leaderboard.statistics.intervals import block_mean, group_blocks, wilson


def test_blocks_of_one_give_the_textbook_interval() -> None:
    losses = np.array([1.0, 4.0, 2.0, 7.0, 6.0])
    mean = block_mean(losses, np.ones(5, int))
    error = losses.std(ddof=1) / math.sqrt(5)
    assert mean.mean == pytest.approx(4.0)
    assert mean.standard_error == pytest.approx(error)
    assert mean.interval is not None
    assert mean.interval[1] - mean.mean == pytest.approx(2.7764451 * error)  # t, 4 d.f.


def test_dependent_targets_do_not_count_as_many() -> None:
    """Repeating each block's targets ten times adds no information."""
    losses = np.array([1.0, 4.0, 2.0, 7.0, 6.0])
    once = block_mean(losses, np.ones(5, int))
    often = block_mean(losses * 10, np.full(5, 10))
    assert often.mean == pytest.approx(once.mean)
    assert often.standard_error == pytest.approx(once.standard_error)


def test_one_block_has_no_interval() -> None:
    mean = block_mean(np.array([6.0]), np.array([3]))
    assert (mean.mean, mean.standard_error, mean.interval) == (2.0, None, None)


def test_intervals_cover() -> None:
    """About 95 % of 95 % intervals over uneven, dependent blocks contain the true mean."""
    rng = np.random.default_rng(0)
    repeats, blocks, hits = 2000, 60, 0
    counts = rng.integers(5, 50, blocks)
    for _ in range(repeats):
        own = rng.normal(3.0, 0.5, blocks)  # each article has its own difficulty
        sums = own * counts + rng.normal(0.0, 1.0, blocks) * np.sqrt(counts)
        interval = block_mean(sums, counts).interval
        assert interval is not None
        hits += interval[0] <= 3.0 <= interval[1]
    assert 0.93 <= hits / repeats <= 0.97


def test_intervals_cover_where_few_blocks_have_most_targets() -> None:
    """Student's t with 11 degrees of freedom contains the mean in 90 % here."""
    rng = np.random.default_rng(0)
    repeats, hits, student = 4000, 0, 0
    counts = np.array([400, 300, 200, *[20] * 9])
    for _ in range(repeats):
        mean = block_mean(rng.normal(3.0, 0.5, 12) * counts, counts)
        assert mean.interval is not None
        assert mean.standard_error is not None
        hits += mean.interval[0] <= 3.0 <= mean.interval[1]
        student += abs(mean.mean - 3.0) <= stats.t.ppf(0.975, 11) * mean.standard_error
    assert 0.94 <= hits / repeats <= 0.96
    assert student / repeats < 0.92


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 12))
def test_groups_contain_whole_blocks(blocks: list[int], most: int) -> None:
    ordered = np.array(sorted(blocks))
    groups = group_blocks(ordered, most)
    assert groups[0] == 0
    assert set(np.diff(groups).tolist()) <= {0, 1}  # ascending, none left out
    assert groups[-1] + 1 == min(most, len(set(blocks)))
    for block in set(blocks):
        assert len(set(groups[ordered == block].tolist())) == 1


def test_wilson_is_the_published_interval() -> None:
    # Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81/263, 15/148, 0/20, 1/29.
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(successes / trials, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_wilson_has_width_and_contains_the_rate(rate: float, trials: int) -> None:
    lowest, highest = wilson(rate, trials)
    assert lowest < highest
    assert 0 <= lowest <= rate + 1e-12
    assert rate - 1e-12 <= highest <= 1
