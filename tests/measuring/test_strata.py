"""Curves split by strata: unbiased, covered by their intervals, adding up to the whole."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqmem.leaderboard.record import from_json, to_json
from seqmem.measuring import estimate as estimating
from seqmem.measuring.curve import measure
from seqmem.measuring.estimate import Estimate
from seqmem.measuring.part_errors import PartErrors
from seqmem.measuring.precision import parse_precision
from seqmem.measuring.record import make_record, measure_model
from seqmem.measuring.sampling import Tail, regress
from seqmem.measuring.settings import MeasurementSettings
from seqmem.measuring.strata import StrataCurves
from seqmem.tasks.copy_memory import CopyMemory
from seqmem.tasks.strata import Strata
from seqmem.tests.measuring.small_models import make
from seqmem.tests.measuring.test_estimate import make as make_random
from seqmem.tests.measuring.test_estimate import stream

Floats = npt.NDArray[np.float64]


def strata_of(*of: npt.NDArray[np.int64]) -> list[Strata]:
    return [
        Strata(f"kind {i}", "something", tuple(map(str, range(int(each.max()) + 1))), each)
        for i, each in enumerate(of)
    ]


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_strata_that_go_with_what_is_lost_are_unbiased_and_covered(share: float) -> None:
    """The stratum of the targets that lose most, which no random group resembles."""
    rng = np.random.default_rng(0)
    size, sample, repeats = 4000, 300, 400
    known = rng.exponential(2.0, size)
    shorter = known + rng.exponential(0.3, size) * (rng.random(size) < 0.3)
    exact = known + 0.6 * (shorter - known) + 0.05 * rng.normal(size)
    lost = exact - known
    part = lost > np.quantile(lost, 1 - share)
    deviations, covered, closer = [], 0, 0
    for _ in range(repeats):
        targets, others = rng.permutation(size)[:sample], rng.permutation(size)[:sample]
        fit = regress(exact[targets], targets, [known])
        values = known.copy()
        fit.fill(values, np.arange(size), [known])
        errors = PartErrors(
            targets, fit.residuals, size, others, (shorter - known)[others]
        )  # fmt: skip
        half, missed = errors.of(part)
        deviation = float(values[part].mean() - exact[part].mean())
        deviations.append(deviation)
        covered += abs(deviation) <= math.hypot(half, missed)
        closer += abs(deviation) <= half
    error = float(np.std(deviations)) / math.sqrt(repeats)
    assert abs(np.mean(deviations)) < 4 * error
    assert covered / repeats >= 0.95
    assert closer / repeats > (0.9 if share > 0.1 else 0.8)  # of few targets, a sample misses some


def test_the_part_of_all_targets_has_the_errors_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    targets = rng.permutation(1000)[:300]
    known = rng.random(1000)
    fit = regress(known[targets] + rng.normal(size=300), targets, [known])
    tail = rng.normal(size=300)
    errors = PartErrors(targets, fit.residuals, 1000, targets, tail)
    half, missed = errors.of(np.ones(1000, np.bool_))
    assert half == pytest.approx(fit.half_width(1000), rel=0.01)  # one more degree of freedom
    assert missed == pytest.approx(Tail(tail).unseen(300, 1000))


def test_strata_of_a_sampled_curve_cover_the_exact_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "CHEAP", 0)
    task, split = stream()
    model = make_random("lstm", task)
    ks = [1, 2, 4, 8, 16]
    exact = measure(model, task, split, [*ks, "full"])
    assert exact.full is not None
    lost = exact.at(2).losses - exact.full.losses
    strata = strata_of(np.digitize(lost, np.quantile(lost, [0.7, 0.97])), split.targets.numpy())
    groups = split.blocks.numpy()
    precision = float(np.std(exact.at(1).losses)) / 12
    within = []
    for seed in range(3):
        curve = measure(model, task, split, [*ks, "full"], precision=precision, seed=seed)
        assert curve.full is not None
        split_curves = StrataCurves(strata, groups)
        for k in ks:
            split_curves.add(k, curve.at(k), curve.full.losses)
        sampled = [k for k in ks if curve.at(k).parts is not None]
        assert sampled
        for each, found in zip(strata, split_curves.found(), strict=True):
            for point in found.curve:
                assert point.excess is not None
                assert point.excess_half is not None
                for i, half in enumerate(point.excess_half):
                    true = (exact.at(point.k).losses - exact.full.losses)[each.of == i].mean()
                    assert half is not None
                    within.append(abs(point.excess[i] - true) <= half + 1e-6)
    assert np.mean(within) >= 0.95


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 6))
def test_means_add_up_to_the_whole(seed: int, size: int, kinds: int) -> None:
    rng = np.random.default_rng(seed)
    of = np.unique(rng.integers(0, kinds, size), return_inverse=True)[1]
    groups = np.sort(np.unique(rng.integers(0, 5, size), return_inverse=True)[1])
    losses, full = rng.exponential(3.0, size), rng.exponential(2.0, size)
    curves = StrataCurves(strata_of(of), groups)
    curves.add(3, Estimate("all", size, 0.0, losses, None, 0), full)
    curves.add("full", Estimate("all", size, 0.0, full, None, 0), full)
    (found,) = curves.found()
    counts = np.array(found.counts)
    assert counts.tolist() == np.bincount(of).tolist()
    for point, values in zip(found.curve, (losses, full), strict=True):
        assert point.excess is not None
        assert (counts @ point.loss) / size == pytest.approx(values.mean(), rel=1e-7)
        assert (counts @ point.excess) / size == pytest.approx((values - full).mean(), abs=1e-7)
        for i, mean in enumerate(point.loss):
            assert mean == pytest.approx(values[of == i].mean(), rel=1e-7)


def test_a_record_has_the_strata_of_its_task() -> None:
    task = CopyMemory(2, 6)
    model = make("lstm", task)
    settings = MeasurementSettings((1, 4, "full"), precision=parse_precision("20%"))
    measured = measure_model(model, "lstm", task, settings)
    facts = {"name": "lstm", "label": "lstm", "options": {}}
    training = {"k_train": "full", "budget": "small", "seed": 0}
    lines: list[str] = []
    record = make_record(model, measured, facts, training, task, settings, lines.append)
    (slots,) = record.strata
    assert (slots.by, slots.counts) == ("slot", (2000,) * 10)
    assert [point.k for point in slots.curve] == [1, 4, "full"]
    full = measured.curve.at("full").losses.reshape(-1, 10).mean(0)
    assert slots.curve[-1].loss == pytest.approx(full, rel=1e-7)
    assert from_json(to_json(record)) == record  # its means are checked against the curve's
