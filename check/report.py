"""All verdicts of one check: whether it passed, and the table and JSON that say so."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tabulate import tabulate

from seqmem.check.expectation import Expectation
from seqmem.check.judge import Speed, State, Verdict
from seqmem.check.margin import CAP, FLOOR, LEVEL
from seqmem.leaderboard.tables.formatting import escape, rounded

__all__ = ["Report", "renewal_table", "report_json", "report_table", "sentence", "speed_text"]


@dataclass(frozen=True)
class Report:
    """One check.

    Attributes:
        verdicts: one for each cell.
        speed_counts: whether a cell that is slow fails.
        environment: packages, machine, threads.
        suite: version, git commit and whether the tree was changed.
    """

    verdicts: tuple[Verdict, ...]
    speed_counts: bool
    environment: dict[str, object]
    suite: dict[str, object]

    def problems(self) -> list[str]:
        """Give one line for each reason why the check fails; none where it passed."""
        lines = [sentence(verdict) for verdict in self.verdicts if verdict.bad]
        if self.speed_counts:
            lines += [
                f"{verdict.model} on {verdict.task}: slow: {speed_text(verdict.speed)}"
                for verdict in self.verdicts
                if verdict.speed is not None and verdict.speed.slow
            ]
        if not any(verdict.state == "green" for verdict in self.verdicts) and not lines:
            unclear = any(verdict.state == "cannot tell" for verdict in self.verdicts)
            lines.append(
                "no cell is green: the seeds are too noisy to tell anything"
                if unclear
                else "nothing was compared: no task has its data here"
            )
        return lines

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing is wrong."""
        return not self.problems()

    def count(self) -> str:
        """Count the verdicts, as in "3 green, 1 red"."""
        counts = Counter(verdict.state for verdict in self.verdicts)
        order: tuple[State, ...] = (
            "green",
            "cannot tell",
            "red",
            "not comparable",
            "missing",
            "skipped",
        )
        return ", ".join(f"{counts[state]} {state}" for state in order if counts[state]) or "0"


def sentence(verdict: Verdict) -> str:
    """Say in one line what a verdict is and why."""
    name = f"{verdict.model} on {verdict.task}: {verdict.state}"
    worst = verdict.worst
    if worst is None:
        return f"{name}: {verdict.reason}"
    half = (worst.high - worst.low) / 2
    values = (worst.difference, worst.low, worst.high)
    moved, low, high = rounded(values, max(half, worst.margin / 100), "+")
    (margin,) = rounded([worst.margin], worst.margin)
    expected, found = rounded(
        [worst.expected, worst.found], min(abs(worst.difference), half) or None
    )
    where = "full" if worst.k == "full" else f"k = {worst.k}"
    return (
        f"{name}: at {where} the loss is {found}, expected {expected}; difference {moved} "
        f"[{low}, {high}] {verdict.unit}, margin ±{margin}{_hint(verdict)}"
    )


def _hint(verdict: Verdict) -> str:
    """Say of a red cell whether other seeds would move as much."""
    if verdict.state != "red" or not verdict.paired:
        return ""
    if any(abs(at.difference) > at.other_seeds for at in verdict.points):
        return "; more than any seed explains"
    return "; other seeds move as much: if random numbers are drawn anew on purpose, renew it"


def report_table(report: Report, style: str) -> str:
    """Write a check as a table, a row for each cell, and below it every k of cells that are red.

    Args:
        report: the check.
        style: "simple" or "pipe", as tabulate names them.
    """
    rows = []
    for verdict in report.verdicts:
        worst = verdict.worst
        cells = [verdict.task, escape(verdict.model), verdict.state]
        if worst is None:
            rows.append([*cells, "", "", "", "", "", "", escape(verdict.reason)])
            continue
        note = "same to rounding" if verdict.same else ""
        rows.append([*cells, str(worst.k), *_numbers(verdict, str(worst.k)), _time(verdict), note])
    header = ["task", "model", "verdict", "worst k", "expected", "found", "difference", "margin"]
    parts = [_table(rows, [*header, "time", ""], style)]
    for verdict in report.verdicts:
        if verdict.state in ("red", "cannot tell") and verdict.points:
            parts.append(f"{verdict.model} on {verdict.task}, {verdict.unit}:")
            names = [str(at.k) for at in verdict.points]
            points = [
                [name, at.state, *_numbers(verdict, name)]
                for name, at in zip(names, verdict.points, strict=True)
            ]
            parts.append(_table(points, ["k", "verdict", *header[4:]], style))
    parts.append(f"{report.count()}.")
    return "\n\n".join(parts) + "\n"


def report_json(report: Report) -> str:
    """Write a check as JSON: every k of every cell, the rule, and where it ran."""
    content = {
        "passed": report.passed,
        "problems": report.problems(),
        "rule": {
            "level": LEVEL,
            "floor, of chance": FLOOR,
            "cap, of chance": CAP,
            "interval, same seeds": "Student's t over what rounding moves, 95 %",
            "interval, fresh seeds": "Student's t over groups of targets, paired, 95 %",
        },
        "cells": [asdict(verdict) for verdict in report.verdicts],
        "speed counts": report.speed_counts,
        "suite": report.suite,
        "environment": report.environment,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def renewal_table(old: Expectation | None, new: Expectation) -> str:
    """Write the old and the new expectation of one cell: a row for each k."""
    curves = new.curves
    title = f"{curves.model} on {curves.setting.task}, {curves.unit}, seeds {len(curves.runs)}"
    before = {}
    if old is not None:
        means = old.curves.losses().mean(0)
        before = dict(
            zip(
                old.curves.setting.contexts,
                zip(means, old.margins(2, same=True), strict=True),
                strict=True,
            )
        )
    rows = []
    for k, mean, margin in zip(
        curves.setting.contexts, curves.losses().mean(0), new.margins(2, same=True), strict=True
    ):
        loss, width = rounded([float(mean)], margin / 10)[0], rounded([margin], margin)[0]
        was, had = "–", "–"
        if k in before:
            was = rounded([float(before[k][0])], margin / 10)[0]
            had = "±" + rounded([before[k][1]], before[k][1])[0]
        rows.append([str(k), was, had, loss, f"±{width}"])
    header = ["k", "old loss", "old margin", "new loss", "new margin"]
    return f"{title}\n\n{_table(rows, header, 'simple')}\n"


def speed_text(speed: Speed | None) -> str:
    """Say how much time and work now take, over what is expected."""
    if speed is None:
        return ""
    training = "" if speed.training is None else f"training ×{speed.training:.2f}, "
    steps = "" if speed.model_steps == 1 else f", model steps ×{speed.model_steps:.2f}"
    return f"{training}measuring ×{speed.measuring:.2f}{steps}"


def _time(verdict: Verdict) -> str:
    return speed_text(verdict.speed)


def _numbers(verdict: Verdict, k: str) -> list[str]:
    """Write expected, found, difference with its interval, and margin at one k."""
    at = next(at for at in verdict.points if str(at.k) == k)
    half = (at.high - at.low) / 2
    moved, low, high = rounded((at.difference, at.low, at.high), max(half, at.margin / 100), "+")
    expected, found = rounded([at.expected, at.found], at.margin / 10)
    (margin,) = rounded([at.margin], at.margin)
    return [expected, found, f"{moved} [{low}, {high}]", f"±{margin}"]


def _table(rows: Sequence[Sequence[str]], header: Sequence[str], style: str) -> str:
    return tabulate(rows, headers=header, tablefmt=style, disable_numparse=True)
