"""Submit a trained model: open it, check it, measure it, and add a record to the board.

A model is opened with the isolation that its format needs, checked on the windows on which it is
scored, and only then measured. A refused model leaves no files.
"""

import math
import secrets
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqmem.baselines import BASELINES
from seqmem.errors import InputError, RefusedError
from seqmem.files import read_file, require_writable
from seqmem.leaderboard.record import (
    Record,
    RecordError,
    TaskFacts,
    from_json,
    is_name,
    to_json,
)
from seqmem.leaderboard.store import COMMITTED, read_records, record_directory, write_unless_taken
from seqmem.measuring.checked import Measurable, checked_record
from seqmem.measuring.curve import Curve
from seqmem.measuring.full_context import without_unreadable
from seqmem.measuring.settings import MeasurementSettings
from seqmem.provenance import source_sha256
from seqmem.submissions.manifest import Manifest, check_vocabulary
from seqmem.submissions.opening import OpenedModel, OpenOptions, check_format, open_model
from seqmem.tasks import load_task
from seqmem.tasks.task import Context, Task
from seqmem.tasks.unknown_words import check_known_words

__all__ = [
    "SubmitRequest",
    "best_losses",
    "check_name",
    "measure_submission",
    "read_record",
    "stem_of",
    "submit",
    "why_another_hash",
]

Log = Callable[[str], object]


@dataclass(frozen=True)
class SubmitRequest:
    """A model to submit, and how.

    Attributes:
        model: the model, in a format of `open_model`.
        name: the name on the board.
        tasks: task ids.
        results: the folder of results.
        settings: how the model is measured.
        options: how the model is opened.
        manifest: what the owner states about the model.
        manifest_file: the manifest's file; None without one.
    """

    model: str
    name: str
    tasks: tuple[str, ...]
    results: Path
    settings: MeasurementSettings
    options: OpenOptions = field(default_factory=OpenOptions)
    manifest: Manifest = field(default_factory=Manifest)
    manifest_file: Path | None = None

    @property
    def command(self) -> str:
        """The command line of this request, without the folders of results and data."""
        options, usual = self.options, OpenOptions()
        contexts, precision = self.settings.contexts, self.settings.precision
        memory, seconds = options.limits.memory_bytes, options.limits.call_seconds
        values = {
            "--k": None if contexts is None else ",".join(map(str, contexts)),
            "--precision": precision,
            "--manifest": self.manifest_file,
            "--context": options.context,
            "--memory": None if memory == usual.limits.memory_bytes else f"{memory / (1 << 30):g}",
            "--timeout": None if seconds == usual.limits.call_seconds else f"{seconds:g}",
            "--threads": None if options.threads == usual.threads else options.threads,
            "--device": self.settings.device,
        }
        words = ["seqmem", "submit", self.model, "--name", self.name]
        for task in self.tasks:
            words += ["--task", task]
        for option, value in values.items():
            words += [] if value is None else [option, str(value)]
        words += ["--exact"] * (precision is None) + ["--trust"] * options.trust
        return shlex.join(words)


def submit(request: SubmitRequest, log: Log) -> list[Record]:
    """Check and measure a model on each task, and store a record of each.

    A task is skipped if the same model is on the board under the same name.

    Args:
        request: the model, and how it is submitted.
        log: called with a line for each step that takes time.

    Returns:
        the records, including those of skipped tasks.

    Raises:
        InputError: something in the request is wrong.
        SubmissionError: the model is refused when it is opened.
        RefusedError: the model fails a check; no record of this task is written.
        CellError: the model cannot be measured.
        OSError: records cannot be written.
    """
    check_name(request.name)
    check_format(request.model)  # before data are read, perhaps from the hub
    tasks = [load_task(task_id) for task_id in dict.fromkeys(request.tasks)]
    for task in tasks:
        check_known_words(task)  # fails here if data are missing or altered
        request.settings.half_width(task)
        if request.manifest.vocabulary is not None:
            check_vocabulary(request.manifest.vocabulary, task)
    require_writable(request.results, "--results")
    return [_submit_to(task, request, log) for task in tasks]


def _submit_to(task: Task, request: SubmitRequest, log: Log) -> Record:
    folder = record_directory(request.results / "records", task.id)
    committed = record_directory(COMMITTED, task.id)
    stem = stem_of(request.name)
    path = folder / f"{stem}.json"
    with open_model(request.model, task, request.options) as opened:
        if covers := opened.facts.get("sha256_covers"):
            log(f"{request.name} on {task.id}: identified by the hash of {covers}")
        known = _known_record(path, request.name, opened, task)
        if known is None:
            record = measure_submission(
                opened,
                request.name,
                task,
                request.settings,
                log,
                facts=request.manifest.facts(),
                best=best_losses(read_records([folder, committed])[0], task),
                command=request.command,
            )
            if write_unless_taken(to_json(record), folder, stem) is not None:
                log(f"{request.name} on {task.id}: {path}")
                return record
            known = _known_record(path, request.name, opened, task)  # by another process
            if known is None:
                raise InputError(
                    f"--name '{request.name}': other processes wrote and removed {path} "
                    "meanwhile; submit it again"
                )
    log(f"{request.name} on {task.id}: this model is on the board already")
    return known


