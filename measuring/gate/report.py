"""The validity gate's report on a model: checks as plain data, and as text for the submitter.

A score enters the board if every check passed. A check that passed and has an example found
something that a person should look at, and that is no reason to refuse the model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

__all__ = ["CHECKS", "REQUIRED", "Check", "Report", "report_text"]

# What each check requires, by its name; records store the names.
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "finite": "outputs are finite floats of the right shape, and so are their losses",
        "causality": "replacing later inputs changes no earlier output",
        "batch": "a window's outputs do not depend on the other windows of its batch",
        "repeat": "reading a window again later gives the same outputs",
        "twins": "a perturbed copy of a scored window gives the outputs that were scored",
        "window": "a window of k inputs gives the outputs of the first k inputs of a longer run",
        "context": "inputs older than the declared receptive field change no output",
        "rescored": "a score of the curve computed again, apart from other windows and from later "
        "inputs, is the same",
        "gain": "losses of the curve are not lower on average than when computed again",
        "optimum": "no loss is below the smallest that any predictor can reach",
        "too-good": "the loss is not far below the best on the board (flagged, never refused)",
    }
)

# Checks that can be made of every model; without them a report says nothing.
REQUIRED = frozenset({"finite", "batch", "repeat"})


@dataclass(frozen=True)
class Check:
    """One check of a model.

    Attributes:
        name: one of CHECKS.
        passed: whether the check found no reason to refuse the model.
        tolerance: the largest deviation allowed. Of outputs: relative to the scale of the model's
            outputs; of losses: in the loss's unit; 0 if there is no deviation to speak of.
        deviation: the largest deviation found, in the same unit; None if it is not a number.
        compared: how many outputs, or losses, were compared.
        example: the worst case in one line: what was replaced and which output changed; None if
            nothing was found.
    """

    name: str
    passed: bool
    tolerance: float
    deviation: float | None
    compared: int
    example: str | None = None


@dataclass(frozen=True)
class Report:
    """Every check of one model.

    Attributes:
        checks: in the order of CHECKS.
        declared_context: the receptive field that the model declares, in inputs; None: unlimited.
        measured_context: the smallest number of latest inputs such that replacing all older ones
            changed no output of the sample by more than the tolerance, a lower bound of the true
            number; None if every number tried was too small.
        longest_tried: the largest number tried.
        scale: the scale of outputs, in nats, log-odds or values, to which deviations are relative.
        left_out: why a check was not made, by its name.
        seed: seed of everything that was drawn.
        found: k -> the gain of the mean loss, in its unit, above which a gain from what a model
            must not see is found in 99 % of submissions.
    """

    checks: tuple[Check, ...]
    declared_context: int | None
    measured_context: int | None
    longest_tried: int
    scale: float | None
    left_out: Mapping[str, str]
    seed: int = 0
    found: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the model may enter the board: no check failed, all required ones were made."""
        made = {check.name for check in self.checks if check.compared > 0}
        return made >= REQUIRED and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a person should look at, although the model is not refused."""
        return tuple(c.example for c in self.checks if c.passed and c.example is not None)

    def with_checks(self, *checks: Check | None) -> "Report":
        """Return the report with checks of the curve added; those that were not made are None."""
        return replace(self, checks=(*self.checks, *(c for c in checks if c is not None)))


def report_text(report: Report) -> str:
    """Return the report as text for the submitter, failed checks first.

    Returns:
        lines without a newline at the end.
    """
    refused = len(report.failed)
    lines = ["accepted" if report.passed else f"refused: {refused} of {len(report.checks)} checks"]
    for check in report.failed:
        lines.append(f"  {check.name}: {CHECKS[check.name]}. Not satisfied:")
        lines.append(f"    {check.example}")
    lines.extend(f"  to look at: {flag}" for flag in report.flags)
    for check in report.checks:
        if check.passed:
            found = f"largest deviation {check.deviation:.1e}, "
            numbers = f"allowed {check.tolerance:.1e}, {check.compared:,} compared"
            lines.append(f"  {check.name}: passed, {found}{numbers}")
    lines.extend(f"  {name}: not checked, {why}" for name, why in report.left_out.items())
    declared = "all inputs" if report.declared_context is None else f"{report.declared_context:,}"
    measured = f"more than {report.longest_tried:,}" if report.longest_tried else "not at all"
    if report.measured_context is not None:
        measured = f"{report.measured_context:,} at the tolerance"
    lines.append(f"  context: declared {declared}, measured {measured}")
    if report.failed:
        lines.append("  (inputs and outputs of a window are counted from 0)")
    return "\n".join(lines)
