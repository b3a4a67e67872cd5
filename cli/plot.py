"""`seqmem plot`: records as a chart."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqmem.baselines import BASELINES
from seqmem.cli import options
from seqmem.cli.arguments import NAMES
from seqmem.cli.exits import log

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults

__all__ = ["plot"]


@click.command(epilog="Example: seqmem plot wikitext-2 --model lstm,tcn -o curve.pdf")
@click.argument("tasks", metavar="TASK...", nargs=-1, required=True)
@options.output("The file to write: .svg, .pdf, .png or .html.", required=True)
@options.records
@options.budget_shown
@click.option(
    "--model", "models", type=NAMES, default=(), help="Only these models.  [default: all]"
)
@click.option("--highlight", type=NAMES, default=(), help="The models that stand out.")
@click.option(
    "--width",
    type=click.FloatRange(1, 100),
    metavar="INCHES",
    help="Width of the picture; texts keep their size.  [default: as the labels need]",
)
@click.option(
    "--columns", type=click.IntRange(1, 12), default=1, help="Panels of tasks side by side."
)
@click.option(
    "--against",
    metavar="NAME",
    help="Instead of k: state, the floats of a model's state; or a parameter of the tasks.",
)
@options.by
@click.option("--font", metavar="NAME", help="The font family of all texts.")
def plot(
    tasks: tuple[str, ...],
    output: Path,
    places: "tuple[Path | RemoteResults, ...]",
    budget: str | None,
    models: tuple[str, ...],
    highlight: tuple[str, ...],
    width: float | None,
    columns: int,
    against: str | None,
    by: str | None,
    font: str | None,
) -> None:
    """Draw the records of each TASK: the score against the context length, a line for each model.

    Several tasks of a family are written as in 'associative-recall/keys=8|32,values=64,zipf=0';
    with --against keys the full context's score and bits held are drawn against that parameter,
    with --against state against the floats of each model's state. With --by frequency there is a
    frame for each model, and a line for each stratum: what it loses to the full context.

    Each model is drawn as its recipe trains it; the other k_train are in `seqmem leaderboard`.
    Names show budget and k_train where models differ in them. Needs the extra packages of
    pip install 'seqmem[plot]'.
    """
    from seqmem.errors import InputError
    from seqmem.leaderboard.charts.plot import PlotRequest, draw
    from seqmem.tasks import every_id

    if by is not None and (against is not None or highlight):
        raise InputError(f"--by {by}: its lines are strata; leave --against and --highlight out")
    request = PlotRequest(
        tuple(dict.fromkeys(chain.from_iterable(map(every_id, tasks)))),
        output,
        places,
        budget=budget,
        models=models,
        highlight=highlight,
        width=width,
        columns=columns,
        font=font,
        against=against,
        by=by,
    )
    draw(request, BASELINES, log)
