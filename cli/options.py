"""Options that several commands share, each declared once.

Imported for every command, `seqmem --help` too: nothing heavy is imported before a command runs.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from seqmem.cli.arguments import CONTEXTS, COUNT, FILE, FOLDER_OR_URL, PRECISION
from seqmem.errors import InputError
from seqmem.files import expand_user
from seqmem.leaderboard import FORMATS
from seqmem.tasks import SUITES

if TYPE_CHECKING:
    from seqmem.measuring.precision import Precision

__all__ = [
    "budget_shown",
    "by",
    "data_dir",
    "device",
    "exact",
    "k",
    "k_shown",
    "k_source",
    "opening",
    "output",
    "output_format",
    "precision",
    "precision_or_none",
    "records",
    "results",
    "suite",
    "task",
    "wide",
    "workers",
]

T = TypeVar("T")
Option = Callable[[Callable[..., Any]], Callable[..., Any]]

suite = click.option("--suite", metavar="NAME", help=f"A set of tasks: {', '.join(SUITES)}.")
k = click.option(
    "--k",
    "contexts",
    type=CONTEXTS,
    help="Context lengths to score, as in 1,2,4,full.  [default: powers of two, and full]",
)
k_shown = click.option(
    "--k",
    "contexts",
    type=CONTEXTS,
    help="Context lengths to show, as in 1,8,full.  [default: a few telling ones, and full]",
)
budget_shown = click.option(
    "--budget", metavar="NAME", help="Only models trained with this budget."
)
by = click.option(
    "--by",
    metavar="KIND",
    help="Split by a kind of targets, where the task offers it: of words frequency (in training) "
    "and recurrence (how many inputs ago the target last occurred); see docs/why.md.",
)
wide = click.option(
    "--wide",
    is_flag=True,
    help="In a terminal, every column, k and k_train, not only what fits its width.",
)
precision = click.option(
    "--precision",
    type=PRECISION,
    default="0.5%",
    help="Largest half-width of the 95 % interval at every k: with %, relative to the perplexity, "
    "or else to the difference between chance and the optimum; without %, in the loss's unit.",
)
exact = click.option("--exact", is_flag=True, help="Score every target at every k.")

device = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="The device to compute on; auto is the GPU where there is one.",
)
records = click.option(
    "--records",
    "places",
    metavar="DIR",
    type=FOLDER_OR_URL,
    multiple=True,
    help="Records to read: a folder, or a URL as in s3://bucket/results; repeatable.  [default: "
    "the committed ones, and ./results]",
)


def task(text: str = "A task", *, required: bool = False) -> Option:
    """Return --task, which may be repeated."""
    return click.option(
        "--task",
        "tasks",
        metavar="ID",
        multiple=True,
        required=required,
        help=f"{text}; repeatable.",
    )


def results(kind: click.ParamType[Any], text: str) -> Option:
    """Return --results, of a folder or also of a URL."""
    return click.option("--results", metavar="DIR", type=kind, default=Path("results"), help=text)


def output(text: str, **others: Any) -> Option:
    """Return --output, of a file."""
    return click.option("--output", "-o", metavar="FILE", type=FILE, help=text, **others)


def output_format(formats: Sequence[str] = FORMATS, note: str = "") -> Option:
    """Return --format, with a note on some of the formats."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default="table",
        help=f"Output format{note}.",
    )


