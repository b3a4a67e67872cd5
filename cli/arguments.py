"""Types of the values that options take: folders, contexts, contexts to train with, precisions.

Imported for every command, `seqmem --help` too: nothing heavy is imported before a value is read.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqmem.files import expand_user

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults
    from seqmem.measuring.precision import Precision

__all__ = [
    "CONTEXTS",
    "COUNT",
    "FILE",
    "FOLDER",
    "FOLDER_OR_URL",
    "HEADINGS",
    "K_TRAINS",
    "NAMES",
    "NUMBERS",
    "PATH",
    "PRECISION",
    "SEED",
]

COUNT = click.IntRange(1, 1024)
SEED = click.IntRange(0, 2**31 - 1)


class _Path(click.Path):
    """A path whose ``~`` is the home folder, also where the shell leaves it (--results=~/x)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of a text."""
        return super().convert(expand_user(value), param, ctx)


PATH = _Path(path_type=Path)
FILE = _Path(path_type=Path, dir_okay=False)
FOLDER = _Path(path_type=Path, file_okay=False, exists=True)


class _Parsed(click.ParamType[Any]):
    """What a function makes of the text; a default that is no text stays as it is."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        """Take the placeholder for help texts, and the function."""
        self.name, self._parse = name, parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Return the value of a text."""
        return self._parse(value) if isinstance(value, str) else value


def _folder_or_url(text: str) -> "Path | RemoteResults":
    if "://" not in text:
        return expand_user(text)
    from seqmem.leaderboard.remote_results import RemoteResults

    return RemoteResults(text)


def _items(text: str, words: tuple[str, ...], rule: str) -> dict[Any, None]:
    """Return the positive integers and words in a list with commas, each once."""
    items: dict[Any, None] = {}
    for item in map(str.strip, text.split(",")):
        if item in words:
            items[item] = None
        elif re.fullmatch("0{0,9}[1-9][0-9]{0,8}", item):
            items[int(item)] = None
        else:
            raise click.BadParameter(f"'{item}' is not {rule}")
    return items


def _contexts(text: str) -> tuple[Any, ...]:
    contexts = _items(text, ("full",), "a context length: a whole number from 1 on, or full")
    return tuple(sorted(contexts, key=lambda k: math.inf if k == "full" else k))


def _k_trains(text: str) -> tuple[Any, ...]:
    rule = "a context length to train with: a whole number from 1 on, full, or diagonal"
    return tuple(_items(text, ("full", "diagonal"), rule))


def _names(text: str) -> tuple[str, ...]:
    # The commas between the options of one model, as in lstm:hidden=8,layers=2, separate no names.
    parts = re.split(r",(?![\w-]+=)", text)
    names = tuple(dict.fromkeys(name for name in map(str.strip, parts) if name))
    if not names:
        raise click.BadParameter(f"'{text}' names nothing; write names with commas, as in lstm,tcn")
    return names


def _headings(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))


def _precision(text: str) -> "Precision":
    from seqmem.measuring.precision import parse_precision

    try:
        return parse_precision(text)
    except ValueError:
        raise click.BadParameter(
            f"'{text}' is not a precision: a positive share, as in 0.5%, or a positive number "
            "in the loss's unit, as in 0.01"
        ) from None


# A folder, or the URL of one in an object store, as in ``s3://bucket/results``.
FOLDER_OR_URL = _Parsed("DIR", _folder_or_url)
CONTEXTS = _Parsed("K,…", _contexts)  # ``1,2,4,full`` in any order: ascending, full last
K_TRAINS = _Parsed("K,…", _k_trains)  # ``1,2,full`` or ``diagonal``, in the order given
HEADINGS = _Parsed("NAME,…", _headings)  # of columns
NUMBERS = _Parsed("N,N…", lambda text: tuple(_items(text, (), "a whole number from 1 on")))
NAMES = _Parsed("NAME,…", _names)  # ``lstm,tcn`` in the order given
PRECISION = _Parsed("X", _precision)  # ``0.5%`` or ``0.01``
