"""`seqmem submit`: a trained model, examined, measured and added to the board."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqmem.cli import options as shared
from seqmem.cli.arguments import PATH
from seqmem.cli.exits import log
from seqmem.leaderboard import Format

if TYPE_CHECKING:
    from seqmem.measuring.precision import Precision
    from seqmem.submissions.opening import OpenOptions
    from seqmem.tasks.task import Context

__all__ = ["submit"]


@click.command(epilog="Example: seqmem submit net.onnx --name net --task hidden-markov/dwell=20")
@click.argument("model", metavar="MODEL")
@click.option("--name", metavar="NAME", help="The name on the board; also in a manifest.")
@shared.task(required=True)
@click.option(
    "--manifest",
    metavar="FILE",
    type=PATH,
    help="What you state about the model: a TOML file with name, authors, reference, licence, "
    "context, vocabulary, all of them optional.",
)
@shared.k
@shared.k_source
@shared.precision
@shared.exact
@shared.opening
@shared.device
@shared.results(PATH, "Where records are stored.")
@shared.output_format()
@shared.data_dir
def submit(
    name: str | None,
    manifest: Path | None,
    contexts: "tuple[Context, ...] | None",
    precision: "Precision",
    exact: bool,
    options: "OpenOptions",
    device: str,
    form: Format,
    **others: Any,
) -> None:
    """Check that a trained MODEL's score is valid, measure its curve, and add it to the board.

    MODEL is model.onnx, weights.safetensors of a baseline, hf:DIRECTORY-OR-ID, or a Python factory,
    model.py:build or package.module:build. A model that fails a check is refused with a report,
    exit status 1, and no record.
    """
    from dataclasses import replace

    from seqmem.errors import InputError
    from seqmem.leaderboard.statistics.aggregate import boards
    from seqmem.leaderboard.tables.board_table import board_text
    from seqmem.measuring.device import find_device
    from seqmem.measuring.settings import MeasurementSettings
    from seqmem.submissions.manifest import Manifest, read_manifest
    from seqmem.submissions.submit import SubmitRequest
    from seqmem.submissions.submit import submit as submit_model

    stated = Manifest() if manifest is None else read_manifest(manifest)
    if (name := name or stated.name) is None:
        raise InputError("no name given: --name NAME, or name = … in a manifest")
    request = SubmitRequest(
        name=name,
        settings=MeasurementSettings(
            contexts,
            precision=shared.precision_or_none(precision, exact),
            device=find_device(device),
        ),
        options=replace(options, context=options.context or stated.context),
        manifest=replace(stated, name=name),
        manifest_file=manifest,
        **others,
    )
    click.echo(board_text(boards(submit_model(request, log)), form), nl=False)
