"""`seqmem verify`: measure the model of a record again, and confirm or contradict the record."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqmem.cli import options
from seqmem.cli.arguments import SEED
from seqmem.cli.exits import fail, log

if TYPE_CHECKING:
    from seqmem.submissions.opening import OpenOptions

__all__ = ["verify"]


@click.command(
    epilog="Example: seqmem verify results/records/wikitext-2/submitted-my-lstm.json model.onnx"
)
@click.argument("record", metavar="RECORD", type=click.Path(path_type=Path))
@click.argument("model", metavar="MODEL")
@click.option(
    "--seed",
    type=SEED,
    help="Seed of the sampled windows.  [default: drawn at random, so that it cannot be known "
    "before]",
)
@options.opening
@options.device
@options.results(click.Path(path_type=Path), "Where records are stored.")
@options.data_dir
def verify(
    record: Path,
    model: str,
    seed: int | None,
    open_options: "OpenOptions",
    device: str,
    results: Path,
) -> None:
    """Measure RECORD's MODEL again on other windows, and confirm or contradict the record.

    A confirmed record is written anew, marked "rescored". Where the two losses at one context
    length differ by more than the sampling errors of both explain, the exit status is 1.
    """
    import secrets

    from seqmem.leaderboard.tables.writing import table
    from seqmem.measuring.device import find_device
    from seqmem.submissions.verify import verify as verify_record

    seed = secrets.randbelow(2**31) if seed is None else seed
    log(f"--seed {seed}")
    found = verify_record(
        record, model, open_options, results, seed=seed, device=find_device(device), log=log
    )
    rows = [
        {
            "k": row.k,
            "recorded": f"{row.recorded:.5g}",
            "found": f"{row.found:.5g}",
            "may differ by": f"{row.allowed:.5g}",
            "": "agrees" if row.agrees else "DIFFERS",
        }
        for row in found.rows
    ]
    click.echo(table(rows, "table", left=("",)), nl=False)
    if not found.confirmed:
        raise fail(f"{record} is contradicted", 1)
