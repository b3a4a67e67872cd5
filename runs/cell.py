"""One cell (model, task, k_train, state, seed): what is asked for, and where its results are.

Trained weights are kept under a hash of everything that shaped them, and so is what is known of a
training that diverged; records under a hash of that and of how they were measured.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from seqmem.baselines.spec import ModelSpec, build_model, model_class
from seqmem.baselines.training.loop import ClosedForm
from seqmem.baselines.training.recipes import Recipe, recipe_for
from seqmem.errors import NotApplicableError, NotTrainableError
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.store import FAILURES, find_record, record_directory
from seqmem.measuring.measurement import Measuring
from seqmem.provenance import source_sha256
from seqmem.tasks.task import Context, Task

__all__ = [
    "Cell",
    "Settings",
    "TrainingState",
    "devices_of",
    "identity_of",
    "kept",
    "known_record",
    "record_place",
    "training_files",
    "training_stem",
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
        remote: what the folder is a local copy of; None: of nothing.
    """

    results: Path
    measuring: Measuring
    fresh: bool = False
    devices: int = 1
    remote: RemoteResults | None = None


def known_record(cell: Cell, settings: Settings) -> Record | None:
    """Give a cell's record where it is on disk and may be taken."""
    return None if settings.fresh else find_record(*record_place(cell, settings))


def record_place(cell: Cell, settings: Settings) -> tuple[Path, str]:
    """Give the folder of a cell's records and the stem of their names."""
    folder = record_directory(settings.results / "records", cell.task.id)
    trained_by = identity_of(cell, settings)
    return folder, f"{cell.model.name}-{_key(trained_by, settings.measuring.identity(cell.task))}"


def training_files(cell: Cell, settings: Settings) -> list[Path]:
    """Give what is on disk of a cell's training: weights, a checkpoint, failures."""
    found = [settings.results.glob(pattern) for pattern in _training_patterns(cell, settings)]
    return sorted(path for paths in found for path in paths)


def devices_of(cell: Cell, settings: Settings) -> int:
    """Give how many train a cell's model together: one, where it is only computed."""
    return 1 if hasattr(model_class(cell.model.name), "fit") else settings.devices


@contextmanager
def kept(cell: Cell, settings: Settings) -> Iterator[None]:
    """Keep what is on disk of a cell as it is behind a URL, where results are to be there.

    Raises:
        OSError: it cannot be reached.
    """
    if settings.remote is None:
        yield
        return
    folder, stem = record_place(cell, settings)
    record = folder.relative_to(settings.results) / f"{stem}*.json"
    known = known_record(cell, settings) is not None  # then its weights are of no use here
    patterns = () if known else _training_patterns(cell, settings)
    # The record last: where it is, all is.
    with settings.remote.followed(settings.results, [*patterns, record.as_posix()]):
        yield


def _training_patterns(cell: Cell, settings: Settings) -> tuple[str, str]:
    stem = training_stem(cell, settings)
    failures = record_directory(Path(FAILURES), cell.task.id).as_posix()
    return f"checkpoints/{stem}/*", f"{failures}/{stem}.*json"


def training_stem(cell: Cell, settings: Settings) -> str:
    """Name what is kept of a cell's training."""
    return f"{cell.model.name}-{_key(identity_of(cell, settings))}"


def identity_of(cell: Cell, settings: Settings) -> dict[str, Any]:
    """Everything that shapes a cell's weights."""
    devices = devices_of(cell, settings)
    return ({"devices": devices} if devices > 1 else {}) | {
        "task": cell.task.id,
        "version": cell.task.version,
        "data": _train_hash(cell.task, cell.seed),
        "model": str(cell.model),
        "source": source_sha256(
            "seqmem.baselines.spec",
            "seqmem.baselines.training.loop",
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


def _key(*parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _train_hash(task: Task, seed: int) -> str:
    return task.training_hash(seed)
