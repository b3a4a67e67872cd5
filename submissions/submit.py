"""A trained model, from a stranger's file to a record on the board.

It is opened with what its form needs around it, examined on the windows that it will be scored on,
and only then measured. What it is refused for, it is refused for before anything is written.
"""

import math
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from seqmem.baselines import BASELINES
from seqmem.errors import InputError, RefusedError
from seqmem.leaderboard.record import Record, RecordError, from_json, to_json
from seqmem.leaderboard.store import record_directory, write_unless_taken
from seqmem.measuring.gate.curve_checks import check_lead, check_optimum, points_of
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.report import Check, Report, report_text
from seqmem.measuring.record import measure_record
from seqmem.measuring.settings import MeasurementSettings
from seqmem.provenance import source_sha256
from seqmem.submissions.hugging_face.measure import measure_hugging_face
from seqmem.submissions.hugging_face.model import HuggingFaceModel
from seqmem.submissions.hugging_face.token_task import TokenTask
from seqmem.submissions.manifest import Manifest, check_vocabulary
from seqmem.submissions.opening import Handling, Opened, open_model
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task

__all__ = ["Request", "measured", "submit"]

Say = Callable[[str], object]

# Single spaces, within: a name with one behind it would look like another's.
NAME = re.compile(r"(?=.{1,64}$)[A-Za-z0-9][A-Za-z0-9._+-]*( [A-Za-z0-9._+-]+)*")


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        model: the model, in a form of `open_model`.
        name: on the board.
        tasks: task ids.
        results: the folder of records.
        measuring: how it is measured.
        handling: what is around it.
        manifest: what its owner says of it.
        manifest_file: where that was read from; None where nowhere.
    """

    model: str
    name: str
    tasks: tuple[str, ...]
    results: Path
    measuring: MeasurementSettings
    handling: Handling = field(default_factory=Handling)
    manifest: Manifest = field(default_factory=Manifest)
    manifest_file: Path | None = None

    @property
    def command(self) -> str:
        """The command that asks for the same, but for where results and data are."""
        how, usual = self.handling, Handling()
        words = ["seqmem", "submit", self.model, "--name", self.name]
        for task in self.tasks:
            words += ["--task", task]
        if self.measuring.contexts is not None:
            words += ["--k", ",".join(map(str, self.measuring.contexts))]
        if self.measuring.precision is None:
            words.append("--exact")
        else:
            words += ["--precision", str(self.measuring.precision)]
        if self.manifest_file is not None:
            words += ["--manifest", str(self.manifest_file)]
        if how.context is not None:
            words += ["--context", str(how.context)]
        if how.trust:
            words.append("--trust")
        if how.limits.memory_bytes != usual.limits.memory_bytes:
            words += ["--memory", f"{how.limits.memory_bytes / (1 << 30):g}"]
        if how.limits.call_seconds != usual.limits.call_seconds:
            words += ["--timeout", f"{how.limits.call_seconds:g}"]
        if how.threads != usual.threads:
            words += ["--threads", str(how.threads)]
        words += ["--device", self.measuring.device]
        return shlex.join(words)


def submit(request: Request, say: Say) -> list[Record]:
    """Examine and measure a model on each task, and keep a record of each.

    A task on which the same model is on the board under the same name is passed over.

    Returns:
        the records, those that were there already among them.

    Raises:
        InputError: something asked for is wrong.
        SubmissionError: the model cannot be taken.
        RefusedError: it failed a check; nothing of this task is written.
        CellError: it cannot be measured.
        OSError: records cannot be written.
    """
    _check_name(request.name)
    tasks = [load_task(task_id) for task_id in dict.fromkeys(request.tasks)]
    for task in tasks:
        task.split("test")  # data that are missing or altered show now
        request.measuring.half_width(task)
        if request.manifest.vocabulary is not None:
            check_vocabulary(request.manifest.vocabulary, task)
    return [_submit_to(task, request, say) for task in tasks]


def _submit_to(task: Task, request: Request, say: Say) -> Record:
    folder = record_directory(request.results / "records", task.id)
    stem = "submitted-" + request.name.replace(" ", "_")
    with open_model(request.model, task, request.handling) as opened:
        if (known := _on_board(folder / f"{stem}.json", request.name, opened, task)) is not None:
            say(f"{request.name} on {task.id}: this model is on the board already")
            return known
        record = measured(
            opened, request.name, task, request.measuring, say, best=_best(folder, task)
        )
    record = replace(
        record,
        model={**record.model, **request.manifest.facts()},
        measurement={**record.measurement, "command": request.command},
    )
    path = write_unless_taken(to_json(record), folder, stem)
    if path is None:  # another process was first
        known = _on_board(folder / f"{stem}.json", request.name, opened, task)
        if known is None:
            raise InputError(
                f"--name '{request.name}': {folder / stem}.json was written and taken away by "
                "others meanwhile; submit it again"
            )
        say(f"{request.name} on {task.id}: this model is on the board already")
        return known
    say(f"{request.name} on {task.id}: {path}")
    return record


def measured(
    opened: Opened,
    name: str,
    task: Task,
    how: MeasurementSettings,
    say: Say,
    *,
    best: Mapping[Context, float] | None = None,
) -> Record:
    """Examine a model and measure its curve.

    Args:
        opened: the model.
        name: on the board.
        task: the task.
        how: contexts, precision, device, seed of the samples.
        say: called with a line for each step that takes time.
        best: the smallest loss on the board at each k, to flag what is far below.

    Raises:
        RefusedError: it failed a check.
        CellError: it cannot be measured.
    """
    model = opened.model
    report = _examined(model, task, how)
    _hold_to(report, name, task)
    say(f"{name} on {task.id}: passed {len(report.checks)} checks of validity")
    facts = {
        "name": name,
        "label": name,
        "options": {},
        "source_sha256": source_sha256("seqmem.submissions.submit"),
        **opened.facts,
        "sha256": opened.sha256,
    }

    def tell(line: str) -> None:
        say(f"{name} on {task.id}: {line}")

    if isinstance(model, HuggingFaceModel):
        record = measure_hugging_face(model, task, how, tell, label=name, training=opened.training)
        record = replace(record, model={**record.model, **facts})
    else:
        record = measure_record(model, facts, opened.training, task, how, tell)
    report = report.with_checks(check_optimum(points_of(record.curve), task.loss.unit))
    _hold_to(report, name, task)
    report = report.with_checks(_lead(record, best or {}, task))
    for flag in report.flags:
        tell(f"to look at: {flag}")
    field = {"declared": model.receptive_field, "measured": report.measured_context}
    return replace(
        record, model={**record.model, "receptive_field": field}, validity=asdict(report)
    )


def _examined(model: SequenceModel, task: Task, how: MeasurementSettings) -> Report:
    contexts, examined = how.contexts_for(task), task
    if isinstance(model, HuggingFaceModel):  # by its own tokens
        examined = TokenTask(task, model)
        contexts = examined.contexts
    return check_validity(
        model,
        examined,
        examined.split("test"),
        contexts,
        declared=model.receptive_field,
        seed=how.sample_seed,
        device=how.device,
    )


def _hold_to(report: Report, name: str, task: Task) -> None:
    if not report.passed:
        failed = ", ".join(check.name for check in report.failed) or "too little could be checked"
        raise RefusedError(f"{name} on {task.id} is refused: {failed}", report_text(report))


def _lead(record: Record, best: Mapping[Context, float], task: Task) -> Check | None:
    """Compare with the best of the board, where the model sees most."""
    point = record.curve[-1]
    if point.k not in best:
        return None
    width = point.loss.interval
    half = 0.0 if width is None else (width[1] - width[0]) / 2
    return check_lead(point.loss.mean, half, best[point.k], task.chance(), task.loss.unit)


def _best(folder: Path, task: Task) -> dict[Context, float]:
    """Give the smallest loss at each k among the records of a folder that are of these data."""
    best: dict[Context, float] = {}
    for path in folder.glob("*.json"):
        try:
            record = from_json(path.read_text(encoding="utf-8"))
        except (RecordError, OSError, UnicodeDecodeError):
            continue
        if record.task.data_hash != task.data_hash or record.task.version != task.version:
            continue
        for point in record.curve:
            best[point.k] = min(best.get(point.k, math.inf), point.loss.mean)
    return best


def _check_name(name: str) -> None:
    """Refuse a name that is none, or that a baseline has.

    Raises:
        InputError: it is.
    """
    if not NAME.fullmatch(name):
        raise InputError(
            f"--name '{name}': a name has 1 to 64 of a-z, A-Z, 0-9 and . _ + -, single spaces "
            "between them, and begins with a letter or digit"
        )
    if name.lower() in BASELINES:
        raise InputError(f"--name '{name}': is a baseline of the suite; choose another name")


def _on_board(path: Path, name: str, opened: Opened, task: Task) -> Record | None:
    """Give the record of the same model under this name; None where the name is free.

    Raises:
        InputError: the name is another model's.
    """
    try:
        record = from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (RecordError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no record ({error}); move it away") from None
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
        f"{str(record.model.get('sha256'))[:12]}…, this one {opened.sha256[:12]}…); "
        "choose another name"
    )
