"""Measuring a trained model on a task, and making a record of the curve."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seqmem.errors import CellError
from seqmem.leaderboard.record import Point, Record, TaskFacts
from seqmem.measuring.curve import Curve, measure
from seqmem.measuring.progress_bar import progress_bar
from seqmem.measuring.reference import full_scores, longest_pass
from seqmem.measuring.settings import MeasurementSettings
from seqmem.measuring.summary import summarise
from seqmem.provenance import environment_facts, suite_facts
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Task
from seqmem.tasks.unknown_words import MANY, unknown_share

__all__ = ["MeasuredCurve", "make_record", "measure_model"]


@dataclass(frozen=True)
class MeasuredCurve:
    """A curve, and how it was measured.

    Attributes:
        curve: the curve on the test split.
        seconds: the time that measuring took.
        plain_pass: the steps of one pass through the split.
        rules: the rules of the measurement by name, as text: what a window holds ("window"), what
            the full context is ("full"), what the reference pass reads ("reference"), the share of
            targets that the model is asked for as <unk> ("unknown_targets"; if it is left out, that
            of the task), and more.
        extras: further scores by name.
    """

    curve: Curve
    seconds: float
    plain_pass: int
    rules: Mapping[str, Any]
    extras: Mapping[str, float]


def measure_model(
    model: SequenceModel, label: str, task: Task, settings: MeasurementSettings
) -> MeasuredCurve:
    """Measure a trained model's curve on the test split.

    Args:
        model: the model; it is moved to the device and not changed otherwise.
        label: the model's name, for the progress bar.
        task: the task.
        settings: context lengths, precision, device.

    Raises:
        CellError: the model cannot be measured.
    """
    split = task.split("test")
    measured = settings.cast(model)
    began = time.monotonic()
    with progress_bar(unit="step", unit_scale=True) as bar:
        bar.set_description(f"measure {label} on {task.id}")
        curve = measure(
            measured,
            task,
            split,
            settings.contexts_for(task),
            precision=settings.half_width(task),
            every_k=settings.every_k,
            seed=settings.sample_seed,
            device=settings.device,
            progress=bar.update,
        )
        extras = _extras(model, measured, task, curve, settings.device)
    return MeasuredCurve(
        curve,
        seconds=time.monotonic() - began,
        plain_pass=len(split.inputs),
        rules={
            "window": "the k most recent inputs since the start of the sequence",
            "full": "state carried" if model.stateful else "whole sequences",
            "reference": _reference_name(model, curve),
        },
        extras=extras,
    )


def make_record(
    model: SequenceModel,
    measured: MeasuredCurve,
    facts: Mapping[str, Any],
    training: Mapping[str, Any],
    task: Task,
    settings: MeasurementSettings,
    report: Callable[[str], object],
    *,
    validate: Callable[[Sequence[Point]], Mapping[str, Any] | None] = lambda points: None,
    command: str | None = None,
    trust: str = "self-reported",
) -> Record:
    """Return a record of a measured curve.

    Args:
        model: the model, with weights in float32.
        measured: its curve.
        facts: the model's name, label, options and source, as stored in a record; they replace
            facts that are computed here.
        training: how it was trained, as stored in a record.
        task: the task.
        settings: context lengths, precision, device.
        report: called with a few lines about the measurement.
        validate: returns the report of the validity gate, given the points of the curve.
        command: the command that measures the same; None for a cell of a run.
        trust: who vouches for the record.

    Raises:
        CellError: no context length could be measured.
    """
    rules = {"unknown_targets": unknown_share(task), **measured.rules}
    if unknown := rules["unknown_targets"]:
        much = ", which is much: the score is that of a text with few different words"
        report(
            f"{100 * unknown:.3g} % of the targets are <unk>, words outside the vocabulary"
            + much * (unknown > MANY)
        )
    curve = measured.curve
    half_width = settings.half_width(task)
    passes = curve.steps / measured.plain_pass
    summary = summarise(curve, task, model, settings.contexts_for(task))
    report(
        f"measured at {len(summary.points)} contexts in {measured.seconds:.0f} s "
        f"({passes:.2f} plain passes)"
    )
    for line in _notes(summary.points):
        report(line)
    if not summary.points:
        reasons = "; ".join(f"k={k}: {reason}" for k, reason in curve.failures.items())
        raise CellError(f"nothing could be measured: {reasons}")
    # All that was learned, counts of n-grams included; tied weights once.
    learned = {w.data_ptr(): w.numel() for w in model.state_dict().values()}
    return Record(
        suite=suite_facts(),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        task=TaskFacts(
            id=task.id,
            version=task.version,
            data_hash=task.data_hash,
            split="test",
            loss=task.loss.name,
            unit=task.loss.unit,
            score=task.loss.score,
            chance=task.chance(),
            optimum=task.optimum("full"),
            held_symbols=task.held_symbols,
        ),
        model={
            "weights_sha256": weights_sha256(model),
            "parameters": sum(learned.values()),
            "receptive_field": {"declared": model.receptive_field, "measured": None},
            "stateful": model.stateful,
            **facts,
        },
        training=training,
        measurement={
            "method": "every target" if half_width is None else "reference pass and samples",
            "precision": None if settings.precision is None else str(settings.precision),
            "precision_in_loss": half_width,
            "targets": len(task.split("test")),
            "sample_seed": settings.sample_seed,
            "block": task.block_name,
            "interval": "Student's t over groups of whole blocks of these sizes, 95 %",
            "half_width": "Student's t over sampled targets, finite population, 95 %; with it, in "
            "quadrature, what the largest differences at the next shorter context add where missed",
            "failed": {str(k): reason for k, reason in curve.failures.items()},
            "model_steps": curve.steps,
            "plain_passes": round(passes, 3),
            "seconds": round(measured.seconds, 2),
            **rules,
            **({} if command is None else {"command": command}),
        },
        group_counts=summary.group_counts,
        gain=summary.gain,
        curve=summary.points,
        extras=measured.extras,
        validity=validate(summary.points),
        environment=environment_facts(settings.device, settings.dtype, tf32=False),
        strata=summary.strata,
        trust=trust,
    )


_NOTES = {
    "agrees with full": "equals full context up to rounding",
    "receptive field": "equals full context: beyond the model's receptive field",
    "no longer sequence": "equals full context: no sequence is longer",
}


def _notes(points: Sequence[Point]) -> list[str]:
    """Return from which k on nothing had to be scored, and why, one line for each reason."""
    lines = []
    for method, reason in _NOTES.items():
        contexts = [str(point.k) for point in points if point.method == method]
        if contexts:
            lines.append(f"k {'≥' if contexts[1:] else '='} {contexts[0]} {reason}")
    return lines


def _reference_name(model: SequenceModel, curve: Curve) -> str:
    if model.stateful:
        return "state carried"
    if model.receptive_field is not None:
        return "overlapping pieces, a receptive field before what they score"
    return "whole sequences" if curve.full else "overlapping pieces"


def _extras(
    model: SequenceModel, measured: SequenceModel, task: Task, curve: Curve, device: str
) -> dict[str, float]:
    """Return further scores in use, and the difference that a shorter floating-point type makes."""
    extras: dict[str, float] = {}
    whole = task.dense_split("test")
    if whole is not None and curve.full is not None:
        scores = full_scores(measured, task, whole, device=device)
        extras["loss over all positions, full context"] = float(scores.losses.mean())
    if measured is not model:
        # Of a stream too long for the model to read at once, the beginning is enough.
        split = task.split("test")
        split = split if curve.full is not None else split.prefix(longest_pass(model))
        short, usual = (
            float(full_scores(m.to(device).eval(), task, split, device=device).losses.mean())
            for m in (measured, model)
        )
        extras["full-context loss minus that in float32"] = short - usual
    return extras
