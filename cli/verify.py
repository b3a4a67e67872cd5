"""`seqmem verify`: measure the model of a record again, and confirm or contradict the record."""

from pathlib import Path
from typing import Any

import click

from seqmem.cli import options
from seqmem.cli.arguments import PATH, SEED
from seqmem.cli.exits import fail, log

__all__ = ["verify"]


@click.command(
    epilog="Example: seqmem verify results/records/wikitext-2/submitted-my-lstm.json model.onnx"
)
@click.argument("record", metavar="RECORD", type=PATH)
@click.argument("model", metavar="MODEL")
@click.option(
    "--seed",
    type=SEED,
    help="Seed of the sampled windows.  [default: drawn at random, so that it cannot be known "
    "before]",
)
@options.opening
@options.device
@options.results(PATH, "Where records are stored.")
@options.data_dir
def verify(record: Path, seed: int | None, device: str, **others: Any) -> None:
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
    found = verify_record(record, seed=seed, device=find_device(device), log=log, **others)
    click.echo(table(found.table(), "table", left=("",)), nl=False)
    if not found.confirmed:
        raise fail(f"{record} is contradicted", 1)
