"""`seqmem tasks`: the tasks that there are."""

import click

from seqmem.cli import options
from seqmem.leaderboard import Format

__all__ = ["tasks"]


@click.command(epilog="Example: seqmem tasks --format markdown")
@options.output_format()
@options.data_dir
def tasks(form: Format) -> None:
    """List every task: loss, chance, optimum, context lengths, and whether its data is here."""
    from seqmem.cli.listings import task_rows, write_rows

    click.echo(write_rows(task_rows(), form))
