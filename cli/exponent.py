"""`seqmem exponent`: by which law the loss falls with context."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqmem.cli import options
from seqmem.cli.arguments import CONTEXTS
from seqmem.cli.exits import log
from seqmem.leaderboard import Format

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults

__all__ = ["exponent"]


@click.command(epilog="Example: seqmem exponent wikitext-2 lstm")
@click.argument("task", metavar="TASK")
@click.argument("model", metavar="[MODEL]", required=False)
@click.option(
    "--k",
    "contexts",
    type=CONTEXTS,
    help="Context lengths to fit, at least five.  [default: all, or those of a known law]",
)
@options.budget_shown
@options.records
@options.output_format()
@options.data_dir
def exponent(
    task: str,
    model: str | None,
    contexts: tuple[Any, ...] | None,
    budget: str | None,
    places: "tuple[Path | RemoteResults, ...]",
    form: Format,
) -> None:
    """Print by which law the loss on TASK falls with context: a power law or an exponential.

    Both, and their sum, are fitted to a MODEL's records, a name on the board or a file of records;
    without MODEL to the optimum of the task, where it is known. The verdict is "power law",
    "exponential", "neither" or "cannot tell"; the exponent γ has a 95 % interval. Of text,
    wikitext-2 or text:FILE, the decay of its own correlations is printed as well, with or without
    MODEL. See docs/exponent.md.
    """
    from seqmem.measuring.exponent import exponents
    from seqmem.measuring.exponent_text import exponents_text

    found = exponents(task, model, contexts=contexts, budget=budget, places=places, log=log)
    click.echo(exponents_text(found, form), nl=False)
