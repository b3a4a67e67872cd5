"""The entry point of `seqmem`: the group of its commands.

Results go to stdout, everything else to stderr. Exit status: 0 done; 1 a cell could not be
measured, a check failed or results could not be written; 2 the command line or an input is wrong;
130 interrupted, 143 and 129 ended by SIGTERM and SIGHUP.
"""

import click

import seqmem
from seqmem.cli.ablate import ablate
from seqmem.cli.check import check
from seqmem.cli.compare import compare
from seqmem.cli.data import data
from seqmem.cli.eval import evaluate
from seqmem.cli.exits import OneLineErrors
from seqmem.cli.exponent import exponent
from seqmem.cli.export import export
from seqmem.cli.leaderboard import leaderboard
from seqmem.cli.measure import measure
from seqmem.cli.models import models
from seqmem.cli.plot import plot
from seqmem.cli.probe import probe
from seqmem.cli.review import review
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


_COMMANDS = (
    *(tasks, models, data, evaluate, measure, probe, compare, exponent, ablate, leaderboard, plot),
    *(check, submit, verify, review, export),
)
for command in _COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    cli.main()


if __name__ == "__main__":
    main()
