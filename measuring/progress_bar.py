"""The progress bar of one training or measurement, where somebody looks on."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

__all__ = ["are_hidden", "bars_hidden", "bars_reported", "progress_bar"]

_hidden = ContextVar("hidden", default=False)
_report = ContextVar[Callable[[str], object] | None]("report", default=None)
TEXT = "{bar:12} {percentage:.0f}%"  # in characters that every terminal has


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


@contextmanager
def bars_reported(report: Callable[[str], object]) -> Iterator[None]:
    """Call `report` with bars, as text, until the end of the context instead of drawing them."""
    before = _report.set(report)
    try:
        yield
    finally:
        _report.reset(before)


def progress_bar(**options: Any) -> "tqdm[Any]":
    """Return a bar on stderr: in a terminal and in a notebook, and otherwise one that is silent."""
    if (report := _report.get()) is not None:
        return _Reported(report, **options)
    disable = True if are_hidden() else False if _in_notebook() else None
    return tqdm(disable=disable, leave=False, **options)


def _in_notebook() -> bool:
    """Return whether this process is a notebook's kernel; other code may import ipykernel too."""
    kernel = sys.modules.get("ipykernel.kernelapp")
    return kernel is not None and kernel.IPKernelApp.initialized()


class _Reported(tqdm):  # type: ignore[type-arg]
    """A bar of which a function gets the text, about once a second."""

    def __init__(self, report: Callable[[str], object], **options: Any) -> None:
        self._report = report
        super().__init__(file=io.StringIO(), mininterval=1.0, leave=False, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Report what it is of, and the share that is done."""
        what = (self.desc or "").partition(" ")[0]
        if msg is None and what and self.total:
            bar = self.format_meter(self.n, self.total, 0, bar_format=TEXT, ascii=".#")
            self._report(f"{what} {bar}")
        elif msg is None and what:
            self._report(what)
