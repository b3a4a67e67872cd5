"""How a command ends: an error in one line on stderr, and the exit status."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from seqmem.errors import CellError, InputError, RefusedError, SubmissionError

__all__ = ["OneLineErrors", "fail", "log"]


def log(line: str) -> None:
    """Write one line to stderr."""
    click.echo(line, err=True)


def fail(message: str, status: int) -> "SystemExit":
    """Write an error as one line to stderr, and return the exit to raise."""
    log("seqmem: " + " ".join(message.split()))
    return SystemExit(status)


class OneLineErrors(click.Group):
    """A group of commands whose expected errors cost one line and the right exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _one_line_errors():
            return super().invoke(ctx)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn a user's mistake, a refused model, a full disk or Ctrl-C into the exit to raise."""
    try:
        yield
    except (CellError, RefusedError, SubmissionError) as error:
        if isinstance(error, RefusedError):
            log(error.report)
        raise fail(str(error), 1) from None
    except InputError as error:
        raise fail(str(error), 2) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        raise fail(f"{error}: results finished before are saved", 1) from None
    except KeyboardInterrupt:
        raise fail(
            "interrupted; finished work is saved, and the same command resumes from there", 130
        ) from None
