"""Types of the values that options take: folders, contexts, contexts to train with, precisions.

Imported for every command, `seqmem --help` too: nothing heavy is imported before a value is read.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults
    from seqmem.measuring.precision import Precision
    from seqmem.runs.request import KTrain
    from seqmem.tasks.task import Context

__all__ = ["COUNT", "SEED", "ContextList", "FolderOrURL", "KTrainList", "PrecisionType"]

COUNT = click.IntRange(1, 1024)
SEED = click.IntRange(0, 2**31 - 1)


class FolderOrURL(click.ParamType[Any]):
    """A folder, or the URL of one in an object store, as in ``s3://bucket/results``."""

    name = "DIR"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Path | RemoteResults":
        """Return a URL, which has ``://``, as `RemoteResults`, and a folder as a path."""
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
        """Return the contexts ascending, full last."""
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
    """``1,2,full`` or ``diagonal``: contexts to train with."""

    name = "K,…"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "tuple[KTrain, ...]":
        """Return the contexts in the order given, each once."""
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
    """Return a context length; None where the text is not one."""
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
        """Return the precision."""
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
