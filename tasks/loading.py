"""Loading the tasks of a command: those named one by one, or those of a suite."""

from collections.abc import Callable, Sequence
from itertools import chain

from seqmem.errors import InputError
from seqmem.tasks import data_problem, every_id, find_suite, load_task
from seqmem.tasks.task import Task

__all__ = ["load_tasks"]


def load_tasks(
    task_ids: Sequence[str],
    suite: str | None,
    report: Callable[[str], object],
    *,
    command: str,
) -> tuple[list[Task], dict[str, str]]:
    """Return tasks whose test data are loaded and checked, and the tasks of a suite left out.

    A task named by its id must be available; a suite skips tasks whose data are not on this
    machine, and never downloads them.

    Args:
        task_ids: ids of tasks, several in one where a parameter has several values, as in
            ``copy-memory/T=10|20|50``; either these or a suite.
        suite: the name of a suite.
        report: called with one line for each task that is skipped, or whose data need one.
        command: the command, for messages, as in "seqmem eval".

    Returns:
        the tasks in the order given, each once; and task id -> reason for each skipped one.

    Raises:
        InputError: both or neither of the two are given, a name is unknown, or data are missing or
            altered.
    """
    if bool(task_ids) == (suite is not None):
        given = f"--task {task_ids[0]} and --suite {suite}" if task_ids else "no task is given"
        raise InputError(
            f"{given}: name either tasks (--task adding-problem/T=50) or a suite (--suite smoke)"
        )
    wanted = dict.fromkeys(chain.from_iterable(map(every_id, task_ids)))
    skipped: dict[str, str] = {}
    for task_id in find_suite(suite, command).tasks if suite is not None else ():
        if problem := data_problem(task_id):
            report(f"{task_id} is skipped: {problem}")
            skipped[task_id] = problem
        else:
            wanted[task_id] = None
    # Two spellings of one id are one task.
    tasks = {task.id: task for task in map(load_task, wanted)}
    for task in tasks.values():
        task.split("test")  # raises here if data are missing or altered
        if task.note:
            report(f"{task.id} {task.note}")
    return list(tasks.values()), skipped
