"""Correlations of tokens: exact ones of a Markov process, none in noise, a dense computation."""

import numpy as np
import pytest

from seqmem.tasks import correlations as module
from seqmem.tasks.correlations import BLOCKS, correlations
from seqmem.tasks.hidden_markov import HiddenMarkov


def test_those_of_a_hidden_markov_process_are_known() -> None:
    task = HiddenMarkov(20)
    split = task.train(0, 0)
    found = correlations(split.inputs.numpy()[: 1 << 17], split.starts.numpy(), largest=64)
    emission, step = task.emission, task.transition
    start = np.full(len(emission), 1 / len(emission))
    marginal = start @ emission
    for d, square, half in zip(found.distances, found.squares, found.half_widths, strict=True):
        joint = emission.T @ (np.diag(start) @ np.linalg.matrix_power(step, d)) @ emission
        true = np.square(joint - np.outer(marginal, marginal)).sum()
        assert abs(square - true) < 1.6 * half
    assert found.distances[0] == 1
    assert found.last in (8, 16, 32)
    assert found.bends  # an exponential is no power law


def test_noise_has_none() -> None:
    """Nor where tokens come in bursts, whose products with others would be large."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 50, 40_000)
    found = correlations(ids)
    assert (np.abs(found.squares) < 2 * found.half_widths).all()
    assert found.exponent is None or found.last is None or found.last <= 2
    bursts = np.repeat(ids[:10_000], 4)
    found = correlations(bursts)
    far = [i for i, d in enumerate(found.distances) if d >= 4]
    assert (np.abs(found.squares[far]) < 2 * found.half_widths[far]).all()
    assert found.squares[0] > found.half_widths[0]


def test_a_power_law_is_found() -> None:
    """A token is repeated from a distance drawn with a power law: C(d) is roughly one, too."""
    rng = np.random.default_rng(1)
    size, symbols = 100_000, 6
    ids = rng.integers(0, symbols, size)
    back = np.minimum((rng.random(size) ** -1.0).astype(np.int64), 4000)
    copied = rng.random(size) < 0.6
    for t in range(size):
        if copied[t] and back[t] <= t:
            ids[t] = ids[t - back[t]]
    found = correlations(ids, largest=64)
    assert found.exponent is not None
    beta, half = found.exponent
    assert 0.5 < beta < 2
    assert half < 0.5 * beta
    assert found.last is not None
    assert found.last >= 8


def test_sparse_products_equal_dense_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCKS", 3)
    rng = np.random.default_rng(2)
    ids, size, distance, symbols = rng.integers(0, 4, 240), 40, 3, 4
    sequence = np.arange(240) // 100
    parts = []
    runs = []
    for run in range(6):
        joint = np.zeros((symbols, symbols))
        for t in range(run * size, (run + 1) * size - distance):
            if sequence[t] == sequence[t + distance]:
                joint[ids[t], ids[t + distance]] += 1
        runs.append(joint / joint.sum())
    for i in range(3):
        one, two = runs[i], runs[i + 3]
        outer = np.outer(one.sum(1), two.sum(0)) + np.outer(two.sum(1), one.sum(0))
        parts.append((one + two - outer) / 2)
    found = module._products(ids, sequence, size, distance)
    expected = [[(a * b).sum() for a in parts] for b in parts]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_jackknife_leaves_out_blocks() -> None:
    products = np.random.default_rng(3).random((5, 5))
    products += products.T
    for block, without in enumerate(module._without(products)):
        kept = np.delete(np.delete(products, block, 0), block, 1)
        assert without == pytest.approx(module._mean(kept))


def test_short_texts_have_no_exponent() -> None:
    found = correlations(np.arange(1000) % 7)
    assert found.tokens == 1000
    assert found.distances[-1] * 8 <= 1000 // (2 * BLOCKS) or found.distances == (1,)
    assert found.exponent is None
