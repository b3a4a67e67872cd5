"""The options of the command line that say who runs cells."""

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click

__all__ = ["workers_options"]

P = ParamSpec("P")
T = TypeVar("T")

OPTIONS = (
    click.option(
        "--jobs",
        metavar="N",
        type=click.IntRange(1, 1024),
        help="Cells run at once: in as many processes, at most one for each core, which share the "
        "threads; with --ray, an upper limit.  [default: 1; with --ray, as many as there is room "
        "for]",
    ),
    click.option(
        "--threads",
        metavar="N",
        type=click.IntRange(1, 1024),
        help="Threads of each cell, which is what it asks --ray for. Sums round differently with "
        "another number.  [default: torch's, shared out among --jobs; with --ray, 1]",
    ),
    click.option(
        "--ray",
        metavar="[ADDRESS]",
        is_flag=False,
        flag_value="",
        help="Run cells on a Ray cluster: HOST:PORT of its head node, or auto on one of its nodes; "
        "without ADDRESS, RAY_ADDRESS, or else a Ray that is started here. Give it behind the "
        "MODELs, or an ADDRESS with it.",
    ),
    click.option(
        "--retries",
        metavar="N",
        type=click.IntRange(0, 100),
        default=2,
        show_default=True,
        help="How often a cell is tried again, from its checkpoint, when its worker died.",
    ),
    click.option(
        "--memory",
        metavar="GIB",
        type=click.FloatRange(0, min_open=True),
        help="What each cell asks --ray for.  [default: nothing is set aside]",
    ),
    click.option(
        "--gpus",
        metavar="X",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="What each cell on a GPU asks --ray for; with a share, several cells have one.",
    ),
    click.option(
        "--devices",
        metavar="N",
        type=click.IntRange(1, 1024),
        default=1,
        show_default=True,
        help="GPUs of one machine, or without a GPU processes, that train each model together: the "
        "batch is shared out.",
    ),
)


def workers_options(command: Callable[P, T]) -> Callable[..., T]:
    """Add the options to a command, which gets them as one argument, `workers`."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        from seqmem.runs.request import LOCAL, Workers

        names = ("jobs", "threads", "ray", "retries", "memory", "gpus", "devices")
        given: dict[str, Any] = {name: kwargs.pop(name) for name in names}
        if given["ray"] == "":
            given["ray"] = os.environ.get("RAY_ADDRESS") or LOCAL
        kwargs["workers"] = Workers(**given)
        return command(*args, **kwargs)

    for option in reversed(OPTIONS):
        wrapped = option(wrapped)
    return wrapped
