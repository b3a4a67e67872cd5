"""How a command ends: what went wrong in one line on stderr, and the exit status."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from seqmem.errors import InputError

__all__ = ["fail", "one_line_errors", "say"]

P = ParamSpec("P")
T = TypeVar("T")


def say(line: str) -> None:
    """Write one line to stderr."""
    click.echo(line, err=True)


def fail(message: str, status: int) -> "SystemExit":
    """Say in one line what is wrong and give the exit to raise."""
    say("seqmem: " + " ".join(message.split()))
    return SystemExit(status)


def one_line_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn a user's mistake, a full disk or Ctrl-C into one line and the right exit status."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except InputError as error:
            raise fail(str(error), 2) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(1) from None
        except OSError as error:
            raise fail(f"{error}: what was finished before is kept", 1) from None
        except KeyboardInterrupt:
            raise fail(
                "interrupted; what was finished is kept, the same command goes on from there", 130
            ) from None

    return wrapped
