"""`seqmem review`: what a pull request adds to a board, checked and measured again."""

from pathlib import Path

import click

from seqmem.cli import options
from seqmem.cli.arguments import FOLDER, PATH, SEED
from seqmem.cli.exits import fail, log

__all__ = ["review"]


@click.command(epilog="Example: seqmem review change --board board --results rescored > review.md")
@click.argument("change", metavar="FOLDER", type=FOLDER)
@click.option(
    "--board", metavar="DIR", type=FOLDER, required=True, help="The board without the change."
)
@click.option(
    "--seed",
    type=SEED,
    help="Seed of the sampled windows.  [default: drawn at random for each model, so that it "
    "cannot be known before]",
)
@options.device
@options.results(PATH, "Where confirmed records are stored.")
@options.data_dir
def review(change: Path, board: Path, seed: int | None, device: str, results: Path) -> None:
    """Review a change of a board, FOLDER, and print it as Markdown.

    Each record that FOLDER has below submitted/ and the board lacks is checked, and its model,
    beside it, is measured again as by `seqmem verify`. Exit status 1 if one is not accepted, or
    another file is changed.
    """
    import secrets

    from seqmem.measuring.device import find_device
    from seqmem.submissions.review import review as review_change
    from seqmem.submissions.review_text import review_text

    found = review_change(
        change,
        board,
        results,
        seed=lambda: secrets.randbelow(2**31) if seed is None else seed,
        device=find_device(device),
        log=log,
    )
    click.echo(review_text(found), nl=False)
    if not found.passed:
        raise fail(f"{change}: not everything is accepted", 1)
