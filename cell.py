"""One cell (model, task, k_train, seed): train it, measure it, keep a record.

The one place where the rooms meet. What is finished is never done again: trained weights are kept
under a hash of everything that shaped them, records under a hash of that and of how they were
measured.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from seqmem.baselines.checkpoint import Checkpoint, load_weights, save_weights, weights_sha256
from seqmem.baselines.recipes import Recipe, recipe_for
from seqmem.baselines.spec import ModelSpec, build_model
from seqmem.baselines.training import ClosedForm, Trained, seeded, train
from seqmem.errors import InputError
from seqmem.leaderboard.record import Record, TaskFacts
from seqmem.leaderboard.store import find_record, record_directory, write_record
from seqmem.provenance import (
    environment_facts,
    source_sha256,
    suite_facts,
    summary_sha256,
)
from seqmem.summary import summarise
from seqmem.tasks.curve import (
    Context,
    Curve,
    expected_steps,
    full_scores,
    measure,
    sample_targets,
)
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["Cell", "Settings", "run_cell"]

SAMPLE_SEED = 0
LONGEST_TRAINED = 8192  # inputs of a stream, through which gradients flow


@dataclass(frozen=True)
class Cell:
    """What is asked for.

    Attributes:
        model: the baseline and its options.
        task: the task.
        k_train: the context to train with; None for the recipe's.
        seed: of weights, training data, order and dropout.
        budget: the training budget.
    """

    model: ModelSpec
    task: Task
    k_train: Context | None
    seed: int
    budget: str

    def check(self) -> None:
        """Find out before training whether the cell can be.

        Raises:
            InputError: the options do not make a model, or the task cannot be trained so.
        """
        recipe = recipe_for(self.task.family, self.budget)
        k_train = recipe.k_train if self.k_train is None else self.k_train
        with torch.device("meta"):
            model, _ = build_model(self.model, self.task, k_train, recipe.options)
        field = model.receptive_field
        if self.k_train not in (None, "full") and field is not None and field > int(self.k_train):
            raise InputError(
                f"--k-train {self.k_train}: {self.model} sees {field} inputs whatever it is "
                "trained with; choose smaller options or a larger k"
            )
        if isinstance(model, ClosedForm) and not model.reads_training_data:
            return
        self.task.train(self.seed, 0)  # a task without training data says so
        if not model.stateful or not self.task.stream:
            return
        if k_train == "full" or k_train > LONGEST_TRAINED:
            raise InputError(
                f"--k-train {k_train}: {self.task.id} is one long stream, and {self.model} cannot "
                f"be trained through that much at once; give at most {LONGEST_TRAINED}"
            )

    def __str__(self) -> str:
        """Name the cell for messages."""
        k_train = "" if self.k_train is None else f", k_train={self.k_train}"
        return f"{self.model} on {self.task.id}{k_train}, seed {self.seed}, {self.budget} budget"


@dataclass(frozen=True)
class Settings:
    """How cells are measured and where results go.

    Attributes:
        results: the folder of records and checkpoints.
        contexts: context lengths, ascending, full last; None for the task's own.
        longest_context: the longest of the task's own to take; None for all.
        exact: whether every target is scored, not a sample of a large test split.
        device: where models run.
        fresh: whether finished records and checkpoints are passed over.
    """

    results: Path
    contexts: tuple[Context, ...] | None = None
    longest_context: int | None = None
    exact: bool = False
    device: str = "cpu"
    fresh: bool = False

    def contexts_for(self, task: Task) -> tuple[Context, ...]:
        """Give the context lengths to measure on a task."""
        if self.contexts is not None:
            return self.contexts
        longest = self.longest_context or task.longest_context
        return (*(k for k in task.contexts if k <= longest), "full")


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
    recipe = recipe_for(cell.task.family, cell.budget)
    k_train = recipe.k_train if cell.k_train is None else cell.k_train
    contexts = settings.contexts_for(cell.task)
    sample = None if settings.exact else cell.task.sample
    trained_by = _identity(cell, recipe, k_train, settings.device)
    measured_by = {
        "contexts": contexts,
        "sample": sample,
        "test": cell.task.data_hash,
        "sample_seed": SAMPLE_SEED,
        "summary": summary_sha256(),
    }
    folder = record_directory(settings.results / "records", cell.task.id)
    stem = f"{cell.model.name}-{_key(trained_by, measured_by)}"
    if not settings.fresh and (known := find_record(folder, stem)) is not None:
        say(f"{cell}: already measured")
        return known
    model, fit = _trained_model(cell, recipe, k_train, trained_by, settings, say)
    record = _measure(cell, model, contexts, sample, settings, {"k_train": k_train, **fit}, say)
    # Another process may have measured the same in the meantime.
    if not settings.fresh and (known := find_record(folder, stem)) is not None:
        return known
    write_record(record, folder, stem)
    return record


def _identity(cell: Cell, recipe: Recipe, k_train: Context, device: str) -> dict[str, Any]:
    """Everything that shapes a cell's weights, and the code that gives its losses."""
    return {
        "task": cell.task.id,
        "version": cell.task.version,
        "data": _train_hash(cell.task, cell.seed),
        "model": str(cell.model),
        "source": source_sha256(cell.model.name),
        "recipe": asdict(recipe),
        "k_train": k_train,
        "seed": cell.seed,
        "device": device,
        "torch": torch.__version__,
    }


