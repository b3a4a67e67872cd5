"""One planned cell (model, task, k_train, state, seed): what identifies it and where it is stored.

Trained weights are stored under a hash of everything that shaped them, and so is the record of a
training that diverged; records under a hash of that and of how they were measured.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch

from seqmem.baselines.spec import ModelSpec, build_model, modules_of
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.baselines.training.recipes import Recipe, recipe_for
from seqmem.errors import InputError, NotApplicableError, NotTrainableError
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.leaderboard.store import FAILURES, find_record, record_directory
from seqmem.measuring.settings import DType, MeasurementSettings
from seqmem.provenance import source_sha256
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Task
from seqmem.tasks.unknown_words import check_known_words

__all__ = ["Cell", "TrainingState", "check_trainable", "plan_cell", "training_hash"]

TrainingState = Literal["carried", "reset"]
LONGEST_TRAINED = 8192  # inputs of a stream, through which gradients flow


@dataclass(frozen=True)
class Cell:
    """One training and its measurement, planned: plain data that other processes can be sent.

    Attributes:
        name: for messages.
        model: the baseline and its options.
        task_id: the task; whoever runs the cell loads it.
        k_train: the context to train with.
        state: whether the state is carried from one training segment to the next, or reset before
            each window of k_train inputs; None for a model without state.
        seed: of weights, training data, order and dropout.
        budget: the training budget, as a record names it.
        recipe: how the model is trained.
        measuring: how the trained model is measured.
        results: the folder of records and checkpoints.
        fresh: whether finished records and checkpoints are ignored.
        devices: how many devices train the model together.
        remote: what the results folder is a local copy of; None: of nothing.
        identity: everything that shapes the weights.
        measurement_identity: everything that shapes what is measured of given weights.
    """

    name: str
    model: ModelSpec
    task_id: str
    k_train: Context
    state: TrainingState | None
    seed: int
    budget: str
    recipe: Recipe
    measuring: MeasurementSettings
    results: Path
    fresh: bool
    devices: int
    remote: RemoteResults | None
    identity: Mapping[str, Any]
    measurement_identity: Mapping[str, Any]

    def __str__(self) -> str:
        """Return the name."""
        return self.name

    @property
    def training_stem(self) -> str:
        """The name under which the training is stored."""
        return f"{self.model.name}-{_key(self.identity)}"

    @property
    def training_folder(self) -> Path:
        """The folder of the checkpoint and the weights."""
        return self.results / "checkpoints" / self.training_stem

    @property
    def record_folder(self) -> Path:
        """The folder of the task's records."""
        return record_directory(self.results / "records", self.task_id)

    @property
    def record_stem(self) -> str:
        """The name of the record, without its number and ending."""
        return f"{self.model.name}-{_key(self.identity, self.measurement_identity)}"

    def known_record(self) -> Record | None:
        """Return the cell's record where it is on disk and may be reused."""
        return None if self.fresh else find_record(self.record_folder, self.record_stem)

    def training_files(self) -> list[Path]:
        """Return what is on disk of the training: weights, a checkpoint, failures."""
        return sorted(
            path for pattern in self._training_patterns() for path in self.results.glob(pattern)
        )

    @contextmanager
    def synchronised(self) -> Iterator[None]:
        """Keep the cell's files equal to those at the URL of the results, where there is one.

        Raises:
            OSError: the URL cannot be reached.
        """
        if self.remote is None:
            yield
            return
        record = self.record_folder.relative_to(self.results) / f"{self.record_stem}*.json"
        measured = self.known_record() is not None  # then its weights are of no use here
        patterns = () if measured else self._training_patterns()
        # The record last: where it is, all is.
        with self.remote.synchronised(self.results, [*patterns, record.as_posix()]):
            yield

    def _training_patterns(self) -> tuple[str, str]:
        failures = record_directory(Path(FAILURES), self.identity["task"]).as_posix()
        return f"checkpoints/{self.training_stem}/*", f"{failures}/{self.training_stem}.*json"


