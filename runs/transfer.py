"""What Ray sends between machines: tasks' data, and cells' files.

Tasks' data are identified by content, and sent once to each node. A worker that has the same data
uses its own. For the others, each task that has data is put once into Ray's object store, as it was
read and checked where the run was started; Ray copies it to a node when the first cell there needs
it.

A worker that sees the results folder writes there itself, checkpoints too. Any other works in a
folder of its own, which starts with the files of the cell's training so far; its new files are
sent back at the end and written into the results folder.
"""

import hashlib
import pickle
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import ray

from seqmem.errors import InputError
from seqmem.files import write_bytes
from seqmem.leaderboard.store import write_once
from seqmem.lifetime import writing_in
from seqmem.runs.cell import training_hash
from seqmem.runs.worker import loaded
from seqmem.tasks import FAMILIES, family_of
from seqmem.tasks.data.sources import data_directory
from seqmem.tasks.task import Task

__all__ = ["Files", "StoredTask", "marked", "packed", "scratch", "store_tasks", "unpacked"]

Files = Mapping[str, bytes]  # content by path below the results folder


@contextmanager
def marked(results: Path) -> Iterator[Path]:
    """Put a file into the results folder for a while, by which others recognise the folder."""
    mark = results / f".sweep-{uuid.uuid4().hex}.tmp"
    with writing_in(results):
        mark.touch()
        try:
            yield mark
        finally:
            mark.unlink(missing_ok=True)


def scratch(mark: Path, number: int) -> Path:
    """Return a cell's own folder on a machine that does not; the same at each try there."""
    return Path(tempfile.gettempdir()) / f"seqmem{mark.name}" / str(number)


def packed(paths: Iterable[Path], root: Path) -> dict[str, bytes]:
    """Read files below a folder, except those that are being written."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in paths
        if path.is_file() and path.suffix != ".tmp"
    }


def unpacked(files: Files, root: Path) -> None:
    """Write files below a folder, each whole; JSON files are never overwritten.

    Raises:
        OSError: one cannot be written.
    """
    for name, content in files.items():
        path = root / name
        if path.suffix == ".json":
            write_once(content.decode(), path.parent, path.stem)
        else:
            write_bytes(path, content)


@dataclass(frozen=True)
class StoredTask:
    """A task in the object store.

    Attributes:
        task_id: the task.
        content: the hash of its data.
        reference: to the object; wrapped in this class, so that Ray does not fetch it unasked.
    """

    task_id: str
    content: str
    reference: Any

    def load(self) -> Task:
        """Return the task: with this machine's data if they are the same, else from the store."""
        # Without a data directory, every node would download from the hub.
        if FAMILIES[family_of(self.task_id)].user_data or data_directory() is not None:
            with suppress(InputError):  # data are missing or wrong here
                if _content(task := loaded(self.task_id)) == self.content:
                    return task
        return _from_store(self.reference)


def store_tasks(tasks: Iterable[Task]) -> dict[str, StoredTask]:
    """Put every task that has data into the object store; return them by task id."""
    return {
        task.id: StoredTask(task.id, _content(task), ray.put(pickle.dumps(task)))
        for task in tasks
        if FAMILIES[task.family].data is not None or FAMILIES[task.family].user_data
    }


def _content(task: Task) -> str:
    """Return the hash of what a task is scored on and trained with: sha256, as hex."""
    try:
        training = training_hash(task, 0)
    except InputError:  # it has nothing to be trained with
        training = ""
    return hashlib.sha256(f"{task.version} {task.data_hash} {training}".encode()).hexdigest()


@cache
def _from_store(reference: Any) -> Task:
    task: Task = pickle.loads(ray.get(reference))
    return task
