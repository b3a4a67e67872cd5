"""How a command ends: an error in one line on stderr, and the exit status."""

import io
import sys
from typing import Any

import click

from seqmem.cli.interrupts import Interrupts
from seqmem.errors import CellError, InputError, RefusedError, SubmissionError, without_secrets
from seqmem.leaderboard import OWN

__all__ = ["OneLineErrors", "fail", "highlighted", "log"]


def log(line: str) -> None:
    """Write a message to stderr, without the secrets of URLs in it.

    What a file put into it cannot control the terminal.
    """
    click.echo("".join(map(_shown, without_secrets(line))), err=True)


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t\u00a0":
        return character
    return character.encode("unicode_escape").decode()


def highlighted(text: str) -> str:
    """Return a board whose rows of the user's own models are bold, in a terminal."""
    if not sys.stdout.isatty():
        return text
    rows = (click.style(row, bold=True) if OWN in row else row for row in text.split("\n"))
    return "\n".join(rows)


def fail(message: str, status: int) -> "SystemExit":
    """Write an error as one line to stderr, and return the exit to raise."""
    log("seqmem: " + " ".join(message.split()))
    return SystemExit(status)


class OneLineErrors(click.Group):
    """A group of commands whose expected errors cost one line and the right exit status."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check that the command line is text, which records can hold."""
        for given in args:
            shown = given.encode(errors="backslashreplace").decode()
            if shown != given:  # "backslashreplace" replaces nothing in UTF-8
                raise InputError(f"{shown}: is not UTF-8; rename the file or folder")
        return super().parse_args(ctx, args)

    def main(self, *args: Any, **others: Any) -> Any:
        """Run the command line."""
        interrupts = Interrupts()
        if isinstance(sys.stdout, io.TextIOWrapper):  # its encoding may lack some characters
            sys.stdout.reconfigure(errors="replace")
        try:
            with interrupts:
                return super().main(*args, **{**others, "standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            log(error.format_message())
            raise SystemExit(2) from None
        except click.UsageError as error:
            path = error.ctx.command_path if error.ctx else "seqmem"
            raise fail(f"{error.format_message().rstrip('.')}: see `{path} --help`", 2) from None
        except click.ClickException as error:
            raise fail(error.format_message(), 1) from None
        except (CellError, RefusedError, SubmissionError) as error:
            if isinstance(error, RefusedError):
                log(error.report)
            raise fail(str(error), 1) from None
        except InputError as error:
            raise fail(str(error), 2) from None
        except OSError as error:
            raise fail(f"{error}: results finished before are saved", 1) from None
        except click.Abort:
            raise fail(
                f"{interrupts.reason}; finished work is saved, and the same command resumes from "
                "there",
                interrupts.status,
            ) from None
