"""What options of the command line take: contexts, contexts to train with, precisions.

Imported for every command, `seqmem --help` too: nothing heavy is imported before a value is read.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from seqmem.cli.exits import fail

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults
    from seqmem.measuring.precision import Precision
    from seqmem.runs.request import KTrain
    from seqmem.tasks.task import Context

__all__ = ["ContextList", "FolderOrURL", "KTrainList", "PrecisionType", "data_dir_option"]


P = ParamSpec("P")
T = TypeVar("T")


class FolderOrURL(click.ParamType[Any]):
    """A folder, or the URL of one in an object store, as in ``s3://bucket/results``."""

    name = "DIR"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Path | RemoteResults":
        """Tell the one from the other by ``://``."""
        if "://" in str(value):
            from seqmem.leaderboard.remote_results import RemoteResults

            return value if isinstance(value, RemoteResults) else RemoteResults(str(value))
        return value if isinstance(value, Path) else Path(str(value))


class ContextList(click.ParamType[Any]):
    """``1,2,4,full``: context lengths, given in any order."""

    name = "K,…"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "tuple[Context, ...]":
        """Read the list, ascending, full last."""
        if isinstance(value, tuple):
            return value
        contexts: set[Context] = set()
        for item in str(value).split(","):
            context = _context(item.strip())
            if context is None:
                self.fail(
                    f"'{item.strip()}' is not a context length: a whole number from 1 on, or full"
                )
            contexts.add(context)
        return tuple(sorted(contexts, key=lambda k: (k == "full", k if k != "full" else 0)))


class KTrainList(click.ParamType[Any]):
    """``1,2,full`` or ``diagonal``: contexts to train with, in the order given."""

    name = "K,…"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "tuple[KTrain, ...]":
        """Read the list; what is given twice counts once."""
        if isinstance(value, tuple):
            return value
        k_trains: dict[KTrain, None] = {}
        for item in str(value).split(","):
            text = item.strip()
            k_train: KTrain = "diagonal" if text == "diagonal" else _context(text)
            if k_train is None:
                self.fail(
                    f"'{text}' is not a context length to train with: a whole number from 1 on, "
                    "full, or diagonal"
                )
            k_trains[k_train] = None
        return tuple(k_trains)


def _context(text: str) -> "Context | None":
    """Read a context length; None for what is none."""
    if text == "full":
        return "full"
    is_number = text.isascii() and text.isdigit() and 0 < int(text[:18]) < 10**9
    return int(text) if is_number else None


class PrecisionType(click.ParamType[Any]):
    """``0.5%`` or ``0.01``."""

    name = "X"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Precision":
        """Read the text."""
        from seqmem.measuring.precision import Precision, parse_precision

        if isinstance(value, Precision):
            return value
        try:
            return parse_precision(str(value))
        except ValueError:
            self.fail(
                f"'{value}' is not a precision: a positive share, as in 0.5%, or a positive number "
                "in the loss's unit, as in 0.01"
            )


def data_dir_option(command: Callable[P, T]) -> Callable[P, T]:
    """Add --data-dir, which stands in for SEQMEM_DATA."""

    def set_environment(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
        if value is not None:
            if not Path(value).is_dir():
                raise fail(
                    f"--data-dir {value}: there is no such directory; make it or name another", 2
                )
            os.environ["SEQMEM_DATA"] = value
        return value

    return click.option(
        "--data-dir",
        metavar="DIR",
        expose_value=False,
        callback=set_environment,
        help="Where corpora are; also SEQMEM_DATA.",
    )(command)
