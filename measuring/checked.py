"""A record of a model that passed the validity gate: checked, measured and checked again.

Every record is made here, of our own models as of submitted ones.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from seqmem.errors import InputError, RefusedError
from seqmem.leaderboard.record import Point, Record
from seqmem.measuring.curve import Curve
from seqmem.measuring.gate.curve_checks import check_lead, check_optimum
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.report import Report, report_text
from seqmem.measuring.gate.rescoring import Rescored, rescore
from seqmem.measuring.precision import ROUNDING, USUAL
from seqmem.measuring.record import MeasuredCurve, make_record, measure_model
from seqmem.measuring.settings import MeasurementSettings
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task

__all__ = ["Measurable", "checked_record", "rescore_curve"]

Log = Callable[[str], object]


@dataclass(frozen=True)
class Measurable:
    """A model and how it is measured on one task.

    Attributes:
        model: the model.
        name: its name, for messages.
        measure: returns its curve, given what is called with a line about each part that fails.
        task: the task on which it is checked before it is measured: with the inputs and outputs of
            the model.
        contexts: the context lengths of these checks.
        restart: starts a model that runs code of its own in a new process, in which it remembers
            nothing; does nothing for other models.
        untrusted: whether it may be made to score better where it is not checked.
    """

    model: SequenceModel
    name: str
    measure: Callable[[Log], MeasuredCurve]
    task: Task
    contexts: Sequence[Context]
    restart: Callable[[], object] = lambda: None
    untrusted: bool = False

    @classmethod
    def usual(
        cls, model: SequenceModel, name: str, task: Task, settings: MeasurementSettings
    ) -> "Measurable":
        """Return a model with the inputs and outputs of the task."""
        return cls(
            model,
            name,
            lambda log: measure_model(model, name, task, settings),
            task,
            settings.contexts_for(task),
        )


def checked_record(
    measurable: Measurable,
    facts: Mapping[str, Any],
    training: Mapping[str, Any],
    task: Task,
    settings: MeasurementSettings,
    log: Log,
    *,
    seed: int,
    best: Mapping[Context, float] | None = None,
    command: str | None = None,
    trust: str = "self-reported",
    refuse: Callable[[RefusedError], None] | None = None,
    observe: Callable[[Curve], object] | None = None,
) -> Record:
    """Check a model, measure its curve, check the curve, and return the record.

    Args:
        measurable: the model and how it is measured.
        facts: facts about the model, as in `make_record`.
        training: how it was trained, as stored in a record.
        task: the task.
        settings: context lengths, precision, device.
        log: called with a line for each step that takes time.
        seed: seed of everything that the gate draws.
        best: the smallest loss on the board at each k; far smaller losses are flagged.
        command: the command that measures the same.
        trust: who vouches for the record.
        refuse: called where a check fails; None: the error is raised.
        observe: called with the measured curve: records contain means, not single losses.

    Raises:
        RefusedError: the model fails a check.
        CellError: the model cannot be measured.
    """
    model, where = measurable.model, f"{measurable.name} on {task.id}"
    before = check_validity(
        settings.cast(model),
        measurable.task,
        measurable.task.split("test"),
        measurable.contexts,
        declared=model.receptive_field,
        seed=seed,
        device=settings.device,
    )
    _require_passed(before, where, refuse)
    if before.passed:
        log(f"passed {len(before.checks)} checks of validity")
    measured = measurable.measure(log)
    after = before
    if before.passed:
        again = rescore_curve(
            measured.curve,
            task,
            settings,
            before,
            seed,
            measurable.restart,
            untrusted=measurable.untrusted,
        )
        after = replace(before.with_checks(*again.checks), seed=seed, found=again.found)
        _require_passed(after, where, refuse)
    if observe is not None:
        observe(measured.curve)

    def validate(points: Sequence[Point]) -> dict[str, Any]:
        with_optimum = after.with_checks(check_optimum(points, task.loss.unit))
        _require_passed(with_optimum, where, refuse, after)
        longest = points[-1]
        lead = check_lead(longest, (best or {}).get(longest.k), task.chance(), task.loss.unit)
        whole = with_optimum.with_checks(lead)
        for flag in whole.flags:
            log(f"to look at: {flag}")
        return asdict(whole)

    field = {"declared": model.receptive_field, "measured": before.measured_context}
    return make_record(
        model,
        measured,
        {"receptive_field": field, **facts},
        training,
        task,
        settings,
        log,
        validate=validate,
        command=command,
        trust=trust,
    )


def rescore_curve(
    curve: Curve,
    task: Task,
    settings: MeasurementSettings,
    before: Report,
    seed: int,
    restart: Callable[[], object],
    *,
    untrusted: bool = False,
) -> Rescored:
    """Compute some scores of a curve again; see `rescore`.

    Args:
        curve: the curve.
        task: its task.
        settings: how it was measured.
        before: what the gate found before that.
        seed: seed of the draws.
        restart: as in `Measurable`.
        untrusted: as in `Measurable`.
    """
    return rescore(
        curve.scored,
        steps=curve.steps,
        precision=_stated(settings, task),
        tolerance=next(check.tolerance for check in before.checks if check.name == "batch"),
        scale=before.scale or 1.0,
        seed=seed,
        restart=restart,
        untrusted=untrusted,
    )


def _stated(settings: MeasurementSettings, task: Task) -> float:
    """Return the precision of a curve in the loss's unit; the usual one if it is exact."""
    with suppress(InputError):  # the usual one is below the rounding error
        return (settings.precision or USUAL).half_width(task)
    return ROUNDING * task.chance()


def _require_passed(
    report: Report,
    where: str,
    refuse: Callable[[RefusedError], None] | None,
    known: Report | None = None,
) -> None:
    """Refuse a model unless a report says that its score is valid, or it was refused before.

    Raises:
        RefusedError: it does not.
    """
    if report.passed or (known is not None and not known.passed):
        return
    failed = ", ".join(check.name for check in report.failed) or "too little could be checked"
    error = RefusedError(f"{where} is refused: {failed}", report_text(report))
    if refuse is None:
        raise error
    refuse(error)
