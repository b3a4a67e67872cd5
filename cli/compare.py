"""`seqmem compare`: which of two models is better, by how much, in a sentence for each task."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqmem.cli import options
from seqmem.cli.arguments import CONTEXTS
from seqmem.cli.exits import log

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults

__all__ = ["compare"]


@click.command(epilog="Example: seqmem compare lstm tcn --task wikitext-2 --k 8")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@options.task("Only this task")
@click.option(
    "--k",
    "contexts",
    type=CONTEXTS,
    default="full",
    help="Context lengths at which they are compared, as in 8,full.",
)
@options.budget_shown
@options.records
def compare(
    first: str,
    second: str,
    tasks: tuple[str, ...],
    contexts: tuple[Any, ...],
    budget: str | None,
    places: "tuple[Path | RemoteResults, ...]",
) -> None:
    """Print which of two models is better on each task that both were measured on.

    A and B are names on the board, with options as in lstm:hidden=64, or files of records. They
    are compared at the largest budget that both were trained with. Losses are paired target by
    target and seed by seed; no difference is claimed whose 95 % interval includes zero.
    """
    from seqmem.leaderboard.comparison import compare as compared

    for k in contexts:
        for found in compared(
            first, second, k=k, tasks=tasks, budget=budget, places=places, log=log
        ):
            click.echo(str(found))
