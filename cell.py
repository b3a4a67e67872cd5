"""One cell (model, task, k_train, state, seed): train it, measure it, keep a record.

The one place where the rooms meet. What is finished is never done again: trained weights are kept
under a hash of everything that shaped them, and so is what is known of a training that diverged;
records under a hash of that and of how they were measured.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm import tqdm

from seqmem.baselines.certificate import promise
from seqmem.baselines.checkpoint import Checkpoint, load_weights, save_weights
from seqmem.baselines.data_parallel import train_together
from seqmem.baselines.recipes import Recipe, recipe_for
from seqmem.baselines.spec import ModelSpec, architecture_of, build_model, model_class
from seqmem.baselines.training import ClosedForm, Trained, seeded, train
from seqmem.errors import CellError, DivergedError, NotApplicableError, NotTrainableError
from seqmem.leaderboard.failure import Failure, find_failure, write_failure
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.store import FAILURES, find_record, record_directory, write_record
from seqmem.measurement import Measuring, measure_record
from seqmem.provenance import environment_facts, source_sha256, suite_facts
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task

__all__ = [
    "Cell",
    "Settings",
    "TrainingState",
    "known_record",
    "record_place",
    "run_cell",
    "trained_model",
    "training_files",
]

TrainingState = Literal["carried", "reset"]
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
        state: whether a model with state carries it from one segment of k_train inputs to the
            next, or is reset before each window of k_train inputs.
        given_recipe: how the model is trained; None for the budget's way on such a task.
    """

    model: ModelSpec
    task: Task
    k_train: Context | None
    seed: int
    budget: str
    state: TrainingState = "carried"
    given_recipe: Recipe | None = None

    @property
    def recipe(self) -> Recipe:
        """How the model is trained."""
        return self.given_recipe or recipe_for(self.task.family, self.budget)

    @property
    def budget_name(self) -> str:
        """The budget as a record names it: trained in shorter floats is another set-up."""
        dtype = self.recipe.dtype
        return self.budget if dtype == "float32" else f"{self.budget}, {dtype}"

    @property
    def context_trained(self) -> Context:
        """The context it is trained with."""
        return self.recipe.k_train if self.k_train is None else self.k_train

    @property
    def state_trained(self) -> TrainingState | None:
        """What becomes of the state in training; None for a model that has none.

        Where k_train is full, every sequence is one window, and both ways are the same.
        """
        if not model_class(self.model.name).stateful:
            return None
        return "carried" if self.context_trained == "full" else self.state

    def check(self) -> None:
        """Find out before training whether the cell can be.

        Raises:
            NotTrainableError: with another k_train it could be.
            NotApplicableError: it cannot compute with the recipe's floats.
            InputError: the options do not make a model, or the task cannot be trained so.
        """
        recipe, k_train = self.recipe, self.context_trained
        if recipe.dtype != "float32" and model_class(self.model.name).float32_only:
            raise NotApplicableError(
                f"--train-dtype {recipe.dtype}: {self.model.name} computes in float32 only; leave "
                "one of them out"
            )
        model, _ = build_model(self.model, self.task, k_train, recipe.options, device="meta")
        field = model.receptive_field
        if self.k_train not in (None, "full") and field is not None and field > int(self.k_train):
            raise NotTrainableError(
                f"--k-train {self.k_train}: {self.model} sees {field} inputs whatever it is "
                "trained with; choose smaller options or a larger k"
            )
        if isinstance(model, ClosedForm) and not model.reads_training_data:
            return
        self.task.train(self.seed, 0)  # a task without training data says so
        if not model.stateful or not self.task.stream:
            return
        if k_train == "full" or k_train > LONGEST_TRAINED:
            raise NotTrainableError(
                f"--k-train {k_train}: {self.task.id} is one long stream, and {self.model} cannot "
                f"be trained through that much at once; give at most {LONGEST_TRAINED}"
            )

    def __str__(self) -> str:
        """Name the cell for messages."""
        k_train = "" if self.k_train is None else f", k_train={self.k_train}"
        if self.state_trained == "reset":
            k_train = f", k_train={self.context_trained} (reset)"
        return (
            f"{self.model} on {self.task.id}{k_train}, seed {self.seed}, {self.budget_name} budget"
        )


@dataclass(frozen=True)
class Settings:
    """How cells are measured and where results go.

    Attributes:
        results: the folder of records and checkpoints.
        measuring: how trained models are measured.
        fresh: whether finished records and checkpoints are passed over.
        devices: how many train one model together.
    """

    results: Path
    measuring: Measuring
    fresh: bool = False
    devices: int = 1


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


def known_record(cell: Cell, settings: Settings) -> Record | None:
    """Give a cell's record where it is on disk and may be taken."""
    return None if settings.fresh else find_record(*record_place(cell, settings))


def record_place(cell: Cell, settings: Settings) -> tuple[Path, str]:
    """Give the folder of a cell's records and the stem of their names."""
    folder = record_directory(settings.results / "records", cell.task.id)
    trained_by = _identity(cell, settings)
    return folder, f"{cell.model.name}-{_key(trained_by, settings.measuring.identity(cell.task))}"


def training_files(cell: Cell, settings: Settings) -> list[Path]:
    """Give what is on disk of a cell's training: weights, a checkpoint, failures."""
    stem = _training_stem(cell, settings)
    folder = settings.results / "checkpoints" / stem
    failures = record_directory(settings.results / FAILURES, cell.task.id).glob(f"{stem}.*json")
    return sorted([*folder.glob("*"), *failures])


def _training_stem(cell: Cell, settings: Settings) -> str:
    return f"{cell.model.name}-{_key(_identity(cell, settings))}"


def _identity(cell: Cell, settings: Settings) -> dict[str, Any]:
    """Everything that shapes a cell's weights."""
    several = {"devices": settings.devices} if settings.devices > 1 else {}
    return several | {
        "task": cell.task.id,
        "version": cell.task.version,
        "data": _train_hash(cell.task, cell.seed),
        "model": str(cell.model),
        "source": source_sha256(
            "seqmem.baselines.spec",
            "seqmem.baselines.training",
            model_class(cell.model.name).__module__,
            type(cell.task).__module__,
        ),
        "recipe": asdict(cell.recipe),
        "k_train": cell.context_trained,
        "state": cell.state_trained,
        "seed": cell.seed,
        "device": settings.measuring.device,
        "torch": torch.__version__,
    }


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
    identity = _identity(cell, settings)
    with seeded(cell.seed):
        model, options = build_model(cell.model, cell.task, k_train, recipe.options)
    stem = _training_stem(cell, settings)
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
            fitted = _train(model, cell, settings, checkpoint)
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
        "environment": _environment(settings),
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


def _train(model: SequenceModel, cell: Cell, settings: Settings, checkpoint: Checkpoint) -> Trained:
    """Train a model under a progress bar."""
    recipe, k_train = cell.recipe, cell.context_trained
    with tqdm(total=recipe.steps, unit="step", disable=None, leave=False) as bar:
        bar.set_description(f"train {cell.model} on {cell.task.id}")

        def progress(step: int, validation: float) -> None:
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


def _environment(settings: Settings) -> dict[str, Any]:
    return {**environment_facts(settings.measuring.device), "devices": settings.devices}


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
        environment=_environment(settings),
    )
    return write_failure(failure, settings.results, stem)


def _key(*parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _train_hash(task: Task, seed: int) -> str:
    return task.training_hash(seed)
