"""Running one cell: train its model, measure it, write the record.

What is finished is never done again.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from seqmem.baselines.certificate import guaranteed_context_facts
from seqmem.baselines.spec import architecture_of, build_model, modules_of
from seqmem.baselines.training.checkpoint import Checkpoint, load_weights, save_weights
from seqmem.baselines.training.data_parallel import train_data_parallel
from seqmem.baselines.training.loop import ClosedForm, Trained, seeded, train
from seqmem.errors import CellError, DivergedError, RefusedError
from seqmem.leaderboard.failure import Failure, find_failure, write_failure
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.store import write_record
from seqmem.measuring.checked import Measurable, checked_record
from seqmem.measuring.curve import Curve
from seqmem.measuring.full_context import without_unreadable
from seqmem.measuring.progress_bar import progress_bar
from seqmem.provenance import environment_facts, source_sha256, suite_facts
from seqmem.runs.cell import Cell
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["run_cell", "trained_model"]


def run_cell(
    cell: Cell,
    task: Task,
    log: Callable[[str], object],
    refuse: Callable[[RefusedError], None] | None = None,
    observe: Callable[[Curve], object] | None = None,
) -> Record:
    """Return a cell's record: the one on disk, or a new one, written before it is returned.

    Args:
        cell: what is trained and measured.
        task: its task, loaded.
        log: called with one line for each step that takes time.
        refuse: called where a check of the validity gate fails; then the record is not written.
            None: the error is raised.
        observe: called with the curve if it is measured, not where the record is on disk.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, the model cannot be measured, or a check of the validity gate
            failed.
        OSError: results cannot be written.
    """
    if (known := cell.known_record()) is not None:
        log(f"{cell}: already measured")
        return known
    cell.record_folder.mkdir(parents=True, exist_ok=True)  # fails here, not after training
    model, fit = trained_model(cell, task, log)
    facts = {
        "name": cell.model.name,
        "label": str(cell.model),
        "options": fit.pop("options"),
        "source_sha256": source_sha256(*modules_of(cell.model)),
    }
    if (own := cell.model.own) is not None:
        facts |= own.facts(facts["options"])
    if (certificate := guaranteed_context_facts(model)) is not None:
        facts["certificate"] = certificate
    measuring, note = without_unreadable(model, task, cell.measuring)
    if note is not None:
        log(f"{cell}: {note}")
    refused: list[RefusedError] = []
    record = checked_record(
        Measurable.usual(model, str(cell.model), task, measuring),
        facts,
        {"k_train": cell.k_train, "state": cell.state, **fit},
        task,
        measuring,
        lambda line: log(f"{cell}: {line}"),
        seed=cell.measuring.sample_seed,
        refuse=None if refuse is None else refused.append,
        observe=observe,
    )
    if refuse is not None and refused:
        refuse(refused[0])
        return record
    # Another process may have measured the same in the meantime.
    if (known := cell.known_record()) is not None:
        return known
    write_record(record, cell.record_folder, cell.record_stem)
    return record


def trained_model(
    cell: Cell, task: Task, log: Callable[[str], object]
) -> tuple[SequenceModel, dict[str, Any]]:
    """Return a cell's trained model and its training as a record holds it; reuse what is on disk.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, now or before; that is stored on disk.
        OSError: weights cannot be written.
    """
    task = task.trained_on
    with seeded(cell.seed):
        model, options = build_model(cell.model, task, cell.k_train, cell.recipe.options)
    weights = cell.training_folder / "weights.safetensors"
    checkpoint = Checkpoint(cell.training_folder / "checkpoint.pt")
    if cell.fresh:
        checkpoint.discard()
    elif (fit := load_weights(model, weights)) is not None:
        fit.pop("made", None)
        return model, fit
    elif (known := find_failure(cell.results, task.id, cell.training_stem)) is not None:
        failure, path = known
        raise CellError(
            f"not tried again: training diverged before, {failure.reason} at step "
            f"{failure.step:,} ({path}); --fresh tries again"
        )
    fitted: Trained | None = None
    if isinstance(model, ClosedForm):
        model.fit(task, cell.seed)
    else:
        if (initial := task.initial_outputs()) is not None:
            model.start_from(initial)
        try:
            fitted = _train(model, cell, task, checkpoint, log)
        except DivergedError as error:
            path = _write_failure(error, cell, task)
            checkpoint.discard()  # what resumes from there diverges again
            raise CellError(f"{error} ({path})") from None
    fit = {
        "seed": cell.seed,
        "budget": cell.budget,
        "recipe": cell.recipe.facts() if fitted else None,
        "options": options,
        "data_hash": cell.identity["data"],
        "result": asdict(fitted) if fitted else None,
        "environment": _environment(cell),
    }
    save_weights(model, weights, {"made": _rebuilding(cell, task), **fit})
    checkpoint.discard()
    if fitted:
        log(f"{cell}: trained for {fitted.steps:,} steps in {fitted.seconds:.0f} s")
    return model, fit


def _rebuilding(cell: Cell, task: Task) -> dict[str, Any]:
    """Return everything that, together with the weights, rebuilds the model without its task."""
    architecture = architecture_of(cell.model, task, cell.k_train, cell.recipe.options)
    return {
        "model": str(cell.model),
        "architecture": asdict(architecture, dict_factory=_known),
        "task": {"id": task.id, "version": task.version},
        "k_train": cell.k_train,
        "state": cell.state,
        "suite": suite_facts(),
    }


def _known(facts: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return facts without those that are None, as the separator of most inputs."""
    return {name: value for name, value in facts if value is not None}


def _train(
    model: SequenceModel,
    cell: Cell,
    task: Task,
    checkpoint: Checkpoint,
    log: Callable[[str], object],
) -> Trained:
    """Train a model under a progress bar."""
    recipe = cell.recipe
    with progress_bar(total=recipe.steps, unit="step") as bar:
        bar.set_description(f"train {cell.model} on {task.id}")
        began = False

        def progress(step: int, validation: float) -> None:
            nonlocal began
            if not began and step > 1:
                log(f"{cell}: resumes after step {step - 1:,}, from its checkpoint")
            began = True
            bar.update(step - bar.n)
            if math.isfinite(validation):  # not before the first validation
                bar.set_postfix(valid=f"{validation:.4g}", refresh=False)

        run = train
        if cell.devices > 1:
            make = partial(build_model, cell.model, task, cell.k_train, recipe.options)
            run = partial(train_data_parallel, cell.devices, make)
        return run(
            model,
            task,
            recipe,
            k_train=cell.k_train,
            carry=cell.state != "reset",
            seed=cell.seed,
            device=cell.measuring.device,
            checkpoint=checkpoint,
            progress=progress,
        )


def _environment(cell: Cell) -> dict[str, Any]:
    return {**environment_facts(cell.measuring.device), "devices": cell.devices}


def _write_failure(error: DivergedError, cell: Cell, task: Task) -> Path:
    failure = Failure(
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        reason=error.reason,
        step=error.step,
        losses=error.losses,
        cell={
            "model": str(cell.model),
            "task": task.id,
            "task_version": task.version,
            "k_train": cell.k_train,
            "state": cell.state,
            "seed": cell.seed,
            "budget": cell.budget,
        },
        recipe=cell.recipe.facts(),
        suite=suite_facts(),
        environment=_environment(cell),
    )
    return write_failure(failure, cell.results, cell.training_stem)
