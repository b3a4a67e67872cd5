"""Tasks' data on other machines: identified by content, and sent once to each node.

A worker that has the same data uses its own. For the others, each task that has data is put once
into Ray's object store, as it was read and checked where the run was started; Ray copies it to a
node when the first cell there needs it.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from seqmem.errors import InputError
from seqmem.runs.worker import loaded
from seqmem.tasks import FAMILIES, family_of
from seqmem.tasks.data.sources import data_directory
from seqmem.tasks.task import Task

__all__ = ["StoredTask", "content", "store_tasks", "task_in_worker"]


@dataclass(frozen=True)
class StoredTask:
    """A task in the object store.

    Attributes:
        content: the hash of its data.
        reference: to the object; wrapped in this class, so that Ray does not fetch it unasked.
    """

    content: str
    reference: Any


def store_tasks(tasks: Iterable[Task], put: Callable[[bytes], Any]) -> dict[str, StoredTask]:
    """Put every task that has data into the object store; return them by task id."""
    with_data = {task.id: task for task in tasks if _has_data(task.family)}
    return {
        name: StoredTask(content(task), put(pickle.dumps(task))) for name, task in with_data.items()
    }


def task_in_worker(task_id: str, stored: StoredTask | None, get: Callable[[Any], bytes]) -> Task:
    """Return a task: with this machine's data if they are the same, else from the object store."""
    if stored is None:
        return loaded(task_id)
    return _own(task_id, stored.content) or _from_store(stored.reference, get)


def content(task: Task) -> str:
    """Return the hash of what a task is scored on and trained with: sha256, as hex."""
    try:
        training = task.training_hash(0)
    except InputError:  # it has nothing to be trained with
        training = ""
    return hashlib.sha256(f"{task.version} {task.data_hash} {training}".encode()).hexdigest()


def _has_data(family: str) -> bool:
    return FAMILIES[family].data is not None or FAMILIES[family].user_data


def _own(task_id: str, wanted: str) -> Task | None:
    """Return a task with this machine's data; None where they are missing or others."""
    from_directory = not FAMILIES[family_of(task_id)].user_data
    if from_directory and data_directory() is None:  # every node would download from the hub
        return None
    try:
        task = loaded(task_id)
        return task if _content(task) == wanted else None
    except InputError:
        return None


_content = cache(content)


@cache
def _from_store(reference: Any, get: Callable[[Any], bytes]) -> Task:
    task: Task = pickle.loads(get(reference))
    return task
