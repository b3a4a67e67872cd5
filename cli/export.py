"""`seqmem export`: a trained baseline as an ONNX file."""

from pathlib import Path

import click

from seqmem.cli.arguments import PATH

__all__ = ["export"]


@click.command(
    epilog="Example: seqmem export results/checkpoints/lstm-0123456789abcdef/weights.safetensors "
    "lstm.onnx"
)
@click.argument("checkpoint", metavar="CHECKPOINT", type=PATH)
@click.argument("file", metavar="FILE.onnx", type=PATH)
def export(checkpoint: Path, file: Path) -> None:
    """Write a trained baseline as an ONNX file, and check that it computes the same.

    CHECKPOINT is a weights.safetensors that `seqmem eval` wrote.
    """
    from seqmem.submissions.onnx.export import export_checkpoint

    click.echo(export_checkpoint(checkpoint, file))