def _trained_model(
    cell: Cell,
    recipe: Recipe,
    k_train: Context,
    identity: Mapping[str, Any],
    settings: Settings,
    say: Callable[[str], object],
) -> tuple[SequenceModel, dict[str, Any]]:
    """Give the trained model and what its training was; take up what is on disk."""
    with seeded(cell.seed):
        model, options = build_model(cell.model, cell.task, k_train, recipe.options)
    folder = settings.results / "checkpoints" / f"{cell.model.name}-{_key(identity)}"
    weights = folder / "weights.safetensors"
    checkpoint = Checkpoint(folder / "checkpoint.pt")
    if settings.fresh:
        checkpoint.discard()
    elif (fit := load_weights(model, weights)) is not None:
        return model, fit
    fitted: Trained | None = None
    if isinstance(model, ClosedForm):
        model.fit(cell.task, cell.seed)
    else:
        if (initial := cell.task.initial_outputs()) is not None:
            model.start_from(initial)
        with tqdm(total=recipe.steps, unit="step", disable=None, leave=False) as bar:
            bar.set_description(f"train {cell.model} on {cell.task.id}")

            def progress(step: int, validation: float) -> None:
                bar.update(step - bar.n)
                bar.set_postfix(valid=f"{validation:.4g}", refresh=False)

            fitted = train(
                model,
                cell.task,
                recipe,
                k_train=k_train,
                seed=cell.seed,
                device=settings.device,
                checkpoint=checkpoint,
                progress=progress,
            )
    fit = {
        "seed": cell.seed,
        "budget": cell.budget,
        "recipe": asdict(recipe) if fitted else None,
        "options": options,
        "data_hash": identity["data"],
        "result": asdict(fitted) if fitted else None,
        "environment": environment_facts(settings.device),
    }
    save_weights(model, weights, fit)
    checkpoint.discard()
    if fitted:
        say(f"{cell}: trained for {fitted.steps:,} steps in {fitted.seconds:.0f} s")
    return model, fit


def _measure(
    cell: Cell,
    model: SequenceModel,
    contexts: Sequence[Context],
    sample: int | None,
    settings: Settings,
    fit: dict[str, Any],
    say: Callable[[str], object],
) -> Record:
    task = cell.task
    split = task.split("test")
    chosen = sample_targets(split, sample, SAMPLE_SEED)
    began = time.monotonic()
    steps = expected_steps(split, contexts, chosen)
    with tqdm(total=steps, unit="step", unit_scale=True, disable=None, leave=False) as bar:
        bar.set_description(f"measure {cell.model} on {task.id}")
        curve = measure(
            model,
            task,
            split,
            contexts,
            chosen=chosen,
            device=settings.device,
            progress=bar.update,
        )
        extras = _extras(model, task, curve, settings.device)
    seconds = time.monotonic() - began
    say(f"{cell}: measured {len(chosen):,} targets at {len(contexts)} contexts in {seconds:.0f} s")
    summary = summarise(curve, task, model, contexts)
    parameters = {id(p): p.numel() for p in model.parameters()}  # tied weights count once
    optimum = task.optimum("full")
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
            optimum=optimum,
        ),
        model={
            "name": cell.model.name,
            "label": str(cell.model),
            "options": fit.pop("options"),
            "source_sha256": source_sha256(cell.model.name),
            "weights_sha256": weights_sha256(model),
            "parameters": sum(parameters.values()),
            "receptive_field": {"declared": model.receptive_field, "measured": None},
            "stateful": model.stateful,
        },
        training=fit,
        measurement={
            "method": "exact windows"
            + ("" if len(chosen) == len(split) else " of a sample, as differences to full"),
            "window": "the k most recent inputs since the start of the sequence",
            "full": "state carried" if model.stateful else "whole sequences",
            "targets": len(chosen),
            "targets_total": len(split),
            "sample_seed": SAMPLE_SEED if len(chosen) < len(split) else None,
            "block": task.block_name,
            "interval": "Student's t over groups of whole blocks, 95 %",
            "model_steps": curve.steps,
            "plain_passes": round(curve.steps / len(split.inputs), 2),
            "seconds": round(seconds, 2),
        },
        group_counts=summary.group_counts,
        gain=summary.gain,
        curve=summary.points,
        extras=extras,
        validity=None,
        environment=environment_facts(settings.device),
        trust="self-reported",
    )


def _extras(model: SequenceModel, task: Task, curve: Curve, device: str) -> dict[str, float]:
    whole = task.whole("test")
    if whole is None or curve.full is None:
        return {}
    scores = full_scores(model, task, whole, device=device)
    return {"loss over all positions, full context": float(scores.losses.mean())}


def _key(*parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _train_hash(task: Task, seed: int) -> str:
    return task.training_hash(seed)