def measure_submission(
    opened: OpenedModel,
    name: str,
    task: Task,
    settings: MeasurementSettings,
    log: Log,
    *,
    facts: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    best: Mapping[Context, float] | None = None,
    command: str | None = None,
    trust: str = "self-reported",
    seed: int | None = None,
    refuse: Callable[[RefusedError], None] | None = None,
    observe: Callable[[Curve], object] | None = None,
) -> Record:
    """Check a model and measure its curve; return the record.

    Args:
        opened: the model.
        name: the name on the board.
        task: the task.
        settings: context lengths, precision, device, seed of the samples.
        log: called with a line for each step that takes time.
        facts: further facts about the model for the record.
        training: how it was trained; None: as far as its format contains it.
        best: the smallest loss on the board at each k; far smaller losses are flagged.
        command: the command that measures the same.
        trust: who vouches for the record.
        seed: seed of everything that the validity gate draws; None: one that nobody can foresee.
        refuse: called where a check fails; None: the error is raised.
        observe: called with the measured curve.

    Raises:
        RefusedError: the model fails a check.
        CellError: the model cannot be measured.
    """

    def report(line: str) -> None:
        log(f"{name} on {task.id}: {line}")

    checked, contexts = opened.checked_task(task, settings)
    if checked is task:  # else the model reads its own tokens
        settings, note = without_unreadable(opened.model, task, settings)
        contexts = settings.contexts_for(task)
        if note is not None:
            is_onnx = opened.facts.get("format") == "onnx"
            report(f"{note}; docs/your_model.md says how a file carries one" if is_onnx else note)

    return checked_record(
        Measurable(
            opened.model,
            name,
            lambda note: opened.measure(name, task, settings, note),
            checked,
            contexts,
            opened.restart,
            opened.untrusted,
        ),
        {
            "name": name,
            "label": name,
            "options": {},
            "source_sha256": source_sha256("seqmem.submissions.submit"),
            **opened.facts,
            "sha256": opened.sha256,
            **(facts or {}),
        },
        opened.training if training is None else training,
        task,
        settings,
        report,
        seed=secrets.randbits(63) if seed is None else seed,
        best=best,
        command=command,
        trust=trust,
        refuse=refuse,
        observe=observe,
    )


def best_losses(records: Iterable[Record], task: Task | TaskFacts) -> dict[Context, float]:
    """Return the smallest loss of any record at each k on the task's test data."""
    best: dict[Context, float] = {}
    for record in records:
        if record.task.data_hash == task.data_hash and record.task.version == task.version:
            for point in record.curve:
                best[point.k] = min(best.get(point.k, math.inf), point.loss.mean)
    return best


def stem_of(name: str) -> str:
    """Return the name of a submitted model's file, without ".json"."""
    return "submitted-" + name.replace(" ", "_")


def check_name(name: str) -> None:
    """Check that a name is valid and not a baseline's.

    Raises:
        InputError: it is not.
    """
    if not is_name(name):
        raise InputError(
            f"--name '{name}': a name has 1 to 64 of a-z, A-Z, 0-9 and . _ + -, single spaces "
            "between them, begins with a letter or digit, and is neither chance nor optimum"
        )
    if name.lower() in BASELINES:
        raise InputError(f"--name '{name}': is a baseline of seqmem; choose another name")


def read_record(path: Path) -> Record:
    """Return the record in a file.

    Raises:
        InputError: it cannot be read, or is not a record.
    """
    try:
        return from_json(read_file(path))
    except OSError as error:
        raise InputError(f"record {path}: cannot be read ({error.strerror})") from None
    except RecordError as error:
        raise InputError(f"{path}: is not a record ({error})") from None


def _known_record(path: Path, name: str, opened: OpenedModel, task: Task) -> Record | None:
    """Return the record of the same model under this name; None if the name is free.

    Raises:
        InputError: another model has the name.
    """
    if not path.exists():
        return None
    record = read_record(path)
    if record.model["label"] != name:
        raise InputError(
            f"--name '{name}': {path} is the record of '{record.model['label']}', whose file has "
            "the same name; choose another one"
        )
    same = record.model.get("sha256") == opened.sha256
    if same and record.task.data_hash == task.data_hash and record.task.version == task.version:
        return record
    what = "of another model" if not same else "of other test data"
    raise InputError(
        f"--name '{name}': {path} is a record {what} (sha256 "
        f"{str(record.model.get('sha256'))[:12]}…, this one "
        f"{opened.sha256[:12]}…{'' if same else why_another_hash(record, opened)}); "
        "choose another name"
    )


def why_another_hash(record: Record, opened: OpenedModel) -> str:
    """Return a possible reason why a model has another hash than in a record, as an addition."""
    before, now = record.model.get("format"), opened.facts["format"]
    if before not in (None, now):
        return f"; that is a model in {before} format, this one in {now} format"
    covers = opened.facts.get("sha256_covers")
    if covers is None:  # of a file's bytes, in every version
        return ""
    if "sha256_covers" not in record.model:
        return (
            f"; an older version of seqmem wrote the record, and formed the hash of a model in "
            f"{record.model.get('format', 'this format')} format in another way, so that it cannot "
            "be told whether this is the same model"
        )
    return f"; the hash covers {covers}, and something of these has changed"
