"""`seqmem eval`: train baselines, measure them, print the board."""

from typing import TYPE_CHECKING, Any

import click

from seqmem.cli import options
from seqmem.cli.arguments import FOLDER_OR_URL, K_TRAINS, SEED
from seqmem.cli.exits import fail, highlighted, log
from seqmem.leaderboard import Format

if TYPE_CHECKING:
    from seqmem.measuring.precision import Precision
    from seqmem.runs.plan import KTrain

__all__ = ["evaluate"]


@click.command(
    "eval", epilog="Example: seqmem eval lstm tcn --task adding-problem/T=50 --seed 0 --seed 1"
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@options.task("A task, or several as in 'copy-memory/T=10|20|50'")
@options.suite
@options.k
@options.k_source
@click.option(
    "--k-train",
    "k_trains",
    type=K_TRAINS,
    multiple=True,
    help="Contexts to train with, each a cell of its own: numbers, full, or diagonal for every "
    "context of the task's grid, and full; repeatable.  [default: the recipe's]",
)
@click.option(
    "--state",
    type=click.Choice(["carried", "reset"]),
    default="carried",
    help="How recurrent models are trained with a number: state carried from one segment of "
    "k_train inputs to the next, or reset, each target predicted from its own k_train latest "
    "inputs alone. Models without state ignore it.",
)
@click.option(
    "--seed",
    "seeds",
    type=SEED,
    multiple=True,
    default=(0,),
    help="Seed of training; repeatable.",
)
@click.option(
    "--budget",
    metavar="NAME",
    help="smoke (seconds of training), small (minutes), medium (an hour or more) or full (hours on "
    "a GPU).  [default: the suite's, else small]",
)
@click.option(
    "--set",
    "changes",
    metavar="NAME=VALUE",
    multiple=True,
    help="Change the recipe, as in learning_rate=1e-3 or steps=8000; repeatable. The board shows "
    "it with the budget.",
)
@click.option(
    "--match",
    metavar="QUANTITY=N",
    help="Choose each model's width so that all have this size, within 5 %: parameters=100k, or "
    "state=4096 floats after the task's longest useful context.",
)
@click.option(
    "--as",
    "kind",
    type=click.Choice(["model", "recurrent", "mixer"]),
    help="What your own class is: a whole model Class(inputs, outputs), a recurrent layer "
    "Class(input_size, hidden_size), or a mixer Class(d_model) in the Transformer's blocks.  "
    "[default: as its parameters say]",
)
@options.precision
@options.exact
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
    help="The floats that models are measured with; the effect on the loss is recorded.",
)
@click.option(
    "--train-dtype",
    type=click.Choice(["float32", "bfloat16"]),
    help="The floats that matrix products are computed with in training; weights stay float32.  "
    "[default: the recipe's: bfloat16 for text at the medium budget, else float32]",
)
@options.device
@options.results(
    FOLDER_OR_URL,
    "Where records and checkpoints are stored: a folder, or a URL as in s3://bucket/results.",
)
@click.option(
    "--fresh", is_flag=True, help="Do not reuse finished records, checkpoints or known failures."
)
@options.workers
@options.output_format()
@options.data_dir
def evaluate(
    k_trains: "tuple[tuple[KTrain, ...], ...]",
    precision: "Precision",
    exact: bool,
    form: Format,
    **others: Any,
) -> None:
    """Train MODELs, score them at every context length, and print the board.

    A MODEL is a baseline's name, with options after a colon: lstm:hidden=256,layers=2; or a class
    of your own, my.py:MyLayer or package.module:Class, with options after another colon. Your code
    runs in this process; your models are shown beside the committed baselines.

    Finished cells are not run again; an interrupted run resumes where it was.
    """
    from seqmem.baselines.training.process import set_up_process
    from seqmem.leaderboard.selection import beside_committed
    from seqmem.leaderboard.statistics.aggregate import boards
    from seqmem.leaderboard.tables.board_table import board_text
    from seqmem.runs.evaluate import evaluate as run
    from seqmem.runs.plan import Request

    set_up_process()
    request = Request(
        k_trains=tuple(k for given in k_trains for k in given) or (None,),
        precision=options.precision_or_none(precision, exact),
        **others,
    )
    records, failures = run(request, log)
    click.echo(highlighted(board_text(boards(beside_committed(records)), form)), nl=False)
    if failures:
        raise fail(f"{len(failures)} failed, the others are saved (see above)", 1)
