"""The door: `seqmem …`. Parses the command line, calls the rooms, prints what they give.

Results go to stdout, everything else to stderr. Exit status: 0 done; 1 a cell could not be
measured or results could not be written; 2 the command line or an input is wrong; 130 interrupted.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

import seqmem
from seqmem.cli import boards, checking, submissions
from seqmem.cli.arguments import (
    ContextList,
    FolderOrURL,
    KTrainList,
    PrecisionType,
    data_dir_option,
)
from seqmem.cli.exits import fail as _fail
from seqmem.cli.exits import one_line_errors as _one_line_errors
from seqmem.cli.exits import say as _say
from seqmem.cli.workers import workers_options
from seqmem.leaderboard import FORMATS, Format
from seqmem.tasks import SUITES

if TYPE_CHECKING:
    from seqmem.leaderboard.remote_results import RemoteResults
    from seqmem.measuring.measurement import DType
    from seqmem.measuring.precision import Precision
    from seqmem.runs.request import KTrain, TrainingState, Workers
    from seqmem.tasks.task import Context

__all__ = ["cli", "main"]

P = ParamSpec("P")
T = TypeVar("T")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example: seqmem eval lstm tcn --suite smoke",
)
@click.version_option(seqmem.__version__, prog_name="seqmem")
def cli() -> None:
    """How much memory does a sequence task need, and how much does a model use?"""


@cli.command(epilog="Example: seqmem tasks --format markdown")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@data_dir_option
@_one_line_errors
def tasks(form: Format) -> None:
    """List every task: loss, chance, optimum, context lengths, and whether its data is here."""
    from seqmem.cli.listings import task_rows, write_rows

    click.echo(write_rows(task_rows(), form))


@cli.command(epilog="Example: seqmem models")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@_one_line_errors
def models(form: Format) -> None:
    """List every model and its options, and how large it is on an example task.

    Parameters, receptive field and state are those of `seqmem eval MODEL --task
    hidden-markov/dwell=20`; "–" stands for no bound on the receptive field, and for parameters
    that only the training data tell. State is what is kept once the longest useful context was
    read.
    """
    from seqmem.cli.listings import model_rows, write_rows

    click.echo(write_rows(model_rows(), form))


@cli.group(invoke_without_command=True, epilog="Example: seqmem data --data-dir ~/corpora")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@data_dir_option
@click.pass_context
@_one_line_errors
def data(context: click.Context, form: Format) -> None:
    """List every data set: where it was looked for, whether it is right, how to get it."""
    if context.invoked_subcommand is not None:
        return
    from seqmem.cli.listings import data_rows, write_rows

    click.echo(write_rows(data_rows(), form))


@data.command(epilog="Example: seqmem data fetch polymusic --data-dir ~/corpora")
@click.argument("name", metavar="NAME")
@data_dir_option
@_one_line_errors
def fetch(name: str) -> None:
    """Download the data set NAME into the data directory, and check it."""
    from seqmem.tasks.data.fetch import fetch_data

    _say(fetch_data(name, progress=sys.stderr.isatty()))


@cli.command(
    "eval", epilog="Example: seqmem eval lstm tcn --task adding-problem/T=50 --seed 0 --seed 1"
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--task", "task_ids", metavar="ID", multiple=True, help="A task; repeatable.")
@click.option("--suite", metavar="NAME", help=f"A set of tasks: {', '.join(SUITES)}.")
@click.option(
    "--k",
    "contexts",
    type=ContextList(),
    help="Context lengths to score, as in 1,2,4,full.  [default: powers of two, and full]",
)
@click.option(
    "--k-train",
    "k_trains",
    type=KTrainList(),
    multiple=True,
    help="Contexts to train with, each a cell of its own: numbers, full, or diagonal for every "
    "context of the task's grid, and full; repeatable.  [default: the recipe's]",
)
@click.option(
    "--state",
    type=click.Choice(["carried", "reset"]),
    default="carried",
    show_default=True,
    help="How recurrent models are trained with a number: state carried from one segment of "
    "k_train inputs to the next, or reset, each target predicted from its own k_train latest "
    "inputs alone. Models without state ignore it.",
)
@click.option(
    "--seed",
    "seeds",
    type=click.IntRange(0, 2**31 - 1),
    multiple=True,
    default=(0,),
    show_default=True,
    help="Seed of training; repeatable.",
)
@click.option(
    "--budget",
    metavar="NAME",
    help="smoke (seconds of training), small (minutes) or full (hours).  "
    "[default: the suite's, else small]",
)
@click.option(
    "--precision",
    type=PrecisionType(),
    default="0.5%",
    show_default=True,
    help="Largest half-width of the 95 % interval at every k: a share of a perplexity, or else of "
    "the way from chance to the optimum; without % in the loss's unit.",
)
@click.option("--exact", is_flag=True, help="Score every target at every k.")
@click.option(
    "--all-k",
    "every_k",
    is_flag=True,
    help="Every whole number up to the longest context; models without state are trusted to be "
    "causal.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What models compute with when they are measured; the effect on the loss is recorded.",
)
@click.option(
    "--train-dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What products of matrices are computed with in training; weights stay float32.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
@click.option(
    "--results",
    "results",
    metavar="DIR",
    type=FolderOrURL(),
    default=Path("results"),
    show_default=True,
    help="Where records and checkpoints go: a folder, or a URL as in s3://bucket/results.",
)
@click.option(
    "--fresh", is_flag=True, help="Do not reuse finished records, checkpoints or known failures."
)
@workers_options
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="What stdout gets.",
)
@data_dir_option
@_one_line_errors
def evaluate_command(
    models: Sequence[str],
    task_ids: Sequence[str],
    suite: str | None,
    contexts: "tuple[Context, ...] | None",
    k_trains: "Sequence[tuple[KTrain, ...]]",
    state: "TrainingState",
    seeds: Sequence[int],
    budget: str | None,
    precision: "Precision",
    exact: bool,
    every_k: bool,
    dtype: "DType",
    train_dtype: "DType",
    device: str,
    results: "Path | RemoteResults",
    fresh: bool,
    workers: "Workers",
    form: Format,
) -> None:
    """Train MODELs, score them at every context length, and print the board.

    A MODEL is a baseline's name, with options after a colon: lstm:hidden=256,layers=2.
    Finished cells are not done again; an interrupted run goes on where it was.
    """
    from seqmem.baselines.training.process import set_up_process
    from seqmem.leaderboard.aggregate import boards as boards_of
    from seqmem.leaderboard.tables.board_table import board_text
    from seqmem.runs.evaluate import evaluate
    from seqmem.runs.request import Request

    set_up_process()
    request = Request(
        models=tuple(models),
        tasks=tuple(task_ids),
        suite=suite,
        contexts=contexts,
        k_trains=tuple(k for given in k_trains for k in given) or (None,),
        state=state,
        seeds=tuple(seeds),
        budget=budget,
        precision=None if exact else precision,
        every_k=every_k,
        dtype=dtype,
        train_dtype=train_dtype,
        device=device,
        results=results,
        fresh=fresh,
        workers=workers,
    )
    records, failures = evaluate(request, _say)
    click.echo(board_text(boards_of(records), form), nl=False)
    if failures:
        raise _fail(f"{len(failures)} failed, the others are kept (see above)", 1)


for _command in (
    boards.leaderboard,
    boards.plot,
    checking.check,
    submissions.submit,
    submissions.verify,
    submissions.export,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line; a wrong one costs one line as well."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        raise SystemExit(2) from None
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "seqmem"
        raise _fail(f"{error.format_message().rstrip('.')}: see `{command} --help`", 2) from None
    except click.ClickException as error:
        raise _fail(error.format_message(), 1) from None
    except click.Abort:
        raise _fail("interrupted", 130) from None


if __name__ == "__main__":
    main()
