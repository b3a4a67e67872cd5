"""`seqmem tasks`: the tasks that there are."""

import click

from seqmem.cli import options
from seqmem.leaderboard import Format

__all__ = ["tasks"]


@click.command(epilog="Example: seqmem tasks wikitext-2")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@options.output_format()
@options.data_dir
def tasks(ids: tuple[str, ...], form: Format) -> None:
    """List tasks, these or all: loss, chance, optimum, context lengths, and where data are here."""
    from seqmem.cli.listings import task_rows, write_rows

    click.echo(write_rows(task_rows(ids), form))
