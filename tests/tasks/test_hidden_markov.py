"""Hidden Markov topics: sequences, the optimum by brute force, and a model that looks ahead."""

import itertools
import math

import numpy as np
import pytest
import torch

from seqmem.errors import CellError
from seqmem.measuring.curve import measure
from seqmem.measuring.reference import full_scores
from seqmem.measuring.window_scores import Scorer
from seqmem.tasks.hidden_markov import HiddenMarkov
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.task import Context
from seqmem.tests.oracles import MarkovOracle, Peeking


def brute_force(task: HiddenMarkov, window: list[int], target: int) -> float:
    """p(target | window), by summing over every path of topics."""
    joint = np.zeros(2)
    for path in itertools.product(range(8), repeat=len(window) + 1):
        p = 1 / 8
        for a, b in itertools.pairwise(path):
            p *= task.transition[a, b]
        for topic, symbol in zip(path, window, strict=False):
            p *= task.emission[topic, symbol]
        joint += p * np.array([task.emission[path[-1], target], 1.0])
    return float(joint[0] / joint[1])


def test_markov_optimum_is_the_sum_over_all_paths() -> None:
    task = HiddenMarkov(3)
    split = task.split("valid")
    for k in (1, 2, 3):
        losses = task.optimal_losses(split, k)
        for target in (0, 1, 2, 500):  # the first ones have fewer than k inputs
            position = int(split.positions[target])
            begin = max(position - k + 1, int(split.starts[position // task.length]))
            window = split.inputs[begin : position + 1].tolist()
            p = brute_force(task, window, int(split.targets[target]))
            assert losses[target] == pytest.approx(-math.log(p), rel=1e-9)


def test_markov_full_is_the_longest_window() -> None:
    task = HiddenMarkov(2)
    split = task.split("valid")
    longest = task.optimal_losses(split, task.length)
    assert task.optimal_losses(split, "full") == pytest.approx(longest, rel=1e-9)


def test_markov_oracle_reaches_the_optimum() -> None:
    task = HiddenMarkov(4)
    contexts: list[Context] = [1, 3, 8, "full"]
    curve = measure(FullOutputs(MarkovOracle(task)), task, task.split("test"), contexts)
    for k in contexts:
        assert curve.at(k).losses.mean() == pytest.approx(task.optimum(k), abs=1e-5)


def test_markov_sequences_are_as_specified() -> None:
    task = HiddenMarkov(20)
    assert task.emission.sum(1) == pytest.approx(np.ones(8))
    assert task.transition.sum(1) == pytest.approx(np.ones(8))
    assert 1 / (1 - task.transition[0, 0]) == pytest.approx(20)
    assert task.emission[2, 8] / task.emission[2, 9] == pytest.approx(math.sqrt(2))
    split = task.train(0, 0)
    counts = torch.bincount(split.inputs, minlength=32).numpy() / len(split.inputs)
    assert counts == pytest.approx(task.emission.mean(0), abs=0.004)
    # Pairs at a distance follow the chain: E[e(x_t) T^lag e(x_{t+lag})].
    symbols = split.inputs.reshape(-1, task.length)
    for lag in (1, 20):
        joint = task.emission.T @ np.linalg.matrix_power(task.transition, lag) / 8 @ task.emission
        first, second = symbols[:, :-lag].reshape(-1), symbols[:, lag:].reshape(-1)
        found = torch.bincount(first.long() * 32 + second, minlength=1024).numpy() / len(first)
        assert found == pytest.approx(
            joint.reshape(-1), abs=4 * math.sqrt(joint.max() / len(first))
        )
        # Not only close cell by cell: dependent, where independence would show none.
        independent = np.outer(task.emission.mean(0), task.emission.mean(0)).reshape(-1)
        assert np.dot(found - independent, joint.reshape(-1) - independent) > 0
    inputs, targets = split.inputs[1 : task.length], split.targets[: task.length - 1]
    assert torch.equal(inputs.long(), targets)


def test_looking_ahead_gains_nothing_from_a_window() -> None:
    task = HiddenMarkov(4)
    split = task.split("valid")
    model = FullOutputs(Peeking(32))
    scorer = Scorer(model, task, split, "cpu", lambda k, steps: None)
    able = np.flatnonzero(split.available.numpy() >= 4)
    assert scorer.windows(able, 4).scores().losses.mean() > task.chance()
    # Reading the whole sequence does not hide the targets; the check finds the looking ahead.
    assert full_scores(model, task, split).losses.mean() < task.chance()
    with pytest.raises(CellError, match="looks ahead"):
        measure(model, task, split, [1, 4, "full"])