def plan_cell(
    model: ModelSpec,
    task: Task,
    results: Path,
    *,
    k_train: Context | None = None,
    seed: int = 0,
    budget: str = "small",
    state: TrainingState = "carried",
    recipe: Recipe | None = None,
    train_dtype: DType | None = None,
    measuring: MeasurementSettings | None = None,
    fresh: bool = False,
    devices: int = 1,
    remote: RemoteResults | None = None,
) -> Cell:
    """Check that a cell can be trained and measured, and plan it.

    Args:
        model: the baseline and its options.
        task: the task, loaded.
        results: the folder of records and checkpoints.
        k_train: the context to train with; None for the recipe's.
        seed: of weights, training data, order and dropout.
        budget: the training budget.
        state: what a model with state does with it between training segments. Where k_train is
            full, every sequence is one window, and both ways are the same.
        recipe: how the model is trained; None for the budget's recipe for such a task.
        train_dtype: the floats of its matrix products; None for the recipe's, or float32 for a
            model that computes in nothing else.
        measuring: how it is measured; None for the defaults.
        fresh: whether finished records and checkpoints are ignored.
        devices: how many devices train the model together; a model in closed form takes one.
        remote: what the results folder is a local copy of.

    Raises:
        NotTrainableError: with another k_train it could be trained.
        NotApplicableError: the model cannot compute with the requested floats.
        InputError: the options do not make a model, or the task cannot be trained so.
    """
    trained = task.trained_on
    recipe = recipe or recipe_for(task.family, budget)
    measuring = measuring or MeasurementSettings()
    built = check_trainable(model, trained, recipe, k_train, seed)
    for option, dtype in (("--dtype", measuring.dtype), ("--train-dtype", train_dtype)):
        if dtype not in (None, "float32") and built.float32_only:
            raise NotApplicableError(
                f"{option} {dtype}: {model.name} computes in float32 only; leave one of them out"
            )
    check_known_words(task)
    if devices > recipe.batch:
        raise InputError(
            f"--devices {devices}: they share a batch of {recipe.batch} on {task.id}; give at "
            "most as many"
        )
    trained_with = recipe.k_train if k_train is None else k_train
    trained_state: TrainingState | None = None
    if built.stateful:
        trained_state = "carried" if trained_with == "full" else state
    if isinstance(built, ClosedForm):
        devices = 1
    usual: DType = "float32" if built.float32_only else recipe.dtype
    recipe = replace(recipe, dtype=train_dtype or usual)
    if recipe.dtype != usual:
        budget = f"{budget}, {recipe.dtype}"
    described = "" if k_train is None else f", k_train={k_train}"
    if trained_state == "reset":
        described = f", k_train={trained_with} (reset)"
    identity: dict[str, Any] = {"devices": devices} if devices > 1 else {}
    if model.own is not None:
        identity |= {"own": model.own.source_sha256, "kind": model.own.kind}
    identity |= {
        "task": trained.id,  # once for all that are variants of it
        "version": task.version,
        "data": training_hash(trained, seed),
        "model": str(model),
        "source": source_sha256(
            "seqmem.baselines.spec",
            "seqmem.baselines.training.loop",
            *modules_of(model),
            type(task).__module__,
        ),
        "recipe": recipe.facts(),
        "k_train": trained_with,
        "state": trained_state,
        "seed": seed,
        "device": measuring.device,
        "torch": torch.__version__,
    }
    return Cell(
        name=f"{model} on {task.id}{described}, seed {seed}, budget {budget}",
        model=model,
        task_id=task.id,
        k_train=trained_with,
        state=trained_state,
        seed=seed,
        budget=budget,
        recipe=recipe,
        measuring=measuring,
        results=results,
        fresh=fresh,
        devices=devices,
        remote=remote,
        identity=identity,
        measurement_identity=measuring.identity(task),
    )


def check_trainable(
    model: ModelSpec, task: Task, recipe: Recipe, k_train: Context | None, seed: int = 0
) -> SequenceModel:
    """Find out before training whether a model can be trained on a task.

    Returns:
        the model, untrained and perhaps without weights.

    Raises:
        NotTrainableError: with another k_train it could be.
        NotApplicableError: it is not made for this kind of task.
        InputError: the options do not make a model, or the task cannot be trained so.
    """
    trained_with = recipe.k_train if k_train is None else k_train
    with seeded(seed):
        built, _ = build_model(model, task, trained_with, recipe.options, device="meta")
    field = None if built.trained_on_segments else built.receptive_field
    if k_train not in (None, "full") and field is not None and field > int(k_train):
        raise NotTrainableError(
            f"--k-train {k_train}: {model} sees {field} inputs whatever it is trained with; "
            "choose smaller options or a larger k"
        )
    if isinstance(built, ClosedForm) and not built.reads_training_data:
        return built
    task.train(seed, 0)  # a task without training data says so
    if not built.stateful or not task.stream:
        return built
    if trained_with == "full" or trained_with > LONGEST_TRAINED:
        raise NotTrainableError(
            f"--k-train {trained_with}: {task.id} is one long stream, and {model} cannot be "
            f"trained through that much at once; give at most {LONGEST_TRAINED}"
        )
    return built


def _key(*parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def training_hash(task: Task, seed: int) -> str:
    """Return the hash of the training data of a seed."""
    return task.training_hash(seed)
