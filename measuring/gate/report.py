"""What the validity gate says of a model: checks as plain data, and as a text for its owner.

A score enters the board when every check passed. A check that found something to look at, but is
no reason to refuse, has passed and has an example: that is for a person to read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["CHECKS", "REQUIRED", "Check", "Report", "report_text"]

# What each check asks for, by its name; the names are kept in records.
CHECKS: Mapping[str, str] = MappingProxyType(
    {
        "finite": "outputs are finite floats of the right shape, and so are their losses",
        "causality": "replacing later inputs changes no earlier output",
        "batch": "other windows beside it, in another order or number, change no window's outputs",
        "repeat": "a window asked again later gets the same outputs",
        "twins": "a scored window, continued with other inputs, is answered as it was when scored",
        "window": "a window of k inputs is answered as the first k of a longer run",
        "context": "inputs older than the declared receptive field change nothing",
        "optimum": "no loss is below what any predictor can reach",
        "too-good": "the loss is not far below the best on the board (for a person, not refused)",
    }
)

# Without these nothing is known of a model, whatever its windows are.
REQUIRED = frozenset({"finite", "batch", "repeat"})


@dataclass(frozen=True)
class Check:
    """One check of a model.

    Attributes:
        name: one of CHECKS.
        passed: whether the model may enter the board for all that this check has seen.
        tolerance: the largest deviation allowed. Outputs: relative to the scale of the model's
            own; losses: in the loss's unit; 0 where something either is or is not.
        deviation: the largest seen, likewise; None where what was seen is no number.
        compared: how many outputs, or losses, were looked at.
        example: the worst case in one line: what was changed and what moved. None where nothing
            was found.
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
        declared_context: how many of the latest inputs the model says that it sees; None: all.
        measured_context: the smallest number such that replacing all older inputs moved no output
            of the sample by more than the tolerance, a lower bound of the truth; None where every
            number that could be tried was too small.
        longest_tried: the largest number that could be.
        scale: what deviations of outputs are relative to, in nats, log-odds or values.
        left_out: why a check was not made, by its name.
    """

    checks: tuple[Check, ...]
    declared_context: int | None
    measured_context: int | None
    longest_tried: int
    scale: float | None
    left_out: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether the model may enter the board: nothing failed, and something was looked at."""
        made = {check.name for check in self.checks if check.compared > 0}
        return made >= REQUIRED and all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that refuse it."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a person should look at, though nothing is refused."""
        return tuple(c.example for c in self.checks if c.passed and c.example is not None)

    def with_checks(self, *checks: Check | None) -> "Report":
        """Add checks of the curve; those that could not be made are None."""
        return replace(self, checks=(*self.checks, *(c for c in checks if c is not None)))

    def check(self, name: str) -> Check | None:
        """Give a check by its name; None where it was not made."""
        return next((check for check in self.checks if check.name == name), None)


def report_text(report: Report) -> str:
    """Tell the owner of a model what was found, refusals first.

    Returns:
        lines without a newline at the end.
    """
    refused = len(report.failed)
    lines = ["accepted" if report.passed else f"refused: {refused} of {len(report.checks)} checks"]
    for check in report.failed:
        lines.append(f"  {check.name}: {CHECKS[check.name]}. It does not hold:")
        lines.append(f"    {check.example}")
    lines.extend(f"  to look at: {flag}" for flag in report.flags)
    for check in report.checks:
        if check.passed:
            lines.append(f"  {check.name}: passed, {_numbers(check)}")
    lines.extend(f"  {name}: not checked, {why}" for name, why in report.left_out.items())
    declared = "all inputs" if report.declared_context is None else f"{report.declared_context:,}"
    lines.append(f"  context: declared {declared}, measured {_measured(report)}")
    if report.failed:
        lines.append("  (inputs and outputs of a window are counted from 0)")
    return "\n".join(lines)


def _numbers(check: Check) -> str:
    seen = "" if check.deviation is None else f"largest deviation {check.deviation:.1e}, "
    return f"{seen}allowed {check.tolerance:.1e}, {check.compared:,} compared"


def _measured(report: Report) -> str:
    if report.measured_context is not None:
        return f"{report.measured_context:,} at the tolerance"
    if report.longest_tried == 0:
        return "not at all"
    return f"more than {report.longest_tried:,}"
