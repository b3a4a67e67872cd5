"""A curve against the optimum and against the board."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqmem.leaderboard.record import Point
from seqmem.measuring.curve import measure
from seqmem.measuring.gate.curve_checks import check_lead, check_optimum
from seqmem.measuring.summary import summarise
from seqmem.tasks import load_task
from seqmem.tasks.model import as_sequence_model
from seqmem.tasks.task import Context, Task
from seqmem.tests.oracles import AddingOracle, MarkovOracle
from seqmem.tests.records import make_point


def curve_of(model: torch.nn.Module, task: Task) -> tuple[Point, ...]:
    split = task.split("test")
    contexts: tuple[Context, ...] = (*task.contexts, "full")
    found = as_sequence_model(model.eval())
    curve = measure(found, task, split, contexts, precision=0.01, seed=0)
    return summarise(curve, task, found, contexts).points


@pytest.mark.parametrize("dwell", [2, 5])
def test_the_best_predictor_is_not_refused(dwell: int) -> None:
    task = load_task(f"hidden-markov/dwell={dwell}")
    check = check_optimum(curve_of(MarkovOracle(task), task), task.loss.unit)  # type: ignore[arg-type]
    assert check is not None
    assert check.passed, check.example
    assert check.compared == len(task.contexts) + 1


def test_the_best_predictor_of_sums_is_not_refused() -> None:
    task = load_task("adding-problem/T=20")
    check = check_optimum(curve_of(AddingOracle(), task), task.loss.unit)
    assert check is not None
    assert check.passed, check.example


def test_a_leak_is_refused() -> None:
    """A loss that no predictor reaches at k = 8."""
    points = [make_point(k, 3.0, 0.01, optimum=2.9) for k in (1, 2, 4)]
    points.append(make_point(8, 2.5, 0.01, optimum=2.8))
    check = check_optimum(points, "nats")
    assert check is not None
    assert not check.passed
    assert check.deviation == pytest.approx(0.3)
    assert check.compared == 4
    assert check.example is not None
    assert check.example.startswith("at k = 8 the loss is 2.5000 nats, 0.3000 below the optimum")


@given(loss=st.floats(0, 10), half=st.floats(0, 1), optimum=st.floats(0, 10))
def test_only_what_sampling_error_does_not_explain_is_refused(
    loss: float, half: float, optimum: float
) -> None:
    check = check_optimum([make_point("full", loss, half, optimum=optimum)], "nats")
    assert check is not None
    if loss >= optimum - half:
        assert check.passed
    if loss < optimum - 2.1 * half - 1e-4:
        assert not check.passed


def test_a_loss_that_is_not_a_number_is_refused() -> None:
    points = [make_point(1, 3.0, 0.1, optimum=2.9), make_point(2, math.nan, 0.1, optimum=2.9)]
    for order in (points, points[::-1]):
        check = check_optimum(order, "nats")
        assert check is not None
        assert not check.passed
        assert check.deviation is None


def test_the_wider_interval_counts() -> None:
    """Sampling error of this split, or the interval over data of the same kind."""
    narrow = {"half": 0.001, "optimum": 3.1}
    refused = check_optimum([make_point(1, 3.0, **narrow)], "nats")
    sampled = check_optimum([make_point(1, 3.0, half_width=0.2, **narrow)], "nats")
    assert refused is not None
    assert sampled is not None
    assert (refused.passed, sampled.passed) == (False, True)


@pytest.mark.parametrize(
    ("loss", "half"), [(math.nan, math.nan), (-math.inf, math.inf), (-math.inf, math.nan)]
)
def test_one_loss_that_is_not_finite_is_refused(loss: float, half: float) -> None:
    points = [make_point(1, 3.0, 0.1, optimum=2.9), make_point(2, loss, half, optimum=2.8)]
    for curve in (points, points[::-1]):
        check = check_optimum(curve, "nats")
        assert check is not None
        assert not check.passed
        assert check.example == f"at k = 2 the loss is {loss}"


def test_without_an_optimum_there_is_no_check() -> None:
    assert check_optimum([make_point(1, 3.0, 0.1)], "nats") is None


@pytest.mark.parametrize(
    ("loss", "half", "flagged"), [(4.0, 0.01, False), (3.7, 0.01, False), (3.5, 0.01, True),
                                  (3.5, 0.4, False)],
)  # fmt: skip
def test_a_large_lead_is_flagged_and_not_refused(loss: float, half: float, flagged: bool) -> None:
    """The best on the board is 4 − with chance at 7, a tenth of the way is 0.3."""
    point = make_point("full", loss, half)
    check = check_lead(point, best=4.0, chance=7.0, unit="nats")
    assert check is not None
    assert check.passed
    assert (check.example is not None) == flagged


def test_without_a_best_there_is_no_lead() -> None:
    assert check_lead(make_point("full", 3.0), None, chance=7.0, unit="nats") is None
