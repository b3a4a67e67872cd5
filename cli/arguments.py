"""Types of the values that options take: folders, contexts, contexts to train with, precisions.

Imported for every command, `seqmem --help` too: nothing heavy is imported before a value is read.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults
    from seqmem.measuring.precision import Precision
    from seqmem.runs.request import KTrain

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
    """``1,2,4,full``: context lengths, in any order."""

    name = "K,…"
    words: tuple[str, ...] = ("full",)
    rule = "a context length: a whole number from 1 on, or full"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> "tuple[KTrain, ...]":
        """Return the contexts, each once."""
        if isinstance(value, tuple):
            return value
        contexts: dict[Any, None] = {}
        for item in map(str.strip, str(value).split(",")):
            if item in self.words:
                contexts[item] = None
            elif re.fullmatch("0{0,9}[1-9][0-9]{0,8}", item):
                contexts[int(item)] = None
            else:
                self.fail(f"'{item}' is not {self.rule}")
        return self.ordered(contexts)

    def ordered(self, contexts: Iterable[Any]) -> "tuple[KTrain, ...]":
        """Return contexts ascending, full last."""
        return tuple(sorted(contexts, key=lambda k: math.inf if k == "full" else k))


class KTrainList(ContextList):
    """``1,2,full`` or ``diagonal``: contexts to train with."""

    words = ("full", "diagonal")
    rule = "a context length to train with: a whole number from 1 on, full, or diagonal"

    def ordered(self, contexts: Iterable[Any]) -> "tuple[KTrain, ...]":
        """Return contexts in the order given."""
        return tuple(contexts)


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
