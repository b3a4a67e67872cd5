"""Measuring a trained model on a task, and the record that is made of it."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import torch
from tqdm import tqdm

from seqmem.errors import CellError
from seqmem.leaderboard.record import Record, TaskFacts
from seqmem.measuring.curve import Curve, measure
from seqmem.measuring.precision import USUAL, Precision
from seqmem.measuring.reference import full_scores, longest_pass
from seqmem.measuring.summary import summarise
from seqmem.provenance import environment_facts, source_sha256, suite_facts
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Context, Task

__all__ = ["DTYPES", "Measured", "Measuring", "measure_record", "record_of"]

DType = Literal["float32", "bfloat16"]
DTYPES: tuple[DType, ...] = ("float32", "bfloat16")


@dataclass(frozen=True)
class Measuring:
    """How models are measured.

    Attributes:
        contexts: context lengths, ascending, full last; None for the task's own.
        longest_context: the longest of the task's own to take; None for all.
        precision: how well every mean is to be known; None: every target is scored.
        every_k: whether every whole number up to the longest context is measured.
        dtype: what the model computes with.
        device: where it runs.
        sample_seed: of the windows that are sampled.
    """

    contexts: tuple[Context, ...] | None = None
    longest_context: int | None = None
    precision: Precision | None = USUAL
    every_k: bool = False
    dtype: DType = "float32"
    device: str = "cpu"
    sample_seed: int = 0

    def grid(self, task: Task) -> tuple[Context, ...]:
        """Give the context lengths that are asked for; `every_k` fills in those between."""
        longest = self.longest_context or task.longest_context
        return self.contexts or (*(k for k in task.contexts if k <= longest), "full")

    def contexts_for(self, task: Task) -> tuple[Context, ...]:
        """Give the context lengths to measure on a task."""
        contexts = self.grid(task)
        if self.every_k:
            longest = max((k for k in contexts if k != "full"), default=0)
            contexts = (*range(1, longest + 1), *(("full",) if "full" in contexts else ()))
        return contexts

    def half_width(self, task: Task) -> float | None:
        """Give the precision in the loss's unit.

        Raises:
            InputError: it is smaller than rounding.
        """
        return None if self.precision is None else self.precision.half_width(task)

    def identity(self, task: Task) -> dict[str, Any]:
        """Everything that shapes what is measured of given weights."""
        return {
            "contexts": self.contexts_for(task),
            "precision": self.half_width(task),
            "every_k": self.every_k,
            "dtype": self.dtype,
            "test": task.data_hash,
            "sample_seed": self.sample_seed,
            "source": source_sha256("seqmem.measuring.measurement"),
        }


def measure_record(
    model: SequenceModel,
    facts: Mapping[str, Any],
    training: Mapping[str, Any],
    task: Task,
    how: Measuring,
    say: Callable[[str], object],
) -> Record:
    """Measure a trained model's curve on the test split, and make a record of it.

    Args:
        model: what is measured; it is left as it was, on the device.
        facts: the model's name, label, options and source, as a record holds them.
        training: how it was trained, as a record holds it.
        task: the task.
        how: contexts, precision, device.
        say: called with one line at the end.

    Raises:
        CellError: the model cannot be measured.
    """
    split = task.split("test")
    measured = model
    if how.dtype != "float32":
        measured = copy.deepcopy(model).to(getattr(torch, how.dtype))
    began = time.monotonic()
    with tqdm(unit="step", unit_scale=True, disable=None, leave=False) as bar:
        bar.set_description(f"measure {facts['label']} on {task.id}")
        curve = measure(
            measured,
            task,
            split,
            how.contexts_for(task),
            precision=how.half_width(task),
            every_k=how.every_k,
            seed=how.sample_seed,
            device=how.device,
            progress=bar.update,
        )
        extras = _extras(model, measured, task, curve, how.device)
    return record_of(
        Measured(
            model,
            curve,
            seconds=time.monotonic() - began,
            plain_pass=len(split.inputs),
            window="the k most recent inputs since the start of the sequence",
            full="state carried" if model.stateful else "whole sequences",
            reference=_reference_name(model, curve),
            extras=extras,
        ),
        facts,
        training,
        task,
        how,
        say,
    )


@dataclass(frozen=True)
class Measured:
    """What measuring a model has given.

    Attributes:
        model: what was measured, in float32.
        curve: its curve on the test split.
        seconds: the time it took.
        plain_pass: the steps that one pass over the split takes.
        window: what a window holds, in words.
        full: what the full context is, in words.
        reference: what the reference pass read, in words.
        extras: further scores by name.
        rules: further rules by name, in words.
    """

    model: SequenceModel
    curve: Curve
    seconds: float
    plain_pass: int
    window: str
    full: str
    reference: str
    extras: Mapping[str, float]
    rules: Mapping[str, Any] = field(default_factory=dict)


def record_of(
    measured: Measured,
    facts: Mapping[str, Any],
    training: Mapping[str, Any],
    task: Task,
    how: Measuring,
    say: Callable[[str], object],
) -> Record:
    """Make a record of what was measured; the arguments are those of `measure_record`.

    Raises:
        CellError: no context length could be measured.
    """
    model, curve = measured.model, measured.curve
    contexts = tuple(k for k in how.contexts_for(task) if k not in curve.failures)
    half_width = how.half_width(task)
    passes = curve.steps / measured.plain_pass
    say(
        f"measured at {len(contexts)} contexts in {measured.seconds:.0f} s "
        f"({passes:.2f} plain passes)"
    )
    for line in _notes(curve):
        say(line)
    summary = summarise(curve, task, model, contexts)
    if not summary.points:
        reasons = "; ".join(f"k={k}: {reason}" for k, reason in curve.failures.items())
        raise CellError(f"nothing could be measured: {reasons}")
    # All that was learned, counts of n-grams too; tied weights once.
    learned = {w.data_ptr(): w.numel() for w in model.state_dict().values()}
    return Record(
        suite=suite_facts(),
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        task=_task_facts(task),
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
            "precision": None if how.precision is None else str(how.precision),
            "precision_in_loss": half_width,
            "window": measured.window,
            "full": measured.full,
            "reference": measured.reference,
            "targets": len(task.split("test")),
            "sample_seed": how.sample_seed,
            "block": task.block_name,
            "interval": "Student's t over groups of whole blocks, 95 %",
            "half_width": "Student's t over sampled targets, finite population, 95 %",
            "failed": {str(k): reason for k, reason in curve.failures.items()},
            "model_steps": curve.steps,
            "plain_passes": round(passes, 3),
            "seconds": round(measured.seconds, 2),
            **measured.rules,
        },
        group_counts=summary.group_counts,
        gain=summary.gain,
        curve=summary.points,
        extras=measured.extras,
        validity=None,
        environment=environment_facts(how.device, how.dtype, tf32=False),
        trust="self-reported",
    )


def _task_facts(task: Task) -> TaskFacts:
    return TaskFacts(
        id=task.id,
        version=task.version,
        data_hash=task.data_hash,
        split="test",
        loss=task.loss.name,
        unit=task.loss.unit,
        score=task.loss.score,
        chance=task.chance(),
        optimum=task.optimum("full"),
    )


_NOTES = {
    "agrees with full": "windows give what the full context gives, to rounding",
    "receptive field": "the model sees no further; as full",
    "no longer sequence": "no sequence is longer; as full",
}


def _notes(curve: Curve) -> list[str]:
    """Say from which k on nothing had to be scored, and why."""
    lines = []
    for method, why in _NOTES.items():
        contexts = [str(k) for k, found in curve.estimates.items() if found.method == method]
        if contexts:
            lines.append(f"k = {contexts[0]}{' and above' if contexts[1:] else ''}: {why}")
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
    """Give further scores in use, and what a shorter float changes."""
    extras: dict[str, float] = {}
    whole = task.whole("test")
    if whole is not None and curve.full is not None:
        scores = full_scores(measured, task, whole, device=device)
        extras["loss over all positions, full context"] = float(scores.losses.mean())
    if measured is not model:
        # Of a stream that the model cannot read at once, its beginning tells as well.
        split = task.split("test")
        split = split if curve.full is not None else split.prefix(longest_pass(model))
        short, usual = (
            float(full_scores(m.to(device).eval(), task, split, device=device).losses.mean())
            for m in (measured, model)
        )
        extras["full-context loss minus that in float32"] = short - usual
    return extras
