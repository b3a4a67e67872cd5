"""`seqmem submit`, `seqmem verify` and `seqmem export`: models that come and go."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from seqmem.cli.arguments import ContextList, PrecisionType, data_dir_option
from seqmem.cli.exits import fail, one_line_errors, say
from seqmem.leaderboard import FORMATS, Format

if TYPE_CHECKING:
    from seqmem.measuring.precision import Precision
    from seqmem.submissions.opening import Handling
    from seqmem.tasks.task import Context

__all__ = ["export", "submit", "verify"]

P = ParamSpec("P")
T = TypeVar("T")

_RESULTS = click.option(
    "--results",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Where records go.",
)
_DEVICE = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)


def _handling_options(command: Callable[P, T]) -> Callable[P, T]:
    """Add what is said of how a model is opened."""
    for option in (
        click.option(
            "--context",
            metavar="K",
            type=click.IntRange(1, 10**9),
            help="How many of the latest inputs an output depends on; checked.  [default: all]",
        ),
        click.option(
            "--trust",
            is_flag=True,
            help="Run Python code given as MODEL in this process, with nothing around it.",
        ),
        click.option(
            "--memory",
            metavar="GB",
            type=click.FloatRange(0.5, 1 << 20),
            default=8.0,
            show_default=True,
            help="What a model in a process of its own may take.",
        ),
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=click.FloatRange(1, 1e6),
            default=300.0,
            show_default=True,
            help="How long it may take for one answer.",
        ),
        click.option(
            "--threads",
            metavar="N",
            type=click.IntRange(1, 1024),
            default=1,
            show_default=True,
            help="For its arithmetic.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    epilog="Example: seqmem submit model.onnx --name my-lstm --task hidden-markov/dwell=20"
)
@click.argument("model", metavar="MODEL")
@click.option("--name", metavar="NAME", help="On the board; also in a manifest.")
@click.option(
    "--task", "task_ids", metavar="ID", multiple=True, required=True, help="A task; repeatable."
)
@click.option(
    "--manifest",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="What you say of the model: a TOML file with name, authors, reference, licence, context, "
    "vocabulary, all of them optional.",
)
@click.option(
    "--k",
    "contexts",
    type=ContextList(),
    help="Context lengths to score, as in 1,2,4,full.  [default: powers of two, and full]",
)
@click.option(
    "--precision",
    type=PrecisionType(),
    default="0.5%",
    show_default=True,
    help="Largest half-width of the 95 % interval at every k.",
)
@click.option("--exact", is_flag=True, help="Score every target at every k.")
@_handling_options
@_DEVICE
@_RESULTS
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@data_dir_option
@one_line_errors
def submit(
    model: str,
    name: str | None,
    task_ids: Sequence[str],
    manifest: Path | None,
    contexts: "tuple[Context, ...] | None",
    precision: "Precision",
    exact: bool,
    context: int | None,
    trust: bool,
    memory: float,
    timeout: float,
    threads: int,
    device: str,
    results: Path,
    form: Format,
) -> None:
    """Check that a trained MODEL's score is honest, measure its curve, and add it to the board.

    MODEL is model.onnx, weights.safetensors of a baseline, hf:DIRECTORY-OR-ID, or a Python factory,
    model.py:build or package.module:build. A model that fails a check is refused with a report,
    exit status 1, and no record.
    """
    from dataclasses import replace

    from seqmem.errors import InputError
    from seqmem.leaderboard.aggregate import boards
    from seqmem.leaderboard.tables.board_table import board_text
    from seqmem.measuring.device import find_device
    from seqmem.measuring.measurement import Measuring
    from seqmem.submissions.manifest import Manifest, read_manifest
    from seqmem.submissions.submit import Request
    from seqmem.submissions.submit import submit as submit_model

    said = Manifest() if manifest is None else read_manifest(manifest)
    if (name := name or said.name) is None:
        raise InputError("no name given: --name NAME, or name = … in a manifest")
    handling = _handling(context or said.context, trust, memory, timeout, threads, results)
    request = Request(
        model=model,
        name=name,
        tasks=tuple(task_ids),
        results=results,
        measuring=Measuring(
            contexts=contexts,
            precision=None if exact else precision,
            device=find_device(device),
        ),
        handling=handling,
        manifest=replace(said, name=name),
        manifest_file=manifest,
    )
    with _refusals():
        click.echo(board_text(boards(submit_model(request, say)), form), nl=False)


@click.command(
    epilog="Example: seqmem verify results/records/wikitext-2/submitted-my-lstm.json model.onnx"
)
@click.argument("record", metavar="RECORD", type=click.Path(path_type=Path))
@click.argument("model", metavar="MODEL")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    help="Of the windows that are sampled.  [default: one that nobody knows before]",
)
@_handling_options
@_DEVICE
@_RESULTS
@data_dir_option
@one_line_errors
def verify(
    record: Path,
    model: str,
    seed: int | None,
    context: int | None,
    trust: bool,
    memory: float,
    timeout: float,
    threads: int,
    device: str,
    results: Path,
) -> None:
    """Measure RECORD's MODEL again on other windows, and confirm or contradict the record.

    A confirmed record is written anew, marked "rescored"; where one context length disagrees by
    more than both samples explain, the exit status is 1.
    """
    import secrets

    import tabulate

    from seqmem.measuring.device import find_device
    from seqmem.submissions.verify import verify as verify_record

    seed = secrets.randbelow(2**31) if seed is None else seed
    say(f"--seed {seed}")
    with _refusals():
        found = verify_record(
            record,
            model,
            _handling(context, trust, memory, timeout, threads, results),
            results,
            seed=seed,
            device=find_device(device),
            say=say,
        )
    rows = [
        {
            "k": row.k,
            "recorded": row.recorded,
            "found": row.found,
            "may differ by": row.allowed,
            "": "agrees" if row.agrees else "DIFFERS",
        }
        for row in found.rows
    ]
    click.echo(tabulate.tabulate(rows, headers="keys", floatfmt=".5g"))
    if not found.confirmed:
        raise fail(f"{record} is contradicted", 1)


@click.command(
    epilog="Example: seqmem export results/checkpoints/lstm-0123456789abcdef/weights.safetensors "
    "lstm.onnx"
)
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.argument("file", metavar="FILE.onnx", type=click.Path(path_type=Path))
@one_line_errors
def export(checkpoint: Path, file: Path) -> None:
    """Write a trained baseline as an ONNX file, and check that it computes the same.

    CHECKPOINT is a weights.safetensors that `seqmem eval` wrote.
    """
    from seqmem.submissions.onnx.export import export_checkpoint

    click.echo(export_checkpoint(checkpoint, file))


def _handling(
    context: int | None,
    trust: bool,
    memory: float,
    timeout: float,
    threads: int,
    results: Path,
) -> "Handling":
    from seqmem.errors import InputError
    from seqmem.submissions.opening import Handling
    from seqmem.submissions.process.limits import Limits

    for option, value in (("--memory", memory), ("--timeout", timeout)):
        if math.isnan(value):  # no range leaves it out
            raise InputError(f"{option} {value}: is no number; give one, or leave it out")
    limits = Limits(
        memory_bytes=int(memory * (1 << 30)),
        call_seconds=timeout,
        start_seconds=max(timeout, Limits().start_seconds),
    )
    hidden = (results, results / "records")
    return Handling(trust=trust, context=context, limits=limits, threads=threads, hidden=hidden)


class _refusals:  # noqa: N801 - a context manager
    """Turn a refusal into its report and exit status 1, and so a model that fails."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from seqmem.errors import CellError, RefusedError, SubmissionError

        if isinstance(error, RefusedError):
            say(error.report)
        if isinstance(error, CellError | RefusedError | SubmissionError):
            raise fail(str(error), 1) from None