def _set_data_dir(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    if not expand_user(value).is_dir():
        raise InputError(f"--data-dir {value}: there is no such directory; make it or name another")
    os.environ["SEQMEM_DATA"] = value


data_dir = click.option(
    "--data-dir",
    metavar="DIR",
    expose_value=False,
    callback=_set_data_dir,
    help="The directory of corpora; also SEQMEM_DATA.",
)


def k_source(command: Callable[..., T]) -> Callable[..., T]:
    """Add --k-source, which cuts the sources of the command's `tasks`."""

    @wraps(command)
    def wrapped(sources: tuple[int, ...], tasks: tuple[str, ...], **others: Any) -> T:
        if sources:
            from seqmem.tasks.translation_cuts import ids_with_sources

            tasks = ids_with_sources(tasks, sources)
        return command(tasks=tasks, **others)

    return _with_options(wrapped, _K_SOURCE)


def opening(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of how a model is opened; the command gets them as `options`.

    The command has --results too, whose folders no model sees.
    """

    @wraps(command)
    def wrapped(memory: float, timeout: float, results: Path, **others: Any) -> T:
        from seqmem.submissions.opening import OpenOptions
        from seqmem.submissions.process.limits import Limits

        for option, value in (("--memory", memory), ("--timeout", timeout)):
            if math.isnan(value):  # no range excludes it
                raise InputError(f"{option} {value}: is not a number; give one, or leave it out")
        limits = Limits(
            memory_bytes=int(memory * (1 << 30)),
            call_seconds=timeout,
            start_seconds=max(timeout, Limits().start_seconds),
        )
        hidden = (results, results / "records")
        given = {name: others.pop(name) for name in ("trust", "context", "threads")}
        options = OpenOptions(**given, limits=limits, hidden=hidden)
        return command(options=options, results=results, **others)

    return _with_options(wrapped, _OPENING)


def workers(command: Callable[..., T]) -> Callable[..., T]:
    """Add the options of the processes that run cells; the command gets them as `workers`."""

    @wraps(command)
    def wrapped(**others: Any) -> T:
        from seqmem.runs.plan import LOCAL, Workers

        given = {field.name: others.pop(field.name) for field in fields(Workers)}
        if given["ray"] == "":
            given["ray"] = os.environ.get("RAY_ADDRESS") or LOCAL
        return command(workers=Workers(**given), **others)

    return _with_options(wrapped, _WORKERS)


def _with_options(command: Callable[..., T], options: Sequence[Option]) -> Callable[..., T]:
    for option in reversed(options):
        command = option(command)
    return command


_K_SOURCE = (
    click.option(
        "--k-source",
        "sources",
        metavar="N",
        type=click.IntRange(0, 10_000),
        multiple=True,
        help="Of each translation's source only the last N words are in view, at every k, as with "
        "source=N in the task's id; repeatable.",
    ),
)
_OPENING = (
    click.option(
        "--context",
        metavar="K",
        type=click.IntRange(1, 10**9),
        help="How many of the latest inputs an output depends on; checked.  [default: all]",
    ),
    click.option(
        "--trust",
        is_flag=True,
        help="Run Python code or hf:… in this process, without a sandbox or limits; hf:… then runs "
        "on --device.",
    ),
    click.option(
        "--memory",
        metavar="GB",
        type=click.FloatRange(0.5, 1 << 20),
        default=8.0,
        help="The memory limit of a model in a process of its own.",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(1, 1e6),
        default=300.0,
        help="The time limit of such a model for one call.",
    ),
    click.option(
        "--threads",
        metavar="N",
        type=COUNT,
        help="The threads of such a model.  [default: 1; for hf:…, torch's number]",
    ),
)
_WORKERS = (
    click.option(
        "--jobs",
        metavar="N",
        type=COUNT,
        help="Cells run at once, each in a process of its own: at most one for each core, and the "
        "threads are divided among them; with --ray, an upper limit.  [default: 1; with --ray, as "
        "many as there are resources for]",
    ),
    click.option(
        "--threads",
        metavar="N",
        type=COUNT,
        help="Threads of each cell; with --ray, the CPUs that it requests. With another number, "
        "sums round differently.  [default: torch's number divided among --jobs; with --ray, 1]",
    ),
    click.option(
        "--ray",
        metavar="[ADDRESS]",
        is_flag=False,
        flag_value="",
        help="Run cells on a Ray cluster: HOST:PORT of its head node, or auto on one of its nodes; "
        "without ADDRESS, RAY_ADDRESS, or else a Ray that is started on this machine. Give it "
        "after the MODELs, or with an ADDRESS.",
    ),
    click.option(
        "--retries",
        metavar="N",
        type=click.IntRange(0, 100),
        default=2,
        help="How often a cell is retried, from its checkpoint, when its worker dies.",
    ),
    click.option(
        "--memory",
        metavar="GIB",
        type=click.FloatRange(0, min_open=True),
        help="The memory that each cell requests with --ray.  [default: none is reserved]",
    ),
    click.option(
        "--gpus",
        metavar="X",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        help="The GPUs that each cell on a GPU requests with --ray; with a fraction, several cells "
        "share one.",
    ),
    click.option(
        "--devices",
        metavar="N",
        type=COUNT,
        default=1,
        help="GPUs of one machine, or without a GPU processes, that train each model together: the "
        "batch is divided among them.",
    ),
)


def precision_or_none(precision: "Precision", exact: bool) -> "Precision | None":
    """Return the precision of this command line; None with ``--exact``.

    Raises:
        InputError: both are given.
    """
    source = click.get_current_context().get_parameter_source("precision")
    if exact and source is ParameterSource.COMMANDLINE:
        raise InputError(
            f"--exact scores every target, --precision {precision} a sample: leave out one"
        )
    return None if exact else precision
