"""`seqmem plot`: one task's records as a chart."""

from typing import Any

import click

from seqmem.baselines import BASELINES
from seqmem.cli import options
from seqmem.cli.exits import log

__all__ = ["plot"]


@click.command(epilog="Example: seqmem plot wikitext-2 -o curve.svg")
@click.argument("task_id", metavar="TASK")
@options.output("The file to write, .svg or .png.", required=True)
@options.records
@click.option("--budget", metavar="NAME", help="Only models trained with this budget.")
def plot(**given: Any) -> None:
    """Draw TASK's records: the score against the context length, a line for each model.

    Each model is drawn as its recipe trains it; the other k_train are in `seqmem leaderboard`.
    Needs the extra packages of pip install 'seqmem[plot]'.
    """
    from seqmem.leaderboard.charts.plot import draw

    draw(**given, models=BASELINES, log=log)
