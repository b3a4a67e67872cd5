"""All verdicts of one check: whether it passed, and the table and JSON of it."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import get_args

from seqmem.check.expectation import Expectation
from seqmem.check.judge import PointVerdict, State, Verdict
from seqmem.check.margin import CAP, FLOOR, LEVEL
from seqmem.leaderboard import Format
from seqmem.leaderboard.tables.formatting import rounded
from seqmem.leaderboard.tables.writing import table
from seqmem.provenance import environment_facts, suite_facts

__all__ = ["CheckReport", "renewal_table", "report_json", "report_table", "sentence"]

BAD = ("red", "not comparable", "missing")  # with one such cell, a check fails


@dataclass(frozen=True)
class CheckReport:
    """The result of one check.

    Attributes:
        verdicts: one for each cell.
        speed_counts: whether a cell that is slow fails.
    """

    verdicts: tuple[Verdict, ...]
    speed_counts: bool

    def problems(self) -> list[str]:
        """Return one line for each reason why the check fails; none where it passed."""
        lines = [sentence(verdict) for verdict in self.verdicts if verdict.state in BAD]
        if self.speed_counts:
            lines += [
                f"{verdict.model} on {verdict.task}: slow: {verdict.speed}"
                for verdict in self.verdicts
                if verdict.speed is not None and verdict.speed.slow
            ]
        states = {verdict.state for verdict in self.verdicts}
        if not lines and "green" not in states:
            undecided = "no cell is green: the seeds differ too much to decide"
            nothing = "nothing was compared: no task has its data on this machine"
            lines.append(undecided if "cannot tell" in states else nothing)
        return lines

    def count(self) -> str:
        """Return the number of verdicts of each kind, as in "3 green, 1 red"."""
        counts = Counter(verdict.state for verdict in self.verdicts)
        return (
            ", ".join(f"{counts[state]} {state}" for state in get_args(State) if counts[state])
            or "no cells"
        )


def sentence(verdict: Verdict) -> str:
    """Return a verdict and its reason in one line."""
    name = f"{verdict.model} on {verdict.task}: {verdict.state}"
    worst = verdict.worst
    if worst is None:
        return f"{name}: {verdict.reason}"
    half = (worst.high - worst.low) / 2
    expected, found = rounded(
        [worst.expected, worst.found], min(abs(worst.difference), half) or None
    )
    k = "full" if worst.k == "full" else f"k = {worst.k}"
    return (
        f"{name}: at {k} the loss is {found}, expected {expected}; difference "
        f"{_difference(worst)} {verdict.unit}, margin {_margin(worst.margin)}{_hint(verdict)}"
    )


def _hint(verdict: Verdict) -> str:
    """Return whether fresh seeds would explain a red cell's difference."""
    if verdict.state != "red" or not verdict.paired:
        return ""
    if any(abs(at.difference) > at.other_seeds for at in verdict.points):
        return "; more than any seed explains"
    return (
        "; other seeds change the loss as much: if random numbers are drawn differently on "
        "purpose, renew the expectation"
    )


def report_table(report: CheckReport, form: Format) -> str:
    """Return a check as a table, a row for each cell, then every k of cells that are not green.

    Args:
        report: the check.
        form: "table" or "markdown".
    """
    numbers = dict.fromkeys(("expected", "found", "difference", "margin", "time"), "")
    rows = []
    for verdict in report.verdicts:
        row = {"task": verdict.task, "model": verdict.model, "verdict": verdict.state}
        if (worst := verdict.worst) is None:
            rows.append({**row, "worst k": "", **numbers, "": verdict.reason})
            continue
        time = {"time": str(verdict.speed)}
        note = {"": "same to rounding" if verdict.same else ""}
        rows.append({**row, "worst k": str(worst.k), **_numbers(worst), **time, **note})
    parts = [table(rows, form)]
    for verdict in report.verdicts:
        if verdict.state in ("red", "cannot tell") and verdict.points:
            parts.append(f"{verdict.model} on {verdict.task}, {verdict.unit}:\n")
            points = [{"k": at.k, "verdict": at.state, **_numbers(at)} for at in verdict.points]
            parts.append(table(points, form))
    return "\n".join([*parts, f"{report.count()}.\n"])


def report_json(report: CheckReport) -> str:
    """Return a check as JSON: every k of every cell, the rule, and the environment."""
    problems = report.problems()
    content = {
        "passed": not problems,
        "problems": problems,
        "rule": {
            "level": LEVEL,
            "floor, of chance": FLOOR,
            "cap, of chance": CAP,
            "interval, same seeds": "Student's t over the effect of rounding, 95 %",
            "interval, fresh seeds": "Student's t over groups of targets, paired, 95 %",
        },
        "cells": [asdict(verdict) for verdict in report.verdicts],
        "speed counts": report.speed_counts,
        "suite": suite_facts(),
        "environment": environment_facts("cpu"),
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def renewal_table(old: Expectation | None, new: Expectation) -> str:
    """Return the old and the new expectation of one cell as a table, a row for each k."""
    curves = new.curves
    before = {} if old is None else _losses(old)
    rows = []
    for k, (loss, margin) in _losses(new).items():
        row: dict[str, object] = {"k": k}
        for age, at in (("old", before.get(k)), ("new", (loss, margin))):
            row[f"{age} loss"] = at and rounded([at[0]], margin / 10)[0]
            row[f"{age} margin"] = at and _margin(at[1])
        rows.append(row)
    title = f"{curves.model} on {curves.setting.task}, {curves.unit}, seeds {len(curves.runs)}"
    return f"{title}\n\n{table(rows, 'table')}"


def _losses(expectation: Expectation) -> dict[object, tuple[float, float]]:
    """Return the mean loss and the margin of two of the same seeds at each k."""
    curves = expectation.curves
    losses, margins = curves.losses().mean(0).tolist(), expectation.margins(2, same=True).tolist()
    return dict(zip(curves.setting.contexts, zip(losses, margins, strict=True), strict=True))


def _numbers(at: PointVerdict) -> dict[str, str]:
    """Return the cells of one k: expected, found, difference with its interval, and margin."""
    expected, found = rounded([at.expected, at.found], at.margin / 10)
    return {
        "expected": expected,
        "found": found,
        "difference": _difference(at),
        "margin": _margin(at.margin),
    }


def _difference(at: PointVerdict) -> str:
    half = (at.high - at.low) / 2
    value, low, high = rounded((at.difference, at.low, at.high), max(half, at.margin / 100), "+")
    return f"{value} [{low}, {high}]"


def _margin(margin: float) -> str:
    return f"±{rounded([margin], margin)[0]}"
