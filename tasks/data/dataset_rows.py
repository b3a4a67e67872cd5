"""Lines through the `datasets` library: from files of a data directory, or from the hub.

Rows arrive in Arrow tables, some thousand at a time; no split is ever held whole.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqmem.errors import InputError
from seqmem.tasks.data.text_files import read_lines

__all__ = ["HubRows", "file_rows", "hub_rows"]

ROWS = 4096  # taken at a time
# What the hub calls the splits.
HUB_SPLITS = {"train": "train", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class HubRows:
    """A data set of the hub, downloaded.

    Attributes:
        lines: by split, gives the lines from the start.
        key: names the content: a hash of the library's files, which stand under the hub's commit
            and are not changed; empty where the rows are in no file.
    """

    lines: Mapping[str, Callable[[], Iterator[str]]]
    key: str


def file_rows(path: Path) -> Iterator[str]:
    """Stream the lines of a text file, compressed or not.

    Raises:
        InputError: it cannot be read; says why, and at which line.
    """
    try:
        rows = _datasets().load_dataset(
            "text", data_files={"text": str(path)}, split="text", streaming=True
        )
        yield from _lines(rows)
    except Exception as error:  # the library wraps whatever went wrong, as one of many types
        for _ in read_lines(path):  # this one knows the line
            pass
        reason = error.__cause__ or error
        raise InputError(
            f"{path} cannot be read: {type(reason).__name__}: {reason}; copy it again"
        ) from None


def hub_rows(
    name: str, hub: tuple[str, str], splits: Iterable[str], *, progress: bool = False
) -> HubRows:
    """Download splits of a data set from the hub, or take the library's copy.

    Args:
        name: the data set, for messages.
        hub: repository and configuration.
        splits: "train", "valid" or "test".
        progress: whether to show bars on stderr.

    Raises:
        InputError: it cannot be had.
    """
    try:
        loaded = _datasets(progress).load_dataset(*hub)
        rows = {split: loaded[HUB_SPLITS[split]] for split in splits}
    except Exception as error:  # no network, no such repository, a full disk: many types
        raise InputError(
            f"{name}: {hub[0]} ({hub[1]}) cannot be loaded from the hub: {type(error).__name__}: "
            f"{error}; name a directory that holds it with --data-dir or SEQMEM_DATA"
        ) from None
    files = [file["filename"] for split in rows.values() for file in split.cache_files]
    key = hashlib.sha256("\n".join(files).encode()).hexdigest() if files else ""
    return HubRows({split: _restart(table) for split, table in rows.items()}, key)


def _restart(rows: Any) -> Callable[[], Iterator[str]]:
    return lambda: _lines(rows)


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
