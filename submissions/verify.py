"""Measure a record's model again on new samples of windows; confirm or contradict the record."""

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seqmem.errors import InputError
from seqmem.files import expand_user, read_file
from seqmem.leaderboard.record import Context, Record
from seqmem.leaderboard.signature import signed
from seqmem.leaderboard.store import record_directory, write_record
from seqmem.measuring.precision import USUAL
from seqmem.measuring.settings import DTYPES, DType, MeasurementSettings
from seqmem.submissions.opening import OpenedModel, OpenOptions, open_model
from seqmem.submissions.submit import measure_submission, read_record, why_another_hash
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

__all__ = ["STATED", "Comparison", "Verification", "verify"]

# In half-widths of 95 % intervals: with four standard errors, sampling alone contradicts one record
# in a thousand, of fifteen context lengths each.
MARGIN = 2.0
# On other machines, sums have another order.
ROUNDING = 1e-4
# Chance and optima are computed in another order on other machines.
FACTS = 1e-6
# How much wider than requested an interval may be: its width is an estimate as well.
WIDER = 1.5
# The sum of a record's context lengths, which bounds the time of measuring it again, and of the
# task's optima: as of all whole numbers up to 511; or that of a task's own, mostly powers of two.
MOST_INPUTS, OWN = 1 << 17, 4
# What a manifest states of a model beside its name.
STATED = ("authors", "reference", "licence")


@dataclass(frozen=True)
class Comparison:
    """The losses at one context length.

    Attributes:
        k: the context length.
        recorded: the loss in the record.
        found: the new loss.
        allowed: the largest difference that sampling and rounding explain.
    """

    k: Context
    recorded: float
    found: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within that."""
        return abs(self.recorded - self.found) <= self.allowed


@dataclass(frozen=True)
class Verification:
    """The result of measuring again.

    Attributes:
        rows: the comparisons, k ascending, full last.
        record: the new record, marked "rescored".
    """

    rows: tuple[Comparison, ...]
    record: Record

    @property
    def confirmed(self) -> bool:
        """Whether every context length agrees."""
        return all(row.agrees for row in self.rows)

    def table(self) -> list[dict[str, object]]:
        """Return the comparisons as rows of a table."""
        return [
            {
                "k": row.k,
                "recorded": f"{row.recorded:.5g}",
                "found": f"{row.found:.5g}",
                "may differ by": f"{row.allowed:.5g}",
                "": "agrees" if row.agrees else "DIFFERS",
            }
            for row in self.rows
        ]


def verify(
    path: Path,
    model: str,
    options: OpenOptions,
    results: Path,
    *,
    seed: int,
    device: str,
    log: Callable[[str], object],
    best: Mapping[Context, float] | None = None,
    accept: Callable[[Record], object] = lambda _: None,
) -> Verification:
    """Measure a record's model again.

    The new record has the authors, the reference and the licence of the old one, and how it was
    trained, which the model's file must confirm.

    Args:
        path: the record.
        model: the record's model, in a format of `open_model`.
        options: how the model is opened.
        results: the folder in which the new record is stored if it confirms the old one.
        seed: seed of the samples of windows.
        device: where the model runs.
        log: called with a line for each step that takes time.
        best: the smallest loss on the board at each k; far smaller losses are flagged.
        accept: called with the new record before it is stored; an error of it is raised.

    Raises:
        InputError: there is no such record, its task or data have changed, the model is another
            one, or was trained otherwise.
        SubmissionError: the model is refused when it is opened.
        RefusedError: the model fails a check of validity.
        CellError: the model cannot be measured.
        OSError: the record cannot be written.
    """
    old = read_record(path)
    task = _same_task(old, path)
    settings = MeasurementSettings(
        contexts=tuple(point.k for point in old.curve),
        precision=USUAL,  # not the record's: its author would choose what is overlooked
        dtype=_dtype(old, path),
        device=device,
        sample_seed=seed,
    )
    if options.context is None and not model.endswith(".safetensors"):
        options = replace(options, context=_declared(old))
    with open_model(model, task, options) as opened:
        _check_same_model(old, opened, path, model)
        _check_same_training(old, opened, path, model)
        new = measure_submission(
            opened,
            old.model["label"],
            task,
            settings,
            log,
            facts={name: old.model[name] for name in STATED if name in old.model},
            training=old.training,
            best=best,
            trust="rescored",
        )
    found = Verification(_compare(old, new, settings.half_width(task) or 0.0), new)
    accept(new)
    if found.confirmed:
        folder = record_directory(results / "records", task.id)
        # What it confirms, and the signature by which boards know that it was measured here.
        confirms = hashlib.sha256(read_file(path)).hexdigest()
        new = signed(replace(new, measurement={**new.measurement, "confirms": confirms}))
        log(f"confirmed: {write_record(new, folder, f'rescored-{path.stem}')}")
    return found


def _same_task(old: Record, path: Path) -> Task:
    """Return the record's task, after a check that its data are those of the record."""
    task = load_task(old.task.id)
    _check_work(old, path, task)
    here = os.getcwd()
    file = os.path.abspath(expand_user(task.user_file or here))  # nothing of a glob is looked up
    if not Path(file).is_relative_to(here):
        raise InputError(
            f"record {path}: its task {task.id} reads {file}, which is outside of this folder: a "
            "record must not choose what is read; change to a folder that contains it"
        )
    if (task.version, task.data_hash) != (old.task.version, old.task.data_hash):
        raise InputError(
            f"record {path}: was measured on version {old.task.version} of {old.task.id}, data "
            f"{old.task.data_hash[:12]}…; here are version {task.version}, data "
            f"{task.data_hash[:12]}…: the losses cannot be compared"
        )
    said: dict[str, tuple[float | None, float | None]] = {
        "chance": (old.task.chance, task.chance()),
        "optimum": (old.task.optimum, task.optimum("full")),
        "number of symbols held": (old.task.held_symbols, task.held_symbols),
        **{f"optimum at k = {p.k}": (p.optimum, task.optimum(p.k)) for p in old.curve},
    }
    for name, (recorded, known) in said.items():
        # Older versions knew fewer optima.
        if recorded is not None and not _same_fact(recorded, known):
            raise InputError(
                f"record {path}: says that the {name} of {task.id} is {recorded:.6g}; it is "
                f"{'unknown' if known is None else f'{known:.6g}'}: the record is wrong"
            )
    return task


