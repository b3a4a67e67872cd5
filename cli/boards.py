"""`seqmem leaderboard` and `seqmem plot`: what is made of records."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from seqmem.cli.arguments import FolderOrURL
from seqmem.cli.exits import one_line_errors, say
from seqmem.leaderboard import FORMATS, Format
from seqmem.tasks import SUITES

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults

__all__ = ["leaderboard", "plot"]

_RECORDS = click.option(
    "--records",
    "places",
    metavar="DIR",
    type=FolderOrURL(),
    multiple=True,
    help="Records to show: a folder, or a URL as in s3://bucket/results; repeatable.  [default: "
    "the committed ones, and ./results]",
)


@click.command(epilog="Example: seqmem leaderboard --task wikitext-2 --format markdown")
@_RECORDS
@click.option("--task", "task_ids", metavar="ID", multiple=True, help="Only this task; repeatable.")
@click.option(
    "--suite",
    metavar="NAME",
    help="One table of a whole suite, each score between chance, 0, and the best possible or "
    f"known, 1; and one of context needs: {', '.join(SUITES)}.",
)
@click.option(
    "--stable",
    is_flag=True,
    help="One table of stable models beside the same ones unconstrained.",
)
@click.option(
    "--published/--no-published",
    "with_published",
    default=True,
    show_default=True,
    help="Show published numbers, with their sources, below what was measured; never ranked.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice((*FORMATS, "html")),
    default="table",
    show_default=True,
    help="html: one page with charts, for any browser, without a network; needs pip install "
    "'seqmem[plot]'.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file."
)
@one_line_errors
def leaderboard(
    places: "Sequence[Path | RemoteResults]",
    task_ids: Sequence[str],
    suite: str | None,
    stable: bool,
    with_published: bool,
    form: Format | Literal["html"],
    output: Path | None,
) -> None:
    """Show records as a table for each task: rows models, columns context lengths.

    Models are ranked by their full-context scores, and share places that paired differences leave
    open. A task of which there are only published numbers is shown where --task asks for it.
    """
    from seqmem.errors import InputError, unknown
    from seqmem.files import write_output
    from seqmem.leaderboard.aggregate import boards
    from seqmem.leaderboard.selection import select
    from seqmem.leaderboard.statistics.suite_scores import overview
    from seqmem.leaderboard.store import uncollected
    from seqmem.leaderboard.tables.board_table import board_text
    from seqmem.leaderboard.tables.stable_table import stable_text
    from seqmem.leaderboard.tables.suite_table import suite_text

    if (suite is not None) + bool(task_ids) + stable > 1 and not (
        stable and task_ids and not suite
    ):
        raise InputError(
            "of --suite, --task and --stable, only --task and --stable go together; leave one out"
        )
    if form == "html" and (suite is not None or stable):
        raise InputError("--format html: the page holds every task; leave --suite and --stable out")
    if suite is not None and suite not in SUITES:
        raise unknown("suite", suite, SUITES, "seqmem leaderboard --help")
    with uncollected():
        chosen = select(places, task_ids, say, published=with_published)
        found = boards(chosen.records)
        if form == "html":
            from seqmem.baselines import BASELINES
            from seqmem.leaderboard.page import page

            models = {name: model.summary for name, model in BASELINES.items()}
            text = page(found, models, chosen.published)
        elif suite is not None:
            text = suite_text(suite, overview(found, SUITES[suite].tasks), form)
        elif stable:
            text = stable_text(found, form, chosen.published)
        else:
            text = board_text(found, form, chosen.published)
        if output is None:
            click.echo(text, nl=False)
        else:
            write_output(output, text.encode())
    if not chosen.any_records:
        say("no records yet: `seqmem eval lstm --suite smoke` makes some")


@click.command(epilog="Example: seqmem plot wikitext-2 -o curve.svg")
@click.argument("task_id", metavar="TASK")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The file to write, .svg or .png.",
)
@_RECORDS
@click.option("--budget", metavar="NAME", help="Only models trained with this budget.")
@one_line_errors
def plot(
    task_id: str, output: Path, places: "Sequence[Path | RemoteResults]", budget: str | None
) -> None:
    """Draw TASK's records: the score against the context length, a line for each model.

    Each model is drawn as its recipe trains it; the other k_train are in `seqmem leaderboard`.
    Needs the extra packages of pip install 'seqmem[plot]'.
    """
    from seqmem.baselines import BASELINES
    from seqmem.leaderboard.charts.plot import draw

    draw(task_id, output, places, budget, BASELINES, say)
