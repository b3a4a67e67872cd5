"""`seqmem models`: the baselines that there are."""

import click

from seqmem.cli import options
from seqmem.leaderboard import Format

__all__ = ["models"]


@click.command(epilog="Example: seqmem models")
@options.output_format()
def models(form: Format) -> None:
    """List every model and its options, and how large it is on an example task.

    Parameters, receptive field and state are those of `seqmem eval MODEL --task
    hidden-markov/dwell=20`; "–" stands for an unbounded receptive field, and for a number of
    parameters that depends on the training data. State is what a model stores after reading the
    longest useful context.
    """
    from seqmem.cli.listings import model_rows, write_rows

    click.echo(write_rows(model_rows(), form))
