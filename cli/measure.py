"""`seqmem measure`: a trained model's curve, without a name and a board."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqmem.cli import options
from seqmem.cli.arguments import FILE
from seqmem.cli.exits import highlighted, log
from seqmem.leaderboard import Format

if TYPE_CHECKING:
    from seqmem.measuring.precision import Precision
    from seqmem.tasks.task import Context

__all__ = ["measure"]


@click.command(epilog="Example: seqmem measure hf:gpt2 --task wikitext-2 --k 1,8,64")
@click.argument("model", metavar="MODEL")
@options.task(required=True)
@options.k
@options.k_source
@options.precision
@options.exact
@click.option("--name", metavar="NAME", help="The name in tables.  [default: made from MODEL]")
@click.option(
    "--context",
    metavar="K",
    type=click.IntRange(1, 10**9),
    help="How many of the latest inputs an output depends on; checked.  [default: all]",
)
@options.device
@click.option(
    "--save",
    metavar="DIR",
    help="Store the records in this folder, as `seqmem leaderboard` reads them.",
)
@click.option(
    "--losses",
    metavar="FILE.parquet",
    type=FILE,
    help="Write the loss of each target at each k: of those that were scored, with --exact of all.",
)
@options.output_format()
@options.data_dir
def measure(
    model: str,
    tasks: tuple[str, ...],
    contexts: "tuple[Context, ...] | None",
    precision: "Precision",
    exact: bool,
    name: str | None,
    context: int | None,
    device: str,
    save: str | None,
    losses: Path | None,
    form: Format,
) -> None:
    """Check a trained MODEL and print its loss at every context length, beside the baselines.

    MODEL is model.onnx, weights.safetensors of a baseline, hf:DIRECTORY-OR-ID, or Python code of
    yours that returns a trained model, model.py:build or package.module:build; it runs in this
    process. Where a model cannot read everything since the start of a corpus, k = full is left out.
    `seqmem submit` adds a model of others to the board.
    """
    from seqmem.files import expand_user, require_writable
    from seqmem.leaderboard.selection import beside_committed
    from seqmem.leaderboard.statistics.aggregate import boards
    from seqmem.leaderboard.store import record_directory, write_record
    from seqmem.leaderboard.tables.board_table import board_text
    from seqmem.measuring.device import find_device
    from seqmem.measuring.settings import MeasurementSettings
    from seqmem.measuring.target_losses import check_losses_path
    from seqmem.submissions.measure import measure_trained
    from seqmem.submissions.opening import OpenOptions, check_format
    from seqmem.tasks.loading import load_tasks

    settings = MeasurementSettings(
        contexts, precision=options.precision_or_none(precision, exact), device=find_device(device)
    )
    if losses is not None:
        check_losses_path(losses, len(tasks))
    folder = None if save is None else expand_user(save)
    check_format(model)  # before data are read, perhaps from the hub
    loaded, _ = load_tasks(tasks, None, log, command="seqmem measure")
    if folder is not None:
        require_writable(folder, "--save")
    records = []
    for task in loaded:
        settings.half_width(task)
        record = measure_trained(
            model,
            task,
            settings,
            log,
            name=name,
            options=OpenOptions(trust=True, context=context),
            keep=None if losses is None else lambda found: found.write(losses),
        )
        records.append(record)
        if folder is not None:
            place = record_directory(folder / "records", task.id)
            stem = f"measured-{str(record.model['label']).replace(' ', '_')}"
            log(f"{write_record(record, place, stem)}")
    click.echo(highlighted(board_text(boards(beside_committed(records)), form)), nl=False)
