"""Running one cell: train it, measure it, keep a record.

The one place where the rooms meet. What is finished is never done again.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seqmem.baselines.certificate import promise
from seqmem.baselines.spec import architecture_of, build_model, model_class
from seqmem.baselines.training.checkpoint import Checkpoint, load_weights, save_weights
from seqmem.baselines.training.data_parallel import train_together
from seqmem.baselines.training.loop import ClosedForm, Trained, seeded, train
from seqmem.errors import CellError, DivergedError
from seqmem.leaderboard.failure import Failure, find_failure, write_failure
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.store import find_record, write_record
from seqmem.measuring.measurement import measure_record
from seqmem.provenance import environment_facts, source_sha256, suite_facts
from seqmem.runs.cell import (
    Cell,
    Settings,
    devices_of,
    identity_of,
    known_record,
    record_place,
    training_stem,
)
from seqmem.tasks.model import SequenceModel

__all__ = ["run_cell", "trained_model"]


def run_cell(cell: Cell, settings: Settings, say: Callable[[str], object]) -> Record:
    """Give a cell's record: the one on disk, or a new one, written before it is given.

    Args:
        cell: what is asked for.
        settings: how.
        say: called with one line for each step that takes time.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, or the model cannot be measured.
        OSError: results cannot be written.
    """
    folder, stem = record_place(cell, settings)
    if (known := known_record(cell, settings)) is not None:
        say(f"{cell}: already measured")
        return known
    model, fit = trained_model(cell, settings, say)
    facts = {
        "name": cell.model.name,
        "label": str(cell.model),
        "options": fit.pop("options"),
        "source_sha256": source_sha256(model_class(cell.model.name).__module__),
    }
    if (promised := promise(model)) is not None:
        facts["certificate"] = promised
    record = measure_record(
        model,
        facts,
        {"k_train": cell.context_trained, "state": cell.state_trained, **fit},
        cell.task,
        settings.measuring,
        lambda line: say(f"{cell}: {line}"),
    )
    # Another process may have measured the same in the meantime.
    if not settings.fresh and (known := find_record(folder, stem)) is not None:
        return known
    write_record(record, folder, stem)
    return record


def trained_model(
    cell: Cell, settings: Settings, say: Callable[[str], object]
) -> tuple[SequenceModel, dict[str, Any]]:
    """Give a cell's trained model and what its training was; take up what is on disk.

    Raises:
        InputError: the options do not make a model, or data are missing or altered.
        CellError: training diverged, now or before; it is kept on disk.
        OSError: weights cannot be written.
    """
    recipe, k_train = cell.recipe, cell.context_trained
    identity = identity_of(cell, settings)
    with seeded(cell.seed):
        model, options = build_model(cell.model, cell.task, k_train, recipe.options)
    stem = training_stem(cell, settings)
    folder = settings.results / "checkpoints" / stem
    weights = folder / "weights.safetensors"
    checkpoint = Checkpoint(folder / "checkpoint.pt")
    if settings.fresh:
        checkpoint.discard()
    elif (fit := load_weights(model, weights)) is not None:
        fit.pop("made", None)
        return model, fit
    elif (known := find_failure(settings.results, cell.task.id, stem)) is not None:
        failure, path = known
        raise CellError(
            f"not tried again: training diverged before, {failure.reason} at step "
            f"{failure.step:,} ({path}); --fresh tries again"
        )
    fitted: Trained | None = None
    if isinstance(model, ClosedForm):
        model.fit(cell.task, cell.seed)
    else:
        if (initial := cell.task.initial_outputs()) is not None:
            model.start_from(initial)
        try:
            fitted = _train(model, cell, settings, checkpoint, say)
        except DivergedError as error:
            path = _write_failure(error, cell, settings, stem)
            checkpoint.discard()  # what goes on from there diverges again
            raise CellError(f"{error} ({path})") from None
    fit = {
        "seed": cell.seed,
        "budget": cell.budget_name,
        "recipe": asdict(recipe) if fitted else None,
        "options": options,
        "data_hash": identity["data"],
        "result": asdict(fitted) if fitted else None,
        "environment": _environment(cell, settings),
    }
    save_weights(model, weights, {"made": _made(cell), **fit})
    checkpoint.discard()
    if fitted:
        say(f"{cell}: trained for {fitted.steps:,} steps in {fitted.seconds:.0f} s")
    return model, fit


def _made(cell: Cell) -> dict[str, Any]:
    """Everything that, together with the weights, makes the model again without its task."""
    recipe, k_train = cell.recipe, cell.context_trained
    return {
        "model": str(cell.model),
        "architecture": asdict(architecture_of(cell.model, cell.task, k_train, recipe.options)),
        "task": {"id": cell.task.id, "version": cell.task.version},
        "k_train": k_train,
        "state": cell.state_trained,
        "suite": suite_facts(),
    }


def _train(
    model: SequenceModel,
    cell: Cell,
    settings: Settings,
    checkpoint: Checkpoint,
    say: Callable[[str], object],
) -> Trained:
    """Train a model under a progress bar."""
    recipe, k_train = cell.recipe, cell.context_trained
    with tqdm(total=recipe.steps, unit="step", disable=None, leave=False) as bar:
        bar.set_description(f"train {cell.model} on {cell.task.id}")
        began = False

        def progress(step: int, validation: float) -> None:
            nonlocal began
            if not began and step > 1:
                say(f"{cell}: goes on behind step {step - 1:,}, from its checkpoint")
            began = True
            bar.update(step - bar.n)
            bar.set_postfix(valid=f"{validation:.4g}", refresh=False)

        run = train
        if settings.devices > 1:
            make = partial(build_model, cell.model, cell.task, k_train, recipe.options)
            run = partial(train_together, settings.devices, make)
        return run(
            model,
            cell.task,
            recipe,
            k_train=k_train,
            carry=cell.state_trained != "reset",
            seed=cell.seed,
            device=settings.measuring.device,
            checkpoint=checkpoint,
            progress=progress,
        )


def _environment(cell: Cell, settings: Settings) -> dict[str, Any]:
    facts = environment_facts(settings.measuring.device)
    return {**facts, "devices": devices_of(cell, settings)}


def _write_failure(error: DivergedError, cell: Cell, settings: Settings, stem: str) -> Path:
    failure = Failure(
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        reason=error.reason,
        step=error.step,
        losses=error.losses,
        cell={
            "model": str(cell.model),
            "task": cell.task.id,
            "task_version": cell.task.version,
            "k_train": cell.context_trained,
            "state": cell.state_trained,
            "seed": cell.seed,
            "budget": cell.budget_name,
        },
        recipe=asdict(cell.recipe),
        suite=suite_facts(),
        environment=_environment(cell, settings),
    )
    return write_failure(failure, settings.results, stem)
