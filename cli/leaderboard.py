"""`seqmem leaderboard`: records as boards."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from seqmem.baselines import BASELINES
from seqmem.cli import options
from seqmem.cli.arguments import FOLDER, HEADINGS, NAMES
from seqmem.cli.exits import log
from seqmem.leaderboard import FORMATS, Format
from seqmem.tasks import SUITES, find_suite

if TYPE_CHECKING:
    from seqmem.leaderboard.record import Context
    from seqmem.leaderboard.remote_results import RemoteResults

__all__ = ["leaderboard"]

FILES = ("html", "parquet", "model-card")  # what holds every task, and is no table to read
# What --output's ending says where --format says nothing.
ENDINGS: "Mapping[str, Format | Literal['html', 'parquet']]" = {
    ".html": "html",
    ".parquet": "parquet",
    ".csv": "csv",
    ".json": "json",
    ".md": "markdown",
    ".tex": "latex",
}


@click.command(epilog="Example: seqmem leaderboard --task wikitext-2 --format markdown")
@options.records
@options.task("Only this task")
@click.option(
    "--suite",
    metavar="NAME",
    help="A whole suite in two tables: scores, each rescaled so that chance is 0 and the optimum, "
    f"or the best one known, is 1; and context needs: {', '.join(SUITES)}.",
)
@click.option(
    "--stable",
    is_flag=True,
    help="One table of stable models beside their unconstrained counterparts.",
)
@click.option(
    "--rescored",
    metavar="DIR",
    type=FOLDER,
    multiple=True,
    help="Further records, of a board that you believe: a folder into which only `seqmem verify` "
    "writes; repeatable.",
)
@click.option("--model", "models", type=NAMES, default=(), help="Only these models.")
@options.budget_shown
@options.by
@options.k_shown
@options.wide
@click.option(
    "--columns",
    type=HEADINGS,
    help="Only these columns of --wide, or those whose names begin so: rank,parameters,full,k*.",
)
@click.option(
    "--published/--no-published",
    "with_published",
    default=True,
    help="Show published numbers, with their sources, below the measured ones; never ranked.",
)
@options.output_format(
    (*FORMATS, *FILES),
    "; html is one page with charts, for any browser, without a network, and needs pip install "
    "'seqmem[plot]'; parquet is the table of csv with types, for --output; model-card is the "
    "scores of one model as metadata of its card on the Hugging Face hub",
)
@options.output(f"Write to a file; without --format, its ending chooses one: {', '.join(ENDINGS)}.")
@click.pass_context
def leaderboard(
    context: click.Context,
    places: "tuple[Path | RemoteResults, ...]",
    tasks: tuple[str, ...],
    suite: str | None,
    stable: bool,
    rescored: tuple[Path, ...],
    models: tuple[str, ...],
    budget: str | None,
    by: str | None,
    contexts: "tuple[Context, ...] | None",
    wide: bool,
    columns: tuple[str, ...] | None,
    with_published: bool,
    form: Format | Literal["html", "parquet", "model-card"],
    output: Path | None,
) -> None:
    """Show records as a table for each task: rows models, columns context lengths.

    Models are ranked by their full-context scores; models that paired differences do not
    distinguish are tied. A task that has only published numbers is shown if --task names it.
    """
    from seqmem.errors import InputError
    from seqmem.files import write_output
    from seqmem.leaderboard.selection import select
    from seqmem.leaderboard.statistics.aggregate import boards
    from seqmem.leaderboard.statistics.suite_scores import overview
    from seqmem.leaderboard.store import uncollected
    from seqmem.leaderboard.tables.board_table import at_contexts, board_text
    from seqmem.leaderboard.tables.flat import flat
    from seqmem.leaderboard.tables.model_card import model_card
    from seqmem.leaderboard.tables.parquet import parquet
    from seqmem.leaderboard.tables.stable_table import stable_text
    from seqmem.leaderboard.tables.strata_table import strata_columns, strata_text
    from seqmem.leaderboard.tables.suite_table import suite_text

    if output is not None and context.get_parameter_source("form") is ParameterSource.DEFAULT:
        form = ENDINGS.get(output.suffix.lower(), form)
    if (suite is not None) + bool(tasks) + stable > 1 and not (stable and tasks and not suite):
        raise InputError(
            "of --suite, --task and --stable, only --task and --stable go together; leave one out"
        )
    if form in FILES and (suite is not None or stable):
        raise InputError(f"--format {form}: it has no such table; leave --suite and --stable out")
    if form == "parquet" and output is None:
        raise InputError("--format parquet: it is no text; name a file with --output")
    no_strata = form in ("html", "model-card") or suite is not None or stable or columns
    if by is not None and no_strata:
        raise InputError(
            f"--by {by}: strata have a table of their own; leave --suite, --stable, --columns and "
            "--format model-card out, and --by where the page, --format html, has every kind"
        )
    if columns and (form in (*FILES, "csv", "json") or suite is not None or stable):
        raise InputError(
            f"--columns chooses columns of a board; leave --suite, --stable and --format {form} out"
        )
    if form == "table" and (wide or output is not None):  # a file has no width
        form = "wide"
    if suite is not None:
        find_suite(suite, "seqmem leaderboard")
    with uncollected():
        chosen = select(
            places,
            tasks,
            log,
            published=with_published,
            models=models,
            budget=budget,
            rescored=rescored,
        )
        found = boards(chosen.records)
        content: str | bytes
        if form == "html":
            from seqmem.leaderboard.page import page

            summaries = {name: model.summary for name, model in BASELINES.items()}
            content = page(found, summaries, chosen.published)
        elif form == "parquet" and by is not None:
            content = parquet(strata_columns(chosen.records, by, contexts))
        elif form == "parquet":
            content = parquet(flat(at_contexts(found, contexts), chosen.published))
        elif form == "model-card":
            content = model_card(at_contexts(found, contexts))
        elif by is not None:
            content = strata_text(found, by, form, contexts)
        elif suite is not None:
            content = suite_text(suite, overview(found, SUITES[suite].tasks), form)
        elif stable:
            content = stable_text(found, form, chosen.published)
        else:
            content = board_text(found, form, chosen.published, contexts, columns or None)
        if output is None:
            click.echo(content, nl=False)
        else:
            write_output(output, content if isinstance(content, bytes) else content.encode())
    if not chosen.any_records:
        log("no records yet: `seqmem eval lstm --suite smoke` makes some")
