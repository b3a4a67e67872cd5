"""Lines read by the `datasets` library: from files of a data directory, or from the hub.

Rows are read in Arrow tables, some thousand at a time; no split is ever in memory as a whole.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import read_lines

__all__ = ["file_rows", "hub_rows"]

ROWS = 4096  # read at a time
# Names of the splits on the hub.
HUB_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def file_rows(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, compressed or not.

    Raises:
        InputError: it cannot be read; the message has the reason and the line.
    """
    try:
        rows = _datasets().load_dataset(
            "text", data_files={"text": str(path)}, split="text", streaming=True
        )
        yield from _lines(rows)
    except Exception as error:  # the library wraps errors in many types
        for _ in read_lines(path):  # raises an error with the line
            pass
        reason = error.__cause__ or error
        raise InputError(
            f"{path} cannot be read: {type(reason).__name__}: {reason}; copy it again"
        ) from None


def hub_rows(
    name: str, hub: tuple[str, str], splits: Iterable[str], *, progress: bool = False
) -> tuple[dict[str, Callable[[], Iterator[str]]], str]:
    """Return splits of a data set, downloaded from the hub or from the library's cache.

    Args:
        name: the data set, for messages.
        hub: repository and configuration.
        splits: "train", "valid" or "test".
        progress: whether to show progress bars on stderr.

    Returns:
        by split, a function that returns an iterator over the lines; and what identifies the
        content: the names of the library's files, which contain the hub's commit and are not
        changed, or nothing if the rows are not in files.

    Raises:
        InputError: it is not available.
    """
    try:
        loaded = _datasets(progress).load_dataset(*hub)
        rows = {split: loaded[HUB_SPLITS[split]] for split in splits}
    except Exception as error:  # no network, no such repository, a full disk: many types
        raise InputError(
            f"{name}: {hub[0]} ({hub[1]}) cannot be loaded from the hub: {type(error).__name__}: "
            f"{error}; give a directory that contains it with --data-dir or SEQMEM_DATA"
        ) from None
    files = [file["filename"] for split in rows.values() for file in split.cache_files]
    return {split: partial(_lines, table) for split, table in rows.items()}, "\n".join(files)


def _lines(rows: Any) -> Iterator[str]:
    for table in rows.with_format("arrow").iter(ROWS):
        for line in table["text"].to_pylist():
            yield line.rstrip("\r\n")


def _datasets(progress: bool = False) -> Any:  # the library ships no types
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets

    if progress:
        datasets.enable_progress_bars()
    else:
        datasets.disable_progress_bars()
    return datasets
