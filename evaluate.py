"""A whole evaluation: from the command line's words to cells, and from cells to records.

Everything that can be found wrong is found before the first cell is trained.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import torch

from seqmem.baselines.recipes import BUDGETS
from seqmem.baselines.spec import parse_model
from seqmem.cell import Cell, Settings, run_cell
from seqmem.errors import CellError, InputError, NotApplicableError, unknown
from seqmem.leaderboard.record import Record
from seqmem.measurement import DType, Measuring
from seqmem.tasks import SUITES, data_problem, load_task
from seqmem.tasks.precision import USUAL, Precision
from seqmem.tasks.scoring import is_out_of_memory
from seqmem.tasks.task import Context, Task

__all__ = ["Request", "evaluate", "plan"]


@dataclass(frozen=True)
class Request:
    """What the user asked for, as text where it is still to be checked.

    Attributes:
        models: baselines with options.
        tasks: task ids; either these or a suite.
        suite: the name of a suite.
        contexts: context lengths to score; None for each task's own.
        k_trains: contexts to train with; None in it stands for the recipe's.
        seeds: seeds of training.
        budget: name of the training budget; None for the suite's, else small.
        precision: how well every mean is to be known; None: every target is scored.
        every_k: whether every whole number up to the longest context is measured.
        dtype: what models compute with when they are measured.
        device: "auto", "cpu" or "cuda".
        results: folder of records and checkpoints.
        fresh: whether finished work is passed over.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    contexts: tuple[Context, ...] | None = None
    k_trains: tuple[Context | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    budget: str | None = None
    precision: Precision | None = USUAL
    every_k: bool = False
    dtype: DType = "float32"
    device: str = "auto"
    results: Path = Path("results")
    fresh: bool = False


def evaluate(request: Request, say: Callable[[str], object]) -> tuple[list[Record], list[str]]:
    """Run every cell that a request asks for.

    Args:
        request: what is asked for.
        say: called with one line for each step that takes time, and each cell that fails.

    Returns:
        the records of the cells that were measured, and one line for each that could not be.

    Raises:
        InputError: something asked for does not exist or cannot be; no cell was run.
        OSError: results cannot be written any more; finished cells are kept.
    """
    cells, settings = plan(request, say)
    records: list[Record] = []
    failures: list[str] = []
    told = 0
    for number, cell in enumerate(cells, 1):
        place = f"[{number}/{len(cells)}]"
        try:
            records.append(run_cell(cell, settings, partial(_say_at, say, place)))
            failed = records[-1].measurement.get("failed", {})
            failures += [f"{cell}: k={k}: {reason}" for k, reason in failed.items()]
        except (CellError, MemoryError, RuntimeError) as error:
            if not isinstance(error, CellError) and not is_out_of_memory(error):
                raise
            reason = str(error) if isinstance(error, CellError) else "out of memory"
            failures.append(f"{cell}: {reason}")
        for failure in failures[told:]:
            say(f"{place} failed: {failure}")
        told = len(failures)
    return records, failures


def _say_at(say: Callable[[str], object], place: str, line: str) -> None:
    say(f"{place} {line}")


def plan(request: Request, say: Callable[[str], object]) -> tuple[list[Cell], Settings]:
    """Check a request and spell it out.

    In a suite, a model is passed over on tasks that it is not made for.

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
    device = _device(request.device)
    tasks = _tasks(request, say)
    _check_writable(request.results)
    measuring = Measuring(
        request.contexts, longest, request.precision, request.every_k, request.dtype, device
    )
    for task in tasks:
        measuring.half_width(task)
    settings = Settings(request.results, measuring, request.fresh)
    cells, passed_over = [], set()
    for task, model, k_train, seed in product(
        tasks, models, dict.fromkeys(request.k_trains), dict.fromkeys(request.seeds)
    ):
        cell = Cell(model, task, k_train, seed, budget)
        try:
            cell.check()
            measuring.check(model.name)
        except NotApplicableError as error:
            if request.suite is None:  # the task was asked for by name
                raise
            passed_over.add(f"{model} on {task.id} is passed over: {error}")
        else:
            cells.append(cell)
    for line in sorted(passed_over):
        say(line)
    return cells, settings


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


def _device(name: str) -> str:
    here = torch.cuda.is_available()
    if name == "cuda" and not here:
        raise InputError("--device cuda: torch finds no GPU here; use --device cpu")
    return "cuda" if here and name != "cpu" else "cpu"


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"--results {folder}: cannot be written ({error.strerror}); name another folder"
        ) from None
