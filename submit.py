"""The entry point of `seqmem`: the group of its commands.

Results go to stdout, everything else to stderr. Exit status: 0 done; 1 a cell could not be
measured, a check failed or results could not be written; 2 the command line or an input is wrong;
130 interrupted.
"""

import click

import seqmem
from seqmem.cli.check import check
from seqmem.cli.data import data
from seqmem.cli.eval import evaluate
from seqmem.cli.exits import OneLineErrors, fail
from seqmem.cli.export import export
from seqmem.cli.leaderboard import leaderboard
from seqmem.cli.models import models
from seqmem.cli.plot import plot
from seqmem.cli.submit import submit
from seqmem.cli.tasks import tasks
from seqmem.cli.verify import verify

__all__ = ["cli", "main"]


@click.group(
    cls=OneLineErrors,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
    epilog="Example: seqmem eval lstm tcn --suite smoke",
)
@click.version_option(seqmem.__version__, prog_name="seqmem")
def cli() -> None:
    """How much memory does a sequence task need, and how much does a model use?"""


for command in (tasks, models, data, evaluate, leaderboard, plot, check, submit, verify, export):
    cli.add_command(command)


def main() -> None:
    """Run the command line; a usage error costs one line as well."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        raise SystemExit(2) from None
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "seqmem"
        raise fail(f"{error.format_message().rstrip('.')}: see `{path} --help`", 2) from None
    except click.ClickException as error:
        raise fail(error.format_message(), 1) from None
    except click.Abort:
        raise fail("interrupted", 130) from None


if __name__ == "__main__":
    main()
