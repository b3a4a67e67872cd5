"""Errors of users' code in one line, with the places in their files."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import seqmem
from seqmem.errors import CellError, InputError

__all__ = ["described", "is_installed", "one_line_errors"]

_ROOM = Path(seqmem.__file__).parent
_LIBRARY = f"{sysconfig.get_path('stdlib')}/"
_INSTALLED = {"site-packages", "dist-packages"}


def is_installed(path: str | Path) -> bool:
    """Return whether a file belongs to Python, to an installed package or to this one."""
    place = Path(path)
    if place.is_relative_to(_ROOM):
        return place.relative_to(_ROOM).parts[0] not in ("examples", "tests")
    return str(path).startswith((_LIBRARY, "<frozen")) or not _INSTALLED.isdisjoint(place.parts)


@contextmanager
def one_line_errors(text: str, what: str) -> Iterator[None]:
    """Turn an error of a user's code into one line.

    Args:
        text: the model as the user wrote it.
        what: what was run, as in "its constructor".

    Raises:
        InputError: it raised something.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except CellError as error:  # says it in one line already
        raise InputError(f"model '{text}': {error}") from None
    except (Exception, SystemExit) as error:
        raise InputError(f"model '{text}': {what} raised {described(error)}") from None


def described(error: BaseException) -> str:
    """Return an error with the lines of the user's files that led to it, the last one last."""
    own = [
        f"{Path(frame.filename).name} line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not is_installed(frame.filename)
    ]
    message = " ".join(str(error).split())
    place = f" ({', '.join(own)})" if own else ""
    return f"{type(error).__name__}: {message}{place}"
