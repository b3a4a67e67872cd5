"""`seqmem data`: the data sets that there are, and `seqmem data fetch`, which downloads one."""

import sys

import click

from seqmem.cli import options
from seqmem.cli.exits import log
from seqmem.leaderboard import Format

__all__ = ["data"]


@click.group(invoke_without_command=True, epilog="Example: seqmem data --data-dir ~/corpora")
@options.output_format()
@options.data_dir
@click.pass_context
def data(context: click.Context, form: Format) -> None:
    """List every data set: where it was looked for, whether it is right, how to get it."""
    if context.invoked_subcommand is not None:
        return
    from seqmem.cli.listings import data_rows, write_rows

    click.echo(write_rows(data_rows(), form))


@data.command(epilog="Example: seqmem data fetch polymusic --data-dir ~/corpora")
@click.argument("name", metavar="NAME")
@options.data_dir
def fetch(name: str) -> None:
    """Download the data set NAME into the data directory, and check it."""
    from seqmem.tasks.data.fetch import fetch_data

    log(fetch_data(name, progress=sys.stderr.isatty()))
