"""A check: baselines, or the user's own layer, trained again and compared with expectations.

Every wrong input is found before the first cell is trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.check.cell import CheckCell, expected_of, run_check_cell
from seqmem.check.expectation import Expectation, read_expectations, write_expectation
from seqmem.check.judge import Verdict, judge
from seqmem.check.recipes import BRIEF, BRIEF_TASKS, check_recipe
from seqmem.check.report import CheckReport
from seqmem.errors import CellError, InputError, NotApplicableError, SubmissionError
from seqmem.runs.cell import check_trainable
from seqmem.runs.processes import in_processes
from seqmem.runs.worker import loaded
from seqmem.submissions.drop_in import build_drop_in
from seqmem.tasks import FAMILIES
from seqmem.tasks.loading import load_tasks
from seqmem.tasks.task import Task

__all__ = ["CHECKED", "EXPECTED", "CheckRequest", "Renewal", "check", "renew"]

EXPECTED = (0, 1, 2, 3, 4)  # seeds of an expectation
CHECKED = (0, 1)  # seeds of a check

Key = tuple[str, str]  # task and model
OnLine = Callable[[str], object]
Found = TypeVar("Found")


@dataclass(frozen=True)
class CheckRequest:
    """What the user asked for.

    Attributes:
        expectations: the folder of expectations.
        models: baselines; empty for all.
        tasks: task ids; either these or a suite.
        suite: the name of a suite.
        drop_in: Python code that replaces a baseline; None: baselines themselves are checked.
        seeds: to train with.
        speed: whether a cell that is slow fails.
        jobs: processes that run cells.
    """

    expectations: Path
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    drop_in: str | None = None
    seeds: tuple[int, ...] = CHECKED
    speed: bool = False
    jobs: int = 1


@dataclass(frozen=True)
class Renewal:
    """The renewal of one expectation.

    Attributes:
        cell: the model and the task.
        old: the expectation before; None without one.
        new: the new expectation, or why the cell could not be trained or measured.
        path: the file written; None where the old one is the same, or nothing was measured.
    """

    cell: CheckCell
    old: Expectation | None
    new: Expectation | str
    path: Path | None = None


def check(request: CheckRequest, on_line: OnLine) -> CheckReport:
    """Train the requested models, and return how they compare with expectations.

    Args:
        request: the request.
        on_line: called with one line for each cell, and for each task that is skipped.

    Raises:
        InputError: something requested does not exist or is not possible; no cell was run.
        CellError: a process was killed.
    """
    cells, tasks, expected, others = _plan(request, on_line)
    unknown = [cell for cell in cells if cell.key not in expected]
    if request.drop_in is None:
        reason = "there is no expectation: `seqmem check --update` makes one"
        others += [Verdict(*cell.key, "missing", reason) for cell in unknown]
        cells = [cell for cell in cells if cell.key in expected]
    else:  # the baseline is trained first
        baselines = [replace(cell, drop_in=None, seeds=EXPECTED) for cell in unknown]
        for cell, learned in _run_all(expected_of, baselines, tasks, request.jobs):
            if isinstance(learned, str):
                raise InputError(f"--against {cell.label}: on {cell.task_id} {learned}")
            expected[cell.key] = learned
    verdicts = {}
    for cell, found in _run_all(run_check_cell, cells, tasks, request.jobs):
        if isinstance(found, str):
            verdict = Verdict(cell.task_id, cell.label, "red", found)
        else:
            verdict = judge(expected[cell.key], found)
        on_line(f"{cell}: {verdict.state}")
        verdicts[cell.key] = verdict
    return CheckReport((*(verdicts[cell.key] for cell in cells), *others), request.speed)


def renew(request: CheckRequest, on_line: OnLine) -> Iterator[Renewal]:
    """Train the requested models, and add what differs from the expectations to them.

    Args:
        request: the request, with at least two seeds.
        on_line: called with one line for each task that is skipped.

    Yields:
        one renewal for each cell, once its file is written.

    Raises:
        InputError: something requested does not exist or is not possible; no cell was run.
        CellError: a process was killed.
        OSError: an expectation cannot be written; those written before stay.
    """
    if request.drop_in is not None:
        raise InputError("--update renews the expectations of baselines: leave --model out")
    if len(request.seeds) < 2:
        raise InputError(
            f"--update with {len(request.seeds)} seed: a standard deviation needs two or more"
        )
    cells, tasks, known, _ = _plan(request, on_line)
    for cell, new in _run_all(expected_of, cells, tasks, request.jobs):
        old, path = known.get(cell.key), None
        if not isinstance(new, str) and (old is None or not _same(old, new)):
            path = write_expectation(new, request.expectations)
        yield Renewal(cell, old, new, path)


def _plan(
    request: CheckRequest, on_line: OnLine
) -> tuple[list[CheckCell], dict[str, Task], dict[Key, Expectation], list[Verdict]]:
    """Check a request; return its cells, their tasks, expectations, and verdicts without a run."""
    models = [parse_model(text) for text in dict.fromkeys(request.models or BASELINES)]
    if request.drop_in is not None and len(models) != 1:
        raise InputError(
            f"--model {request.drop_in}: --against NAME says which one baseline it replaces"
        )
    known, problems = read_expectations(request.expectations)
    if problems:
        raise InputError(f"{problems[0]}; remove the file, or restore its content")
    tasks, skipped = load_tasks(request.tasks, request.suite, on_line, command="seqmem check")
    if request.suite is not None:
        for task in [task for task in tasks if FAMILIES[task.family].own_to_machine]:
            skipped[task.id] = "its data differ from machine to machine"
            tasks.remove(task)
    cells = []
    brief = request.suite is not None and not request.models
    for task, model in product(tasks, models):
        if brief and model.name in BRIEF and task.id not in BRIEF_TASKS:
            continue
        cell = CheckCell(
            model,
            task.id,
            check_recipe(task.family),
            request.seeds,
            request.drop_in,
        )
        try:
            check_trainable(model, task, cell.recipe, None)
        except NotApplicableError as error:
            if request.models and request.tasks:  # both were requested by name
                raise
            on_line(f"{model} on {task.id} is skipped: {error}")
            continue
        if cell.drop_in is not None:
            try:
                with seeded(0):
                    build_drop_in(cell.drop_in, model, task, cell.recipe)
            except SubmissionError as error:  # here it is not a submission but a wrong argument
                raise InputError(str(error)) from None
        cells.append(cell)
    by_id = {task.id: task for task in tasks}
    verdicts = [Verdict(task_id, "all", "skipped", reason) for task_id, reason in skipped.items()]
    if not request.models:
        planned = {cell.key for cell in cells}
        reason = "it is expected, and there is no such baseline any more"
        verdicts += [
            Verdict(*key, "missing", reason)
            for key in sorted(known)
            if key[0] in by_id and key not in planned
        ]
    return cells, by_id, known, verdicts


def _same(old: Expectation, new: Expectation) -> bool:
    """Return whether the losses of two expectations are the same to the last digit."""
    sums = [[(run.seed, run.group_sums) for run in each.curves.runs] for each in (old, new)]
    return old.curves.setting == new.curves.setting and sums[0] == sums[1]


def _run_all(
    work: Callable[[CheckCell, Task], Found],
    cells: Sequence[CheckCell],
    tasks: Mapping[str, Task],
    jobs: int,
) -> Iterator[tuple[CheckCell, Found | str]]:
    """Run cells; yield each, as it ends, with its result or why there is none.

    Raises:
        InputError: data are missing or altered.
        CellError: a process was killed.
    """
    outcomes: Iterator[tuple[CheckCell, Found | str]]
    if min(jobs, len(cells)) <= 1:
        outcomes = (_attempt(work, cell, tasks[cell.task_id]) for cell in cells)
    else:
        outcomes = in_processes(partial(_attempt, work), cells, jobs)
    try:
        yield from tqdm(outcomes, total=len(cells), unit="cell", disable=None, leave=False)
    except BrokenProcessPool:
        raise CellError(
            "a process was killed, as happens when memory runs out: fewer --jobs use less"
        ) from None


def _attempt(
    work: Callable[[CheckCell, Task], Found], cell: CheckCell, task: Task | None = None
) -> tuple[CheckCell, Found | str]:
    """Run one cell. Whatever its code raises is its result, and ends no other cell."""
    try:
        return cell, work(cell, task or loaded(cell.task_id))
    except InputError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        return cell, f"{type(error).__name__}: {message}"
