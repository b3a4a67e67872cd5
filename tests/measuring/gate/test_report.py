"""The report of the gate."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from seqmem.measuring.gate.agreement import tolerance_for
from seqmem.measuring.gate.report import CHECKS, Check, Report, report_text


def test_tolerances() -> None:
    assert tolerance_for("batch", {torch.float32}) == 1e-4
    assert tolerance_for("causality", {torch.float32, torch.float64}) == 1e-5
    coarse = tolerance_for("window", {torch.float32, torch.bfloat16})
    assert coarse == 16 * torch.finfo(torch.bfloat16).eps
    assert tolerance_for("context", {torch.float16}) < tolerance_for("twins", {torch.float16})


FINE = tuple(Check(name, True, 1e-4, 0.0, 10) for name in ("finite", "batch", "repeat"))


REPORT = Report(FINE, None, 12, 100, 4.0, {"context": "the model declares none"})


def test_a_report_is_passed_only_if_all_checks_are() -> None:
    assert REPORT.passed
    refused = replace(
        REPORT,
        checks=(*FINE, Check("causality", False, 1e-5, 0.5, 7, "it changed")),
        measured_context=None,
    )
    assert not refused.passed
    assert [check.name for check in refused.failed] == ["causality"]
    text = report_text(refused)
    assert text.startswith("refused: 1 of 4 checks\n")
    assert "it changed" in text
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
        "finite", "causality", "batch", "repeat", "twins", "window", "context", "rescored",
        "gain", "optimum", "too-good",
    }  # fmt: skip
