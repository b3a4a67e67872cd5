"""The progress bar of one training or measurement, where somebody looks on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

__all__ = ["are_hidden", "bars_hidden", "progress_bar"]

_hidden = ContextVar("hidden", default=False)


def are_hidden() -> bool:
    """Return whether bars are hidden here."""
    return _hidden.get()


@contextmanager
def bars_hidden(hidden: bool = True) -> Iterator[None]:
    """Hide bars until the end of the context, if `hidden`."""
    before = _hidden.set(hidden or are_hidden())
    try:
        yield
    finally:
        _hidden.reset(before)


def progress_bar(**options: Any) -> "tqdm[Any]":
    """Return a bar on stderr: in a terminal and in a notebook, and otherwise one that is silent."""
    disable = True if are_hidden() else False if _in_notebook() else None
    return tqdm(disable=disable, leave=False, **options)


def _in_notebook() -> bool:
    """Return whether this process is a notebook's kernel; other code may import ipykernel too."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and kernel.IPKernelApp.initialized()
