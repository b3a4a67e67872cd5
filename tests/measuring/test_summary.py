"""The numbers of a curve in a record."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from seqmem.baselines.marginal import Marginal
from seqmem.baselines.recurrent import LSTM
from seqmem.baselines.training.loop import seeded
from seqmem.leaderboard.statistics.intervals import wilson
from seqmem.measuring import estimate
from seqmem.measuring.curve import Curve, measure
from seqmem.measuring.summary import summarise
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.task import Context

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


def test_means_are_means(task: HiddenMarkov, model: LSTM, curve: Curve) -> None:
    summary = summarise(curve, task, model, CONTEXTS)
    assert [point.k for point in summary.points] == CONTEXTS
    full = curve.at("full").losses
    for point in summary.points:
        losses = curve.at(point.k).losses
        assert (point.n, point.method, point.half_width) == (len(losses), "all", 0)
        assert point.loss.mean == pytest.approx(losses.mean())
        assert point.optimum == task.optimum(point.k)
        assert point.excess is not None
        assert point.excess.mean == pytest.approx((losses - full).mean())
        assert sum(point.group_sums) == pytest.approx(losses.sum())
    assert sum(summary.group_counts) == len(full)
    assert summary.gain is not None
    constant = -task.constant().double()[task.split("test").targets].mean()
    assert summary.gain.mean == pytest.approx(float(constant) - full.mean(), abs=1e-6)


def test_a_sample_says_the_same_less_precisely(
    task: HiddenMarkov, model: LSTM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "CHEAP", 0)  # a sample, though all windows would be cheap
    contexts: list[Context] = [4, 8, "full"]
    sampled = measure(model, task, task.split("test"), contexts, precision=0.05)
    exact = measure(model, task, task.split("test"), contexts)
    of_sample, of_all = (summarise(c, task, model, contexts) for c in (sampled, exact))
    for point, right in zip(of_sample.points[:2], of_all.points[:2], strict=True):
        assert point.method == "sample"
        assert point.n < right.n
        assert 0 < point.half_width <= 0.05
        assert abs(point.loss.mean - right.loss.mean) < 2 * point.half_width
        assert point.excess is not None
        assert right.excess is not None
        # The interval over groups includes the sampling error.
        assert point.excess.standard_error is not None
        assert right.excess.standard_error is not None
        assert point.excess.standard_error > right.excess.standard_error
        assert point.excess.interval is not None
        # And the interval, what the sample may have missed.
        unseen = sampled.at(point.k).unseen
        assert 0 < unseen < point.half_width
        half = stats.t.ppf(0.975, len(of_all.group_counts) - 1) * point.excess.standard_error
        assert point.excess.interval[1] - point.excess.mean == pytest.approx(
            np.hypot(half, unseen), rel=1e-3
        )
        assert sum(point.group_sums) / sum(of_sample.group_counts) == pytest.approx(point.loss.mean)
    assert of_sample.points[2] == of_all.points[2]


def test_without_full_nothing_is_compared_with_it(
    task: HiddenMarkov, model: LSTM, curve: Curve
) -> None:
    summary = summarise(curve, task, model, [1, 4])
    assert [point.k for point in summary.points] == [1, 4]
    assert summary.gain is None
    assert all(point.excess is None for point in summary.points)


def test_the_best_constant_gains_nothing(task: HiddenMarkov) -> None:
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    summary = summarise(measure(blind, task, task.split("test"), ["full"]), task, blind, ["full"])
    assert summary.gain is not None
    assert summary.gain.mean == pytest.approx(0, abs=1e-7)


def test_a_perfect_rate_has_an_interval() -> None:
    """With all 2,000 sequences right, the interval is that of 100 independent groups."""
    task = CopyMemory(3, 3)
    split = task.split("test")
    curve = measure(Marginal(task.inputs, task.outputs), task, split, [1])
    right = replace(curve.at(1), correct=np.ones(len(split)))
    always = replace(curve, finite=(1,), estimate={1: right}.__getitem__, full=None)
    (point,) = summarise(always, task, Marginal(task.inputs, task.outputs), [1]).points
    assert point.accuracy is not None
    rate, low, high = point.accuracy
    assert (rate, high) == (1.0, 1.0)
    assert low == pytest.approx(wilson(1.0, 100)[0])


def test_a_large_vocabulary_does_not_meet_every_target(
    task: HiddenMarkov, curve: Curve, model: LSTM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of outputs for each target would be 18 GB on the test split of WikiText-103."""
    usual, rows = CrossEntropy.__call__, []

    def loss(self: CrossEntropy, outputs: Tensor, *others: Tensor) -> Tensor:
        rows.append(len(outputs))
        return usual(self, outputs, *others)

    monkeypatch.setattr(CrossEntropy, "__call__", loss)
    summarise(curve, task, model, CONTEXTS)
    assert rows == [1]
