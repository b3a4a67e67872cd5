"""Long memory: covariances, the optimum by linear equations, sequences, the best prediction."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import toeplitz

from seqmem.tasks.long_memory import STEP, LongMemory
from seqmem.tasks.model import FullOutputs
from seqmem.tasks.task import Context
from seqmem.testing import check_scores
from seqmem.tests.memory_oracles import LinearOracle


@pytest.mark.parametrize("d", [0.1, 0.3, 0.45])
def test_covariances_are_those_of_the_spectral_density(d: float) -> None:
    """γ(h) = 1/π ∫_0^π (2 sin(λ/2))^(−2d) cos(hλ) dλ (Hosking 1981, section 2)."""
    found = LongMemory(d).autocovariances(20)
    for lag in (0, 1, 2, 7, 20):

        def smooth(x: float, lag: int = lag) -> float:
            return float((2 * np.sinc(x / 2 / np.pi) / 2) ** (-2 * d) * np.cos(lag * x))

        integral, _ = quad(smooth, 0, np.pi, weight="alg", wvar=(-2 * d, 0))
        assert found[lag] == pytest.approx(integral / np.pi, rel=1e-6)


@pytest.mark.parametrize("d", [0.05, 0.25, 0.4, 0.49])
def test_the_optimum_by_linear_equations(d: float) -> None:
    task = LongMemory(d)
    gamma = task.autocovariances(task.length + 1)
    errors = []
    for a in range(1, 41):
        weights = np.linalg.solve(toeplitz(gamma[:a]), gamma[1 : a + 1])
        errors.append(gamma[0] - weights @ gamma[1 : a + 1])
    for k in (1, 2, 3, 8, 40):
        mean = (sum(errors[:k]) + (task.length - k) * errors[k - 1]) / task.length
        assert task.optimum(k) == pytest.approx(mean, rel=1e-10)
    full = task.optimum("full")
    assert 1 < full == task.optimum(task.length) == task.optimum(10**6)
    assert full < task.optimum(task.length - 1)


def test_the_optimum_falls_by_a_power_law() -> None:
    """v(a) → 1, with v(a) − 1 close to d²/a; a sequence's start is left out here."""
    task = LongMemory(0.4)
    task.length = 1 << 20
    ratio = [(task.optimum(k) - 1) * k for k in (100, 200, 400)]
    assert ratio == pytest.approx([0.16] * 3, rel=0.02)


@pytest.mark.parametrize("d", [0.2, 0.45])
def test_the_best_prediction_reaches_the_optimum(d: float) -> None:
    task = LongMemory(d)
    contexts: list[Context] = [1, 2, 16, 128, "full"]
    check_scores(FullOutputs(LinearOracle(task)), task, {k: task.optimum(k) for k in contexts})


def test_sequences_are_as_specified() -> None:
    task = LongMemory(0.3)
    split = task.train(4, 0)
    inputs = split.inputs.reshape(-1, task.length).double().numpy()
    targets = split.targets.reshape(inputs.shape).double().numpy()
    assert (inputs[:, 1:] == targets[:, :-1]).all()
    assert (inputs / STEP == np.rint(inputs / STEP)).all()
    gamma = task.autocovariances(task.length)
    for lag in (0, 1, 5, 50, 511):
        products = (inputs[:, : task.length - lag] * inputs[:, lag:]).mean(1)
        error = products.std(ddof=1) / math.sqrt(len(products))
        assert abs(products.mean() - gamma[lag]) < 4 * error