def _check_work(old: Record, path: Path, task: Task) -> None:
    inputs = sum(point.k for point in old.curve if point.k != "full")
    if inputs > (most := max(MOST_INPUTS, OWN * task.longest_context)):
        raise InputError(
            f"record {path}: has {len(old.curve):,} context lengths, {inputs:,} inputs together; "
            f"at most {most:,} are measured again: submit it with fewer or smaller --k"
        )


def _same_fact(recorded: float, known: float | None) -> bool:
    return known is not None and math.isclose(recorded, known, rel_tol=FACTS, abs_tol=FACTS)


def _dtype(old: Record, path: Path) -> DType:
    """Return the floating-point type of the record's measurement."""
    given = old.environment.get("dtype", "float32")
    for dtype in DTYPES:
        if given == dtype:
            return dtype
    raise InputError(f"{path}: was measured in {given!r}; known are {', '.join(DTYPES)}")


def _declared(old: Record) -> int | None:
    """Return the receptive field that the record's model declared."""
    field = old.model.get("receptive_field")
    declared = field.get("declared") if isinstance(field, dict) else None
    return declared if type(declared) is int and declared > 0 else None


def _check_same_model(old: Record, opened: OpenedModel, path: Path, model: str) -> None:
    known = {old.model.get("sha256"), old.model.get("weights_sha256")}
    if opened.sha256 not in known:
        wanted = str(old.model.get("sha256") or old.model.get("weights_sha256"))
        raise InputError(
            f"model '{model}' is not the one of {path}: its sha256 is {opened.sha256[:12]}…, the "
            f"record's {wanted[:12]}…{why_another_hash(old, opened)}"
        )


def _check_same_training(old: Record, opened: OpenedModel, path: Path, model: str) -> None:
    said, known = _grouped(old.training), _grouped(opened.training)
    for name, fact in said.items():
        if fact != known[name]:
            raise InputError(
                f"record {path}: says of the training that {name} is {fact!r:.60}; of '{model}', "
                f"it is {known[name]!r:.60}: the record is wrong"
            )


def _grouped(training: Mapping[str, Any]) -> dict[str, object]:
    """Return the facts of a training by which boards group records into rows."""
    facts = {name: training.get(name) for name in ("k_train", "state", "seed", "budget", "recipe")}
    if isinstance(recipe := facts["recipe"], Mapping):
        facts["recipe"] = {"dtype": "float32", **recipe}  # the first recipes have none
    return facts


def _compare(old: Record, new: Record, requested: float) -> tuple[Comparison, ...]:
    """Compare two curves; recorded half-widths count only up to the precision of the new one."""
    rows = []
    for point in old.curve:
        other = new.point(point.k)
        if other is None:  # measured then, and not now
            rows.append(Comparison(point.k, point.loss.mean, math.nan, 0.0))
            continue
        half_width = min(point.half_width, WIDER * max(requested, other.half_width))
        sampling = MARGIN * math.hypot(half_width, other.half_width)
        rounding = ROUNDING * max(abs(point.loss.mean), old.task.chance * ROUNDING)
        rows.append(Comparison(point.k, point.loss.mean, other.loss.mean, sampling + rounding))
    return tuple(rows)
