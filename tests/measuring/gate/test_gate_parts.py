"""The parts of the gate: the plan, perturbed inputs, checks of a curve, and the report."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqmem.measuring.curve import measure
from seqmem.measuring.gate.agreement import tolerance_for
from seqmem.measuring.gate.curve_checks import CurvePoint, check_lead, check_optimum, points_of
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.perturbed_inputs import Perturber, cut_points
from seqmem.measuring.gate.plan import plan_lengths
from seqmem.measuring.gate.report import CHECKS, Check, Report, report_text
from seqmem.measuring.sampling import PILOT
from seqmem.measuring.summary import summarise
from seqmem.tasks import load_task
from seqmem.tasks.model import as_sequence_model
from seqmem.tasks.task import Context, Split, Task
from seqmem.tests import zoo
from seqmem.tests.oracles import AddingOracle, MarkovOracle

TASKS = {
    "markov": load_task("hidden-markov/dwell=5"),
    "copy": load_task("copy-memory/T=5"),
    "adding": load_task("adding-problem/T=20"),
    "chords": zoo.Chords(),
}


def scoring_steps(split: Split, contexts: tuple[Context, ...]) -> float:
    """The least that scoring takes: a reference pass, and a pilot at each k."""
    available = split.available
    pilots = sum(min(PILOT, int((available > k).sum())) * k for k in contexts if k != "full")
    return len(split.inputs) + pilots


@pytest.mark.parametrize("task_id", ["hidden-markov/dwell=20", "copy-memory/T=30", "chords"])
def test_the_gate_costs_less_than_three_tenths_of_scoring(task_id: str) -> None:
    task = zoo.Chords() if task_id == "chords" else load_task(task_id)
    spent = 0

    def count(inputs: Tensor, outputs: Tensor) -> Tensor:
        nonlocal spent
        spent += inputs.shape[0] * inputs.shape[1]
        return outputs

    model = as_sequence_model(zoo.Changed(zoo.honest_for(task), count).eval())
    split = task.split("test")
    contexts: tuple[Context, ...] = (*task.contexts, "full")
    assert check_validity(model, task, split, contexts, declared=None, seed=0, device="cpu").passed
    assert 0 < spent <= 0.3 * scoring_steps(split, contexts)


def test_the_plan_cuts_where_shorter_windows_have_nothing() -> None:
    """Every position of a window of 64 is the last one before a cut in some window."""
    task = load_task("hidden-markov/dwell=20")
    lengths = plan_lengths(task.split("test"), (*task.contexts, "full"), None, stateful=False)
    assert [of.length for of in lengths] == [1, 2, 4, 8, 16, 32, 64, 128, 512]
    assert sum(of.later_cuts for of in lengths) >= 230
    cut: set[int] = set()
    before = 0
    for of in lengths:
        if of.is_context:
            rng = np.random.default_rng(0)
            cut |= {c for _, c in cut_points(rng, of.windows, of.length, before, of.later_cuts)}
        before = of.length
    assert cut == set(range(1, 64))


@settings(max_examples=60, deadline=None)
@given(
    windows=st.integers(1, 6),
    length=st.integers(1, 30),
    shorter=st.integers(0, 30),
    count=st.integers(0, 100),
)
def test_cut_points_are_all_different_and_spread(
    windows: int, length: int, shorter: int, count: int
) -> None:
    chosen = cut_points(np.random.default_rng(0), windows, length, shorter, count)
    assert len(chosen) == min(count, windows * (length - 1))
    assert len(set(chosen)) == len(chosen)
    assert all(0 <= window < windows and 1 <= cut < length for window, cut in chosen)
    times = [sum(cut == c for _, cut in chosen) for c in range(1, length)]
    assert not times or max(times) - min(times) <= 1
    fresh = [cut >= shorter for _, cut in chosen[: length - 1]]
    assert fresh == sorted(fresh, reverse=True)


@pytest.mark.parametrize("kind", TASKS)
def test_twins_differ_exactly_where_they_should(kind: str) -> None:
    task = TASKS[kind]
    split = task.split("test")
    maker = Perturber(split, task.inputs, 3)
    windows = maker.windows(maker.targets(8, 40), 8)

    def same(one: Tensor, other: Tensor) -> Tensor:
        equal = one == other
        return equal.all(-1) if equal.ndim > 1 else equal

    for window in windows:
        later, earlier = maker.replaced_after(window, 5), maker.replaced_before(window, 3)
        assert same(later, window).tolist() == [True] * 5 + [False] * 3
        assert same(earlier, window).tolist() == [False] * 3 + [True] * 5
        assert later.dtype == window.dtype
        assert later.min() >= split.inputs.min()
        assert later.max() <= split.inputs.max()


@pytest.mark.parametrize("kind", TASKS)
def test_runs_go_on_as_their_sequence_does(kind: str) -> None:
    task = TASKS[kind]
    split = task.split("test")
    maker = Perturber(split, task.inputs, 3)
    targets = maker.targets(6, 30)
    assert (split.available[targets] >= 6).all()
    runs = maker.continued(targets, 6, 11)
    assert torch.equal(runs[:, :6], maker.windows(targets, 6))
    for target, run in zip(targets.tolist(), runs, strict=True):
        position = int(split.positions[target])
        end = int(split.starts[split.starts > position][0])
        follows = split.inputs[position + 1 : min(position + 6, end)]
        assert torch.equal(run[6 : 6 + len(follows)], follows)


def test_tolerances() -> None:
    assert tolerance_for("batch", {torch.float32}) == 1e-4
    assert tolerance_for("causality", {torch.float32, torch.float64}) == 1e-5
    coarse = tolerance_for("window", {torch.float32, torch.bfloat16})
    assert coarse == 16 * torch.finfo(torch.bfloat16).eps
    assert tolerance_for("context", {torch.float16}) < tolerance_for("twins", {torch.float16})


# Curves.


def curve_of(model: torch.nn.Module, task: Task) -> tuple[CurvePoint, ...]:
    split = task.split("test")
    contexts: tuple[Context, ...] = (*task.contexts, "full")
    found = as_sequence_model(model.eval())
    curve = measure(found, task, split, contexts, precision=0.01, seed=0)
    return points_of(summarise(curve, task, found, contexts).points)


@pytest.mark.parametrize("dwell", [2, 5])
def test_the_best_predictor_is_not_refused(dwell: int) -> None:
    task = load_task(f"hidden-markov/dwell={dwell}")
    check = check_optimum(curve_of(MarkovOracle(task), task), task.loss.unit)  # type: ignore[arg-type]
    assert check is not None
    assert check.passed, check.example
    assert check.compared == len(task.contexts) + 1


def test_the_best_predictor_of_sums_is_not_refused() -> None:
    task = load_task("adding-problem/T=20")
    check = check_optimum(curve_of(AddingOracle(), task))
    assert check is not None
    assert check.passed, check.example


def test_a_leak_is_refused() -> None:
    """A loss that no predictor reaches at k = 8."""
    points = [CurvePoint(k, 3.0, 0.01, 2.9) for k in (1, 2, 4)] + [CurvePoint(8, 2.5, 0.01, 2.8)]
    check = check_optimum(points, "nats")
    assert check is not None
    assert not check.passed
    assert check.deviation == pytest.approx(0.3)
    assert check.compared == 4
    assert check.example is not None
    assert check.example.startswith("at k = 8 the loss is 2.5000 nats, 0.3000 below the optimum")


@given(loss=st.floats(0, 10), half=st.floats(0, 1), optimum=st.floats(0, 10))
def test_only_what_chance_does_not_explain_is_refused(
    loss: float, half: float, optimum: float
) -> None:
    check = check_optimum([CurvePoint("full", loss, half, optimum)])
    assert check is not None
    if loss >= optimum - half:
        assert check.passed
    if loss < optimum - 2.1 * half - 1e-4:
        assert not check.passed


def test_a_loss_that_is_no_number_is_refused() -> None:
    points = [CurvePoint(1, 3.0, 0.1, 2.9), CurvePoint(2, math.nan, 0.1, 2.9)]
    for order in (points, points[::-1]):
        check = check_optimum(order)
        assert check is not None
        assert not check.passed
        assert check.deviation is None


def test_without_an_optimum_there_is_no_check() -> None:
    assert check_optimum([CurvePoint(1, 3.0, 0.1, None)]) is None


@pytest.mark.parametrize(
    ("loss", "half", "flagged"), [(4.0, 0.01, False), (3.7, 0.01, False), (3.5, 0.01, True),
                                  (3.5, 0.4, False)],
)  # fmt: skip
def test_a_wide_lead_is_for_a_person(loss: float, half: float, flagged: bool) -> None:
    """The best on the board is 4 − with chance at 7, a tenth of the way is 0.3."""
    check = check_lead(loss, half, best=4.0, chance=7.0, unit="nats")
    assert check.passed
    assert (check.example is not None) == flagged


# The report.

FINE = tuple(Check(name, True, 1e-4, 0.0, 10) for name in ("finite", "batch", "repeat"))
REPORT = Report(FINE, None, 12, 100, 4.0, {"context": "the model declares none"})


def test_a_report_is_passed_only_if_all_checks_are() -> None:
    assert REPORT.passed
    refused = replace(
        REPORT,
        checks=(*FINE, Check("causality", False, 1e-5, 0.5, 7, "it moved")),
        measured_context=None,
    )
    assert not refused.passed
    assert [check.name for check in refused.failed] == ["causality"]
    text = report_text(refused)
    assert text.startswith("refused: 1 of 4 checks\n")
    assert "it moved" in text
    assert "context: not checked, the model declares none" in text
    assert "measured more than 100" in text


@pytest.mark.parametrize("missing", range(3))
def test_a_report_of_nothing_is_not_passed(missing: int) -> None:
    some = [check for i, check in enumerate(FINE) if i != missing]
    assert not replace(REPORT, checks=tuple(some)).passed
    assert not replace(REPORT, checks=(*some, replace(FINE[missing], compared=0))).passed


def test_a_flag_refuses_nothing() -> None:
    lead = Check("too-good", True, 0.1, 2.0, 1, "far below the best")
    report = REPORT.with_checks(None, lead)
    assert report.passed
    assert report.flags == ("far below the best",)
    assert "to look at: far below the best" in report_text(report)
    assert report_text(report).startswith("accepted")


def test_reports_and_checks_of_curves_need_no_torch() -> None:
    code = (
        "import sys, seqmem.measuring.gate.report, seqmem.measuring.gate.curve_checks;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_check_has_its_line() -> None:
    assert set(CHECKS) == {
        "finite", "causality", "batch", "repeat", "twins", "window", "context", "optimum",
        "too-good",
    }  # fmt: skip
