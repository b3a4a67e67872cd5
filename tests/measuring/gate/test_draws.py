"""Draws of scores find a gain as often as the formula says, and take no more steps than allowed."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.measuring.curve import measure
from seqmem.measuring.gate.draws import Level, draw_counts, levels_of
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tests.measuring.small_models import make

N = 4000


def level(gains: np.ndarray, length: int = 8, share: float = 1.0) -> Level:
    zeros = np.zeros(len(gains))
    return Level(length, np.arange(len(gains)), zeros, np.full(len(gains), length), gains, share)


def test_a_gain_of_the_stated_size_is_found_in_99_percent() -> None:
    """Half of the targets gained lawfully, four others what 40 draws just find in 99 %."""
    rng = np.random.default_rng(0)
    gains = np.where(np.arange(N) % 2, rng.exponential(0.2, N), 0.0)
    draws = 40
    share = 1 - 0.01 ** (1 / draws)
    stolen = np.array([0, 2, 4, 6])
    gains[stolen] = gains.sum() * share / (1 - share) / len(stolen)
    made = level(gains)
    assert gains[stolen].sum() / N == pytest.approx(made.found(draws))
    # By the formula alone, without the largest gains, which are always drawn.
    drawn = (rng.choice(N, draws, p=gains / gains.sum()) for _ in range(4000))
    missed = sum(not np.isin(stolen, each).any() for each in drawn)
    assert missed == pytest.approx(0.01 * 4000, abs=4 * math.sqrt(40))
    assert all(np.isin(stolen, made.draw(draws, rng).suspected).all() for _ in range(50))


def test_gains_are_over_the_loss_at_the_next_shorter_context() -> None:
    task = HiddenMarkov(5)
    split = task.split("test").prefix(3000)
    curve = measure(make("lstm", task), task, split, [1, 2, 4, "full"])
    constant = np.full(len(split), 3.0)
    levels = {level.k: level for level in levels_of(curve.scored, constant)}
    assert list(levels) == [1, 2, 4, "full"]
    # No window is longer than the sequence so far: those targets have the loss at full.
    available = split.available.numpy()
    losses = {k: curve.at(k).losses for k in (1, 2, 4, "full")}
    four = levels[4]
    assert sorted(four.targets) == np.flatnonzero(available > 4).tolist()
    assert four.share == pytest.approx((available > 4).mean())
    gains = np.maximum(losses[2] - losses[4], 0)[four.targets]
    assert four.gains == pytest.approx(gains)
    full = levels["full"]
    assert full.lengths == pytest.approx(available)
    before = np.where(available > 4, losses[4], 0)
    chosen = available > 4
    assert full.gains[chosen] == pytest.approx(np.maximum(before - losses["full"], 0)[chosen])
    assert levels[1].gains == pytest.approx(np.maximum(3.0 - losses[1], 0)[levels[1].targets])


@given(
    means=st.lists(st.floats(0, 2), min_size=1, max_size=6),
    steps=st.floats(10, 1e7),
    precision=st.floats(1e-5, 0.1),
)
def test_draws_take_no_more_steps_than_allowed(
    means: list[float], steps: float, precision: float
) -> None:
    rng = np.random.default_rng(1)
    levels = [
        level(mean * rng.random(200) * 2, length)
        for mean, length in zip(means, (1, 2, 4, 8, 16, 32), strict=False)
    ]
    counts = draw_counts(levels, precision, steps)
    spent = sum(each.steps(count) for each, count in zip(levels, counts, strict=True))
    # One draw of each kind is always made; the smallest numbers may double what is allowed.
    assert spent <= 2 * steps + sum(each.steps(1) for each in levels)
    if steps > 1e6:
        for each, count in zip(levels, counts, strict=True):
            assert each.found(count) <= precision or count == 512


def test_draws_that_take_no_steps_are_all_made() -> None:
    dear = level(np.full(200, 0.5), 1000)
    free = replace(dear, k="full", read_on=True)
    few, all_wanted = draw_counts([dear, free], 0.05, 10_000)
    assert few < all_wanted
    assert free.found(all_wanted) <= 0.05


def test_nothing_gained_needs_no_draws_by_gain() -> None:
    made = level(np.zeros(50))
    draws = made.draw(8, np.random.default_rng(0))
    assert len(draws.uniform) == 8
    assert len(draws.suspected) == 0
    assert made.found(8) == 0.0
    assert replace(made, share=0.5).gained == 0.0
