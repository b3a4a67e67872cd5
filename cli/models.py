"""`seqmem models`: the baselines that there are."""

import click

from seqmem.cli import options
from seqmem.leaderboard import Format

__all__ = ["models"]


@click.command(epilog="Example: seqmem models lstm tcn")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@options.output_format()
def models(names: tuple[str, ...], form: Format) -> None:
    """List models, these or all, with their options, and how large they are on an example task.

    Parameters, receptive field and state are those of `seqmem eval MODEL --task
    hidden-markov/dwell=20`; "–" stands for an unbounded receptive field, and for a number of
    parameters that depends on the training data. State is what a model stores after reading the
    longest useful context.
    """
    from seqmem.cli.listings import model_rows, write_rows

    click.echo(write_rows(model_rows(names), form))
