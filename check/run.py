"""A check: baselines, or the user's own layer, trained again and compared with expectations.

Everything that can be found wrong is found before the first cell is trained.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import parse_model
from seqmem.baselines.training.loop import seeded
from seqmem.check.cell import CheckCell, expected_of, run_check_cell
from seqmem.check.curves import Curves
from seqmem.check.expectation import Expectation, read_expectations, write_expectation
from seqmem.check.judge import Verdict, failed, judge, missing, skipped
from seqmem.check.recipes import check_recipe
from seqmem.check.report import Report
from seqmem.errors import InputError, NotApplicableError, SubmissionError, unknown
from seqmem.provenance import environment_facts, suite_facts
from seqmem.runs.cell import check_trainable
from seqmem.submissions.drop_in import build_drop_in
from seqmem.tasks import SUITES, data_problem, load_task
from seqmem.tasks.task import Task

__all__ = ["CHECKED", "EXPECTED", "CheckRequest", "Renewal", "check", "renew"]

EXPECTED = (0, 1, 2, 3, 4)  # seeds behind an expectation
CHECKED = (0, 1)  # seeds of a check

Say = Callable[[str], object]
Found = TypeVar("Found")


@dataclass(frozen=True)
class CheckRequest:
    """What the user asked for.

    Attributes:
        expectations: the folder of expectations.
        models: baselines; empty for all.
        tasks: task ids; either these or a suite.
        suite: the name of a suite.
        drop_in: Python code that stands in for a baseline; None: baselines are checked themselves.
        seeds: to train with.
        speed: whether a cell that is slow fails.
        jobs: processes to run cells in.
        threads: for the arithmetic of each.
    """

    expectations: Path
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    suite: str | None = None
    drop_in: str | None = None
    seeds: tuple[int, ...] = CHECKED
    speed: bool = False
    jobs: int = 1
    threads: int = 1


@dataclass(frozen=True)
class Renewal:
    """What became of one expectation.

    Attributes:
        old: the expectation before; None where there was none.
        new: what was found; None where it could not be trained or measured.
        reason: why not; else empty.
        path: the file written; None where the old one says the same, or nothing was found.
    """

    task: str
    model: str
    old: Expectation | None
    new: Expectation | None
    reason: str
    path: Path | None


@dataclass(frozen=True)
class _Plan:
    """Cells to run, and verdicts that need no run."""

    cells: tuple[CheckCell, ...]
    known: Mapping[tuple[str, str], Expectation]
    settled: tuple[Verdict, ...]


def check(request: CheckRequest, say: Say) -> Report:
    """Train what is asked for, and compare it with what is expected.

    Args:
        request: what is asked for.
        say: called with one line for each cell, and for each task that is passed over.

    Raises:
        InputError: something asked for does not exist or cannot be; no cell was run.
    """
    plan = _plan(request, say)
    expected = dict(plan.known)
    cells, references = [], []
    settled = list(plan.settled)
    for cell in plan.cells:
        if (cell.task.id, str(cell.model)) in expected:
            cells.append(cell)
        elif request.drop_in is None:
            why = "there is no expectation: `seqmem check --update` makes one"
            settled.append(missing(cell.task.id, cell.label, why))
        else:  # what a baseline learns here is found out here
            cells.append(cell)
            references.append(replace(cell, drop_in=None, seeds=EXPECTED))
    for reference, learned in _run_all(expected_of, references, request.jobs):
        if isinstance(learned, str):
            raise InputError(f"--against {reference.label}: on {reference.task.id} {learned}")
        expected[reference.task.id, reference.label] = learned
    verdicts = []
    for cell, found in _run_all(run_check_cell, cells, request.jobs):
        if isinstance(found, str):
            verdict = failed(cell.task.id, cell.label, found)
        else:
            verdict = judge(expected[cell.task.id, str(cell.model)], found)
        say(f"{cell.label} on {cell.task.id}: {verdict.state}")
        verdicts.append(verdict)
    where = environment_facts("cpu")
    return Report((*verdicts, *settled), request.speed, where, suite_facts())


def renew(request: CheckRequest, say: Say) -> Iterator[Renewal]:
    """Train what is asked for and add it to the expectations, where it differs from them.

    Args:
        request: what is asked for; at least two seeds.
        say: called with one line for each task that is passed over.

    Raises:
        InputError: something asked for does not exist or cannot be; no cell was run.
        OSError: an expectation cannot be written; those before are kept.
    """
    if request.drop_in is not None:
        raise InputError("--update renews what baselines are expected to learn: leave --model out")
    if len(request.seeds) < 2:
        raise InputError(f"--update with {len(request.seeds)} seed: a spread needs two or more")
    plan = _plan(request, say)
    for cell, found in _run_all(expected_of, plan.cells, request.jobs):
        task, model = cell.task.id, cell.label
        old = plan.known.get((task, model))
        if isinstance(found, str):
            yield Renewal(task, model, old, None, found, None)
            continue
        if old is not None and _same(old.curves, found.curves):
            yield Renewal(task, model, old, found, "", None)
            continue
        path = write_expectation(found, request.expectations)
        yield Renewal(task, model, old, found, "", path)


def _plan(request: CheckRequest, say: Say) -> _Plan:
    """Check a request and spell it out."""
    models = [parse_model(text) for text in dict.fromkeys(request.models or BASELINES)]
    if request.drop_in is not None and len(models) != 1:
        raise InputError(
            f"--model {request.drop_in}: --against NAME says which one baseline it stands in for"
        )
    known, problems = read_expectations(request.expectations)
    if problems:
        raise InputError(f"{problems[0]}; take the file away, or give it back its content")
    tasks, settled = _tasks(request, say)
    cells = []
    for task, model in product(tasks, models):
        recipe = check_recipe(task.family)
        try:
            check_trainable(model, task, recipe, None)
        except NotApplicableError as error:
            if request.models and request.tasks:  # both were asked for by name
                raise
            say(f"{model} on {task.id} is passed over: {error}")
            continue
        cell = CheckCell(
            model, task, recipe, request.seeds, request.drop_in, threads=request.threads
        )
        if request.drop_in is not None:
            try:
                with seeded(0):
                    build_drop_in(request.drop_in, model, task, recipe)
            except SubmissionError as error:  # not a submission here, but a wrong argument
                raise InputError(str(error)) from None
        cells.append(cell)
    if not request.models:
        here = {task.id for task in tasks}
        wanted = {(cell.task.id, str(cell.model)) for cell in cells}
        lost = [key for key in known if key[0] in here and key not in wanted]
        why = "it is expected, and there is no such baseline any more"
        settled += [missing(*key, why) for key in sorted(lost)]
    return _Plan(tuple(cells), known, tuple(settled))


def _tasks(request: CheckRequest, say: Say) -> tuple[list[Task], list[Verdict]]:
    """Load the tasks and their data; a suite passes over what is not on this machine."""
    if bool(request.tasks) == (request.suite is not None):
        given = "both" if request.tasks else "neither"
        raise InputError(
            f"{given} given: name tasks (--task adding-problem/T=20) or a suite (--suite smoke)"
        )
    if request.suite is not None and request.suite not in SUITES:
        raise unknown("suite", request.suite, SUITES, "seqmem check --help")
    tasks = {task.id: task for task in map(load_task, request.tasks)}
    settled = []
    for task_id in SUITES[request.suite].tasks if request.suite else ():
        if problem := data_problem(task_id):
            say(f"{task_id} is passed over: {problem}")
            settled.append(skipped(task_id, "all", problem))
            continue
        tasks[task_id] = load_task(task_id)
    for task in tasks.values():
        task.split("test")  # data that are missing or altered show now
    return list(tasks.values()), settled


def _same(old: Curves, new: Curves) -> bool:
    """Tell whether two expectations say the same of the same, to the last digit."""
    sums = [tuple((run.seed, run.group_sums) for run in curves.runs) for curves in (old, new)]
    return old.setting == new.setting and sums[0] == sums[1]


def _run_all(
    work: Callable[[CheckCell], Found], cells: Sequence[CheckCell], jobs: int
) -> Iterator[tuple[CheckCell, Found | str]]:
    """Work on cells, and give what was found, or why nothing was, in the order of the cells."""
    with tqdm(total=len(cells), unit="cell", disable=None, leave=False) as bar:
        here = min(jobs, len(cells)) <= 1
        outcomes = map(partial(_attempt, work), cells) if here else _elsewhere(work, cells, jobs)
        for cell, found in zip(cells, outcomes, strict=True):
            bar.update()
            yield cell, found


def _elsewhere(
    work: Callable[[CheckCell], Found], cells: Sequence[CheckCell], jobs: int
) -> Iterator[Found | str]:
    """Work on cells in other processes, which load the tasks that they need."""
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=jobs, batch_size=1, return_as="generator")
    yield from parallel(
        delayed(_attempt_named)(
            work,
            cell.task.id,
            {each.name: getattr(cell, each.name) for each in fields(cell) if each.name != "task"},
        )
        for cell in cells
    )


def _attempt_named(
    work: Callable[[CheckCell], Found], task_id: str, others: Mapping[str, Any]
) -> Found | str:
    return _attempt(work, CheckCell(task=_loaded(task_id), **others))


@lru_cache(maxsize=1)
def _loaded(task_id: str) -> Task:
    """Load a task once in a process for all the cells that follow on it."""
    return load_task(task_id)


def _attempt(work: Callable[[CheckCell], Found], cell: CheckCell) -> Found | str:
    """Work on one cell. Whatever its code raises is a finding about it, and ends no other."""
    try:
        return work(cell)
    except InputError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())
        return f"{type(error).__name__}: {told}"
