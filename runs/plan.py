"""What a user asks of an evaluation, and its cells.

Everything that can be wrong is found before training starts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import torch

from seqmem.baselines.match import Match, matched, parse_match
from seqmem.baselines.own.own_class import Kind
from seqmem.baselines.own.spec import model_spec
from seqmem.baselines.own.trial import try_out
from seqmem.baselines.spec import ModelSpec, build_model
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.recipe_changes import parse_changes
from seqmem.baselines.training.recipes import BUDGETS, Recipe, recipe_for
from seqmem.errors import InputError, NotApplicableError, NotTrainableError, unknown
from seqmem.files import require_writable
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.measuring.device import find_device
from seqmem.measuring.precision import USUAL, Precision
from seqmem.measuring.settings import DType, MeasurementSettings
from seqmem.runs.cell import Cell, TrainingState, plan_cell
from seqmem.runs.processes import cores
from seqmem.tasks import find_suite
from seqmem.tasks.loading import load_tasks
from seqmem.tasks.task import Context, Task

__all__ = ["LOCAL", "KTrain", "Plan", "Request", "Workers", "plan"]

LONGEST_BUDGET = 48  # characters of a budget's name: a record holds 64, and the type may follow
LOCAL = "local"  # the address of a Ray that is started on this machine

KTrain = Context | Literal["diagonal"] | None  # as requested; None: the recipe's


@dataclass(frozen=True)
class Workers:
    """The processes that run cells.

    Attributes:
        jobs: cells run at once, at most; None: one, or with Ray as many as it has room for.
        threads: of each cell; None: the cores divided among processes, or with Ray 1.
        ray: the address of a Ray cluster, LOCAL for one that is started here, None for no Ray.
        retries: how often a cell is retried when its process died.
        memory: what a cell requests from Ray, GiB; None: nothing is reserved.
        gpus: what a cell on a GPU requests from Ray: a fraction lets several share one.
        devices: how many devices train one model together.
    """

    jobs: int | None = None
    threads: int | None = None
    ray: str | None = None
    retries: int = 2
    memory: float | None = None
    gpus: float = 1.0
    devices: int = 1


@dataclass(frozen=True)
class Request:
    """What the user asked for, as text where it is still to be checked.

    Attributes:
        models: baselines with options, the user's own code, or models that are known already.
        kind: what kind of class the user's own code is; None: as its parameters say.
        changes: of the recipes, each as name=value.
        match: the size that every model is to have, as ``parameters=100k`` or ``state=4096``; None:
            each has the size of its options.
        tasks: task ids; either these or a suite.
        suite: the name of a suite.
        contexts: context lengths to score; None for each task's own.
        k_trains: contexts to train with; None in it stands for the recipe's, "diagonal" for every
            context of the task's grid that a model can be trained with, and full.
        state: whether a recurrent model's state is carried between training segments or reset.
        seeds: seeds of training.
        budget: name of the training budget; None for the suite's, else small.
        precision: the requested half-width of every mean's interval; None: every target is scored.
        every_k: whether every whole number up to the longest context is measured.
        dtype: the floats that models are measured with.
        train_dtype: the floats that matrix products are computed with in training; None: the
            recipe's.
        device: "auto", "cpu" or "cuda".
        results: the folder of records and checkpoints, local or at a URL.
        fresh: whether finished work is ignored.
        workers: the processes that run the cells.
    """

    models: tuple[str | ModelSpec, ...]
    kind: Kind | None = None
    changes: tuple[str, ...] = ()
    match: str | None = None
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    contexts: tuple[Context, ...] | None = None
    k_trains: tuple[KTrain, ...] = (None,)
    state: TrainingState = "carried"
    seeds: tuple[int, ...] = (0,)
    budget: str | None = None
    precision: Precision | None = USUAL
    every_k: bool = False
    dtype: DType = "float32"
    train_dtype: DType | None = None
    device: str = "auto"
    results: Path | RemoteResults = Path("results")
    fresh: bool = False
    workers: Workers = field(default_factory=Workers)


@dataclass(frozen=True)
class Plan:
    """What a request comes to.

    Attributes:
        cells: in the order in which they run.
        tasks: the loaded tasks of the cells by id.
    """

    cells: tuple[Cell, ...]
    tasks: Mapping[str, Task]


def plan(request: Request, log: Callable[[str], object], gpu: bool | None = None) -> Plan:
    """Check a request and plan its cells.

    In a suite, a model is skipped on tasks that it is not made for; on a diagonal, so are contexts
    that it cannot be trained with.

    Args:
        request: what the user asked for.
        log: called with one line for everything that is skipped.
        gpu: whether there is a GPU where cells will run; None: whether there is one here.

    Raises:
        InputError: something requested does not exist or cannot be.
    """
    models = _models(request)
    changes = parse_changes(request.changes)
    match = None if request.match is None else parse_match(request.match)
    budget, longest = request.budget, None
    if request.suite is not None:
        suite = find_suite(request.suite, "seqmem eval")
        budget, longest = budget or suite.budget, suite.longest_context
    budget = budget or "small"
    if budget not in BUDGETS:
        raise unknown("budget", budget, BUDGETS, "seqmem eval --help")
    if request.every_k and request.contexts:
        given = ",".join(map(str, request.contexts))
        raise InputError(f"--all-k measures every k, --k {given} only these: leave out one")
    device = find_device(request.device, gpu)
    tasks, _ = load_tasks(request.tasks, request.suite, log, command="seqmem eval")
    results, remote = _writable(request.results)
    measuring = MeasurementSettings(
        request.contexts, longest, request.precision, request.every_k, request.dtype, device
    )
    for task in tasks:
        measuring.half_width(task)
    _check_devices(request.workers, device)
    settings = {
        "results": results,
        "budget": _described(budget, changes),
        "state": request.state,
        "train_dtype": request.train_dtype,
        "measuring": measuring,
        "fresh": request.fresh,
        "devices": request.workers.devices,
        "remote": remote,
    }
    cells: list[Cell] = []
    skipped: set[str] = set()
    for task, model in product(tasks, models):
        recipe = replace(recipe_for(task.family, budget), **changes)
        try:
            found, left_out = _cells(request, task, model, recipe, match, settings)
        except NotApplicableError as error:
            if request.suite is None:  # the task was asked for by name
                raise
            skipped.add(f"{model} on {task.id} is skipped: {error}")
            continue
        cells += found
        if model.own is not None:
            with seeded(0):
                built, _ = build_model(model, task, found[0].k_train, recipe.options)
                if warning := try_out(built, task, model.own.text):
                    log(warning)
        skipped |= {f"left out of the diagonal: {line}" for line in left_out}
    for line in sorted(skipped):
        log(line)
    return Plan(tuple(cells), {task.id: task for task in tasks})


def _described(budget: str, changes: Mapping[str, Any]) -> str:
    """Return the name of a budget with what was changed of its recipe."""
    text = ", ".join([budget, *(f"{name} {value}" for name, value in changes.items())])
    return text if len(text) <= LONGEST_BUDGET else f"{budget}, {len(changes)} settings changed"


def _models(request: Request) -> list[ModelSpec]:
    """Return the models of a request, each once; two classes of one name get another name each."""
    models: dict[str, ModelSpec] = {}
    for given in request.models:
        model = model_spec(given, request.kind)
        known = models.get(str(model), model)
        if known.own is not None and model.own != known.own:
            name = f"{model.name}-{len(models) + 1}"
            model = replace(model, name=name, own=model.own and replace(model.own, label=name))
        models[str(model)] = model
    return list(models.values())


def _cells(
    request: Request,
    task: Task,
    model: ModelSpec,
    recipe: Recipe,
    match: Match | None,
    settings: Mapping[str, Any],
) -> tuple[list[Cell], list[str]]:
    """Return the cells of one model on one task, and why contexts were left out of a diagonal.

    Raises:
        NotApplicableError: the model is not made for this kind of task.
        InputError: it cannot be trained so.
    """
    named = dict.fromkeys(k for k in request.k_trains if k != "diagonal")
    diagonal: tuple[Context, ...] = ()
    if "diagonal" in request.k_trains:
        diagonal = (*settings["measuring"].grid(task), "full")
    sized: dict[KTrain, ModelSpec] = {}
    cells, left_out = [], []
    for k_train, seed in product(dict.fromkeys((*named, *diagonal)), dict.fromkeys(request.seeds)):
        if k_train not in sized:  # with another field a model has another size
            trained_with = recipe.k_train if k_train is None else k_train
            sized[k_train] = (
                matched(model, task.trained_on, trained_with, recipe.options, match)
                if match
                else model
            )
        of_size = sized[k_train]
        try:
            cell = plan_cell(of_size, task, k_train=k_train, seed=seed, recipe=recipe, **settings)
        except NotTrainableError as error:
            if k_train in named:
                raise
            left_out.append(str(error))
        else:
            cells.append(cell)
    if not cells:
        raise InputError(
            f"--k-train diagonal: {model} on {task.id} can be trained with no context of the grid; "
            f"give others with --k. {left_out[0]}"
        )
    return cells, left_out


def _check_devices(workers: Workers, device: str) -> None:
    """Check that the devices that train together exist here; Ray knows those of other machines.

    Raises:
        InputError: there are fewer.
    """
    available = torch.cuda.device_count() if device == "cuda" else cores()
    if device == "cuda" and workers.devices > 1 < (workers.jobs or 1) and workers.ray is None:
        raise InputError(
            f"--jobs {workers.jobs} with --devices {workers.devices}: cells would share the first "
            "GPUs; --ray gives each its own"
        )
    if 1 < workers.devices > available and workers.ray in (None, LOCAL):
        kind = "GPUs" if device == "cuda" else "cores"
        raise InputError(f"--devices {workers.devices}: {available} {kind} are here; give no more")


def _writable(results: Path | RemoteResults) -> tuple[Path, RemoteResults | None]:
    """Return the folder to work in, and what it is a copy of.

    Raises:
        InputError: it cannot be written to.
    """
    remote = results if isinstance(results, RemoteResults) else None
    folder = results.mirror if isinstance(results, RemoteResults) else results
    require_writable(folder, "--results")
    if remote:
        remote.check()
        remote.fetch_records()
    return folder, remote
