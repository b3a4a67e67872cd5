"""Data on their way to another machine: by content, and once for each node.

A worker that has the same data takes its own. For any other, each task that has data lies once in
the object store, as it was read and checked where the run was started; Ray copies it to a node when
the first cell there asks for it.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from seqmem.errors import InputError
from seqmem.runs.job import Job, loaded
from seqmem.tasks import FAMILIES, family_of
from seqmem.tasks.data.sources import data_directory
from seqmem.tasks.task import Task

__all__ = ["Parcel", "content", "received", "shipped"]


@dataclass(frozen=True)
class Parcel:
    """A task that lies in the object store.

    Attributes:
        content: the hash of its data.
        reference: where it lies; inside this, so that Ray does not fetch it unasked.
    """

    content: str
    reference: Any


def shipped(tasks: Iterable[Task], put: Callable[[bytes], Any]) -> dict[str, Parcel]:
    """Put every task that has data into the object store; give parcels by task id."""
    with_data = {task.id: task for task in tasks if _has_data(task.family)}
    return {
        name: Parcel(content(task), put(pickle.dumps(task))) for name, task in with_data.items()
    }


def received(job: Job, parcel: Parcel | None, get: Callable[[Any], bytes]) -> Task:
    """Give a job's task: with the data that are here if they are the right ones, else as sent."""
    if parcel is None:
        return loaded(job)
    return _own(job, parcel.content) or _sent(parcel.reference, get)


def content(task: Task) -> str:
    """Hash what a task is scored on and trained with: sha256, as hex."""
    try:
        training = task.training_hash(0)
    except InputError:  # it has nothing to be trained with
        training = ""
    return hashlib.sha256(f"{task.version} {task.data_hash} {training}".encode()).hexdigest()


def _has_data(family: str) -> bool:
    return FAMILIES[family].data is not None or FAMILIES[family].user_data


def _own(job: Job, wanted: str) -> Task | None:
    """Give a task of the data that are here; None where they are not, or are others."""
    from_directory = not FAMILIES[family_of(job.task_id)].user_data
    if from_directory and data_directory() is None:  # the hub would be asked by every node
        return None
    try:
        task = loaded(job)
        return task if _content(task) == wanted else None
    except InputError:
        return None


_content = cache(content)


@cache
def _sent(reference: Any, get: Callable[[Any], bytes]) -> Task:
    task: Task = pickle.loads(get(reference))
    return task
