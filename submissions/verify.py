"""Measure a record's model again on windows drawn anew, and confirm or contradict the record."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from seqmem.errors import InputError
from seqmem.leaderboard.record import Context, Record, RecordError, from_json
from seqmem.leaderboard.store import record_directory, write_record
from seqmem.measuring.precision import parse_precision
from seqmem.measuring.settings import DTYPES, DType, MeasurementSettings
from seqmem.submissions.opening import TRUSTED, Handling, Opened, open_model
from seqmem.submissions.submit import measured
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

__all__ = ["Row", "Verification", "verify"]

# Half-widths of 95 % intervals: with four standard errors, chance alone contradicts one record in
# a thousand, of fifteen context lengths each.
MARGIN = 2.0
# Other machines sum in another order.
ROUNDING = 1e-4
# How much wider than asked for an interval may turn out: its spread is an estimate as well.
WIDER = 1.5


@dataclass(frozen=True)
class Row:
    """One context length.

    Attributes:
        k: the context length.
        recorded: the loss in the record.
        found: the loss found now.
        allowed: how far apart the two may be.
    """

    k: Context
    recorded: float
    found: float
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether they are no further apart than that."""
        return abs(self.recorded - self.found) <= self.allowed


@dataclass(frozen=True)
class Verification:
    """What measuring again has shown.

    Attributes:
        rows: k ascending, full last.
        record: the new one; marked "rescored" where the old one is confirmed.
    """

    rows: tuple[Row, ...]
    record: Record

    @property
    def confirmed(self) -> bool:
        """Whether every context length agrees."""
        return all(row.agrees for row in self.rows)


def verify(
    path: Path,
    model: str,
    handling: Handling,
    results: Path,
    *,
    seed: int,
    device: str,
    say: Callable[[str], object],
) -> Verification:
    """Measure a record's model again.

    Args:
        path: the record.
        model: the model that it is of, in a form of `open_model`.
        handling: what is around it.
        results: where the new record goes if it confirms the old one.
        seed: of the windows.
        device: where the model runs.
        say: called with a line for each step that takes time.

    Raises:
        InputError: there is no such record, its task or data are not what they were, or the model
            is another one.
        SubmissionError: the model cannot be taken.
        RefusedError: it fails a check of validity.
        CellError: it cannot be measured.
        OSError: the record cannot be written.
    """
    old = _read(path)
    task = _same_task(old, path)
    precision = old.measurement.get("precision")
    how = MeasurementSettings(
        contexts=tuple(point.k for point in old.curve),
        precision=None if precision is None else parse_precision(str(precision)),
        dtype=_dtype(old, path),
        device=device,
        sample_seed=seed,
    )
    if handling.context is None and not model.endswith(".safetensors"):
        handling = replace(handling, context=_declared(old))
    with open_model(model, task, handling) as opened:
        _check_same_model(old, opened, path, model, handling)
        new = measured(opened, old.model["label"], task, how, say)
    new = replace(new, trust="rescored", training=old.training)
    found = Verification(_rows(old, new, how.half_width(task) or 0.0), new)
    if found.confirmed:
        folder = record_directory(results / "records", task.id)
        say(f"confirmed: {write_record(new, folder, f'rescored-{path.stem}')}")
    return found


def _read(path: Path) -> Record:
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"record {path}: cannot be read ({error.strerror})") from None
    except (RecordError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no record ({error})") from None


def _same_task(old: Record, path: Path) -> Task:
    """Load the record's task; its data must be those of the record."""
    task = load_task(old.task.id)
    if (task.version, task.data_hash) != (old.task.version, old.task.data_hash):
        raise InputError(
            f"record {path}: was measured on version {old.task.version} of {old.task.id}, data "
            f"{old.task.data_hash[:12]}…; here are version {task.version}, data "
            f"{task.data_hash[:12]}…: nothing can be said of it"
        )
    return task


def _dtype(old: Record, path: Path) -> DType:
    """Give what the record's model computed with."""
    given = old.environment.get("dtype", "float32")
    for dtype in DTYPES:
        if given == dtype:
            return dtype
    raise InputError(f"{path}: was measured in {given!r}, one of {', '.join(DTYPES)} is known here")


def _declared(old: Record) -> int | None:
    """Give the receptive field that the record's model declared."""
    field = old.model.get("receptive_field")
    declared = field.get("declared") if isinstance(field, dict) else None
    return declared if type(declared) is int and declared > 0 else None


def _check_same_model(old: Record, opened: Opened, path: Path, model: str, how: Handling) -> None:
    known = {old.model.get("sha256"), old.model.get("weights_sha256")}
    if opened.sha256 not in known:
        wanted = str(old.model.get("sha256") or old.model.get("weights_sha256"))
        raise InputError(
            f"model '{model}' is not the one of {path}: its sha256 is {opened.sha256[:12]}…, the "
            f"record's {wanted[:12]}…{_hint(old, opened, how)}"
        )


def _hint(old: Record, opened: Opened, how: Handling) -> str:
    """Say what may be the reason."""
    if opened.facts["format"] != "python":
        return ""
    if (old.model.get("isolation") == TRUSTED) != how.trust:
        return "; it was measured " + ("without --trust" if how.trust else "with --trust")
    return "; it is of all files in the code's folder, of which one has changed"


def _rows(old: Record, new: Record, asked: float) -> tuple[Row, ...]:
    """Compare; a record that says how little it knows is believed up to what it was asked for."""
    rows = []
    for point in old.curve:
        other = new.point(point.k)
        if other is None:  # measured then, and not now
            rows.append(Row(point.k, point.loss.mean, math.nan, 0.0))
            continue
        believed = min(point.half_width, WIDER * max(asked, other.half_width))
        sampling = MARGIN * math.hypot(believed, other.half_width)
        rounding = ROUNDING * max(abs(point.loss.mean), old.task.chance * ROUNDING)
        rows.append(Row(point.k, point.loss.mean, other.loss.mean, sampling + rounding))
    return tuple(rows)
