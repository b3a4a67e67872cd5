"""What a record says of a curve."""

import numpy as np
import pytest
import torch

from seqmem.baselines.marginal import Marginal
from seqmem.baselines.recurrent import LSTM
from seqmem.baselines.training import seeded
from seqmem.summary import summarise
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.curve import Context, Curve, measure, sample_targets
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.intervals import wilson

CONTEXTS: list[Context] = [1, 4, "full"]


@pytest.fixture(scope="module")
def task() -> HiddenMarkov:
    return HiddenMarkov(2)


@pytest.fixture(scope="module")
def model(task: HiddenMarkov) -> LSTM:
    with seeded(3):
        lstm = LSTM(task.inputs, task.outputs, hidden=8)
        for parameter in lstm.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return lstm


@pytest.fixture(scope="module")
def curve(task: HiddenMarkov, model: LSTM) -> Curve:
    return measure(model, task, task.split("test"), CONTEXTS)


def test_without_a_sample_means_are_means(task: HiddenMarkov, model: LSTM, curve: Curve) -> None:
    summary = summarise(curve, task, model, CONTEXTS)
    assert [point.k for point in summary.points] == CONTEXTS
    full = curve.at("full").losses
    for point in summary.points:
        losses = curve.at(point.k).losses
        assert point.n == len(losses)
        assert point.loss.mean == pytest.approx(losses.mean())
        assert point.optimum == task.optimum(point.k)
        assert point.excess is not None
        assert point.excess.mean == pytest.approx((losses - full).mean())
        assert sum(point.group_sums) == pytest.approx(losses.sum())
    assert summary.group_counts["full"] == summary.group_counts["windows"]
    assert summary.gain is not None
    constant = -task.constant().double()[task.split("test").targets].mean()
    assert summary.gain.mean == pytest.approx(float(constant) - full.mean(), abs=1e-6)


def test_a_sample_shifts_the_mean_of_all(task: HiddenMarkov, model: LSTM, curve: Curve) -> None:
    chosen = sample_targets(task.split("test"), 3000).numpy()
    sampled = Curve(
        {k: type(scores)(scores.losses[chosen], None) for k, scores in curve.scores.items()},
        curve.full,
        chosen,
        curve.blocks,
        curve.steps,
    )
    summary = summarise(sampled, task, model, CONTEXTS)
    exact = summarise(curve, task, model, CONTEXTS)
    full = curve.at("full").losses
    for point, of_all in zip(summary.points, exact.points, strict=True):
        if point.k == "full":
            assert point == of_all
            continue
        difference = curve.at(point.k).losses[chosen] - full[chosen]
        assert point.n == 3000
        assert point.loss.mean == pytest.approx(full.mean() + difference.mean())
        assert point.loss.standard_error is not None
        assert abs(point.loss.mean - of_all.loss.mean) < 4 * point.loss.standard_error
        assert point.excess_sums is not None
        assert sum(point.excess_sums) == pytest.approx(difference.sum(), abs=1e-5)
    assert sum(summary.group_counts["windows"]) == 3000
    assert sum(summary.group_counts["full"]) == len(full)
    # The same blocks stand behind both, so that what they have in common can be taken out.
    assert len(summary.group_counts["windows"]) == len(summary.group_counts["full"])


def test_without_full_nothing_is_compared_with_it(
    task: HiddenMarkov, model: LSTM, curve: Curve
) -> None:
    without = Curve(curve.scores, None, curve.chosen, curve.blocks, curve.steps)
    summary = summarise(without, task, model, [1, 4])
    assert summary.gain is None
    assert all(point.excess is None and point.excess_sums is None for point in summary.points)


def test_the_best_constant_gains_nothing(task: HiddenMarkov) -> None:
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    summary = summarise(measure(blind, task, task.split("test"), ["full"]), task, blind, ["full"])
    assert summary.gain is not None
    assert summary.gain.mean == pytest.approx(0, abs=1e-7)


def test_a_perfect_rate_has_an_interval() -> None:
    """All of 2,000 sequences right: as sure as 100 independent groups make it, not surer."""
    task = CopyMemory(3, 3)
    split = task.split("test")
    curve = measure(Marginal(task.inputs, task.outputs), task, split, [1])
    right = type(curve.at(1))(curve.at(1).losses, np.ones(len(split), bool))
    always = Curve({1: right}, None, curve.chosen, curve.blocks, curve.steps)
    (point,) = summarise(always, task, Marginal(task.inputs, task.outputs), [1]).points
    assert point.accuracy is not None
    rate, low, high = point.accuracy
    assert (rate, high) == (1.0, 1.0)
    assert low == pytest.approx(wilson(1.0, 100).low)
