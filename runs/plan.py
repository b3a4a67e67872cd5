"""A whole evaluation: from the command line's words to cells, and from cells to records.

Everything that can be found wrong is found before the first cell is trained.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Literal

import torch

from seqmem.baselines.spec import ModelSpec, model_class, parse_model
from seqmem.baselines.training.recipes import BUDGETS, recipe_for
from seqmem.errors import InputError, NotApplicableError, NotTrainableError, unknown
from seqmem.leaderboard.record import Record
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.measuring.measurement import DType, Measuring
from seqmem.measuring.precision import USUAL, Precision
from seqmem.runs.cell import Cell, Settings, TrainingState
from seqmem.runs.executor import LOCAL, Workers, executor_of
from seqmem.runs.local import cores
from seqmem.runs.run import run_cells
from seqmem.tasks import SUITES, data_problem, load_task
from seqmem.tasks.task import Context, Task

__all__ = ["KTrain", "Request", "evaluate", "find_device", "plan"]

KTrain = Context | Literal["diagonal"] | None  # as asked for; None: the recipe's


@dataclass(frozen=True)
class Request:
    """What the user asked for, as text where it is still to be checked.

    Attributes:
        models: baselines with options.
        tasks: task ids; either these or a suite.
        suite: the name of a suite.
        contexts: context lengths to score; None for each task's own.
        k_trains: contexts to train with; None in it stands for the recipe's, "diagonal" for every
            context of the task's grid that a model can be trained with, and full.
        state: what becomes of a model's state in training.
        seeds: seeds of training.
        budget: name of the training budget; None for the suite's, else small.
        precision: how well every mean is to be known; None: every target is scored.
        every_k: whether every whole number up to the longest context is measured.
        dtype: what models compute with when they are measured.
        train_dtype: what they compute with when they are trained.
        device: "auto", "cpu" or "cuda".
        results: folder of records and checkpoints, here or behind a URL.
        fresh: whether finished work is passed over.
        workers: who runs the cells.
    """

    models: tuple[str, ...]
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
    train_dtype: DType = "float32"
    device: str = "auto"
    results: Path | RemoteResults = Path("results")
    fresh: bool = False
    workers: Workers = field(default_factory=Workers)


def evaluate(request: Request, say: Callable[[str], object]) -> tuple[list[Record], list[str]]:
    """Run every cell that a request asks for.

    Args:
        request: what is asked for.
        say: called with one line for each step that takes time, each cell that fails, and how far
            the run is.

    Returns:
        the records of the cells that were measured, and one line for each that could not be.

    Raises:
        InputError: something asked for does not exist or cannot be; no cell was run.
        OSError: results cannot be written any more; finished cells are kept.
    """
    with executor_of(request.workers, say) as executor:
        cells, settings = plan(request, say, executor.has_gpu())
        outcomes = run_cells(cells, settings, executor, say)
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    return records, [failure for outcome in outcomes for failure in outcome.failures]


def plan(
    request: Request, say: Callable[[str], object], gpu: bool | None = None
) -> tuple[list[Cell], Settings]:
    """Check a request and spell it out.

    In a suite, a model is passed over on tasks that it is not made for; on a diagonal, contexts
    that it cannot be trained with.

    Args:
        request: what is asked for.
        say: called with one line for each thing that is passed over.
        gpu: whether there is a GPU where cells will run; None: whether there is one here.

    Raises:
        InputError: something asked for does not exist or cannot be.
    """
    models = [parse_model(text) for text in dict.fromkeys(request.models)]
    budget, longest = request.budget, None
    if request.suite is not None:
        if request.suite not in SUITES:
            raise unknown("suite", request.suite, SUITES, "seqmem eval --help")
        budget = budget or SUITES[request.suite].budget
        longest = SUITES[request.suite].longest_context
    budget = budget or "small"
    if budget not in BUDGETS:
        raise unknown("budget", budget, BUDGETS, "seqmem eval --help")
    device = find_device(request.device, gpu)
    tasks = _tasks(request, say)
    results, remote = _writable(request.results)
    measuring = Measuring(
        request.contexts, longest, request.precision, request.every_k, request.dtype, device
    )
    for task in tasks:
        measuring.half_width(task)
    _check_devices(request.workers, device)
    settings = Settings(
        results,
        measuring,
        request.fresh,
        request.workers.devices,
        remote,
    )
    cells, passed_over = [], set()
    for task, model in product(tasks, models):
        try:
            found, left_out = _cells(request, settings, task, model, budget)
            _check_dtype(measuring, model)
        except NotApplicableError as error:
            if request.suite is None:  # the task was asked for by name
                raise
            passed_over.add(f"{model} on {task.id} is passed over: {error}")
            continue
        cells += found
        passed_over |= {f"left out of the diagonal: {line}" for line in left_out}
    for line in sorted(passed_over):
        say(line)
    return cells, settings


def _cells(
    request: Request, settings: Settings, task: Task, model: ModelSpec, budget: str
) -> tuple[list[Cell], list[str]]:
    """Give the cells of one model on one task, and why contexts were left out of a diagonal.

    Raises:
        NotApplicableError: the model is not made for this kind of task.
        InputError: it cannot be trained so.
    """
    named = dict.fromkeys(k for k in request.k_trains if k != "diagonal")
    diagonal: tuple[Context, ...] = ()
    if "diagonal" in request.k_trains:
        diagonal = (*settings.measuring.grid(task), "full")
    recipe = None
    if request.train_dtype != "float32":
        recipe = replace(recipe_for(task.family, budget), dtype=request.train_dtype)
    cells, left_out = [], []
    for k_train, seed in product(dict.fromkeys((*named, *diagonal)), dict.fromkeys(request.seeds)):
        cell = Cell(model, task, k_train, seed, budget, request.state, recipe)
        if settings.devices > cell.recipe.batch:
            raise InputError(
                f"--devices {settings.devices}: they share a batch of {cell.recipe.batch} on "
                f"{task.id}; give at most as many"
            )
        try:
            cell.check()
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


def _check_dtype(measuring: Measuring, model: ModelSpec) -> None:
    """Find out before training whether a baseline can be measured so.

    Raises:
        NotApplicableError: it cannot compute with floats of this kind.
    """
    if measuring.dtype != "float32" and model_class(model.name).float32_only:
        raise NotApplicableError(
            f"--dtype {measuring.dtype}: {model.name} computes in float32 only; leave one of them "
            "out"
        )


def _tasks(request: Request, say: Callable[[str], object]) -> list[Task]:
    """Load the tasks and their data; a suite passes over what is not on this machine."""
    if bool(request.tasks) == (request.suite is not None):
        given = "both" if request.tasks else "neither"
        raise InputError(
            f"{given} given: name tasks (--task adding-problem/T=50) or a suite (--suite smoke)"
        )
    tasks = {task.id: task for task in map(load_task, request.tasks)}
    for task_id in SUITES[request.suite].tasks if request.suite else ():
        if problem := data_problem(task_id):
            say(f"{task_id} is passed over: {problem}")
            continue
        tasks[task_id] = load_task(task_id)
    for task in tasks.values():
        task.split("test")  # data that are missing or altered show now
    return list(tasks.values())


def find_device(name: str, gpu: bool | None = None) -> str:
    """Give what "auto", "cpu" or "cuda" stands for.

    Args:
        name: one of these.
        gpu: whether there is a GPU; None: torch is asked.

    Raises:
        InputError: there is no such device.
    """
    if gpu is None:
        gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("--device cuda: no GPU is found here; use --device cpu")
    return "cuda" if gpu and name != "cpu" else "cpu"


def _check_devices(workers: Workers, device: str) -> None:
    """Hold devices that train together to those there are; what other machines have, Ray knows.

    Raises:
        InputError: there are fewer.
    """
    there = torch.cuda.device_count() if device == "cuda" else cores()
    if device == "cuda" and workers.devices > 1 < (workers.jobs or 1) and workers.ray is None:
        raise InputError(
            f"--jobs {workers.jobs} with --devices {workers.devices}: cells would share the first "
            "GPUs; --ray gives each its own"
        )
    if 1 < workers.devices > there and workers.ray in (None, LOCAL):
        kind = "GPUs" if device == "cuda" else "cores"
        raise InputError(f"--devices {workers.devices}: {there} {kind} are here; give no more")


def _writable(results: Path | RemoteResults) -> tuple[Path, RemoteResults | None]:
    """Give the folder to work in, and what it is a copy of.

    Raises:
        InputError: it cannot be written to.
    """
    remote = results if isinstance(results, RemoteResults) else None
    folder = results.mirror if isinstance(results, RemoteResults) else results
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"--results {folder}: cannot be written ({error.strerror}); name another folder"
        ) from None
    if remote:
        remote.check()
        remote.fetch_records()
    return folder, remote
