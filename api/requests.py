"""Arguments of Python as what the command line's options become."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from torch import nn

from seqmem.baselines.own.own_class import Kind
from seqmem.baselines.own.spec import model_spec
from seqmem.errors import InputError
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.measuring.device import find_device
from seqmem.measuring.precision import Precision, parse_precision
from seqmem.measuring.progress_bar import bars_hidden
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs.plan import KTrain, Request, Workers
from seqmem.runs.processes import torch_threads
from seqmem.tasks.task import Context, Task

__all__ = [
    "Contexts",
    "Model",
    "computing",
    "contexts_of",
    "logger",
    "request_of",
    "settings_of",
]

MOST = 1024  # threads, or processes

Model = str | Callable[..., Any]
Contexts = int | Literal["full"] | Iterable[Context] | None


def logger(verbose: bool) -> Callable[[str], object]:
    """Return what lines about progress are passed to."""
    return (lambda line: print(line, file=sys.stderr)) if verbose else (lambda line: None)


def settings_of(
    k: Contexts, precision: str | float, exact: bool, device: str
) -> MeasurementSettings:
    """Return how a model is measured.

    Raises:
        InputError: a value is none that it may have.
    """
    return MeasurementSettings(
        contexts_of(k), precision=_precision(precision, exact), device=find_device(device)
    )


def request_of(
    models: Model | Sequence[Model],
    tasks: str | Task | Sequence[str | Task],
    *,
    options: Mapping[str, Any] | None = None,
    kind: Kind | None = None,
    suite: str | None = None,
    k: Contexts = None,
    k_train: KTrain = None,
    state: Literal["carried", "reset"] = "carried",
    seeds: int | Sequence[int] = 1,
    budget: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    match: str | None = None,
    precision: str | float = "0.5%",
    exact: bool = False,
    device: str = "auto",
    results: str | Path = "results",
    fresh: bool = False,
    jobs: int | None = None,
    threads: int | None = None,
) -> Request:
    """Return what `seqmem eval` with the same options requests.

    Ray, and what is reserved there, are options of the command line alone.

    Raises:
        InputError: there is no such model, or a value is none that it may have.
    """
    given = [models] if isinstance(models, str) or callable(models) else models
    for each in given:
        if isinstance(each, nn.Module):
            name = type(each).__name__
            raise InputError(
                f"{name}(…) is a module: give its class, {name}, to train it, or the module to "
                "seqmem.measure"
            )
    if isinstance(seeds, int) and seeds < 1:
        raise InputError(f"seeds={seeds}: is a whole number from 1 on, or a list of seeds")
    named = tasks if isinstance(tasks, list | tuple) else [tasks]
    place = str(results)
    return Request(
        models=tuple(model_spec(each, kind, options) for each in given),
        changes=tuple(f"{name}={value}" for name, value in (recipe or {}).items()),
        match=match,
        tasks=tuple(each.id if isinstance(each, Task) else str(each) for each in named),
        suite=suite,
        contexts=contexts_of(k),
        k_trains=(k_train,),
        state=state,
        seeds=tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds),
        budget=budget,
        precision=_precision(precision, exact),
        device=device,
        results=RemoteResults(place) if "://" in place else Path(place),
        fresh=fresh,
        workers=Workers(jobs=_count("jobs", jobs), threads=_count("threads", threads)),
    )


@contextmanager
def computing(threads: int | None, verbose: bool) -> Iterator[None]:
    """Let torch use so many threads, None: as many as it would; show bars only if `verbose`.

    Raises:
        InputError: there cannot be so many.
    """
    with bars_hidden(not verbose), torch_threads(_count("threads", threads)):
        yield


def _count(name: str, given: int | None) -> int | None:
    if given is not None and not (isinstance(given, int) and 1 <= given <= MOST):
        raise InputError(f"{name}={given!r}: is a whole number from 1 to {MOST:,}; or leave it out")
    return given


def contexts_of(k: Contexts) -> tuple[Context, ...] | None:
    """Return context lengths, ascending, full last; None for a task's own.

    Raises:
        InputError: one is none.
    """
    if k is None:
        return None
    given = [k] if isinstance(k, int | str) else list(k)
    if not given:
        raise InputError(f"k={k!r}: names no context length; leave k out for the task's own")
    for each in given:
        if each != "full" and not (isinstance(each, int) and each >= 1):
            raise InputError(f"k={each!r}: a context length is a whole number from 1 on, or 'full'")
    finite = sorted({each for each in given if isinstance(each, int)})
    full: tuple[Context, ...] = ("full",) if "full" in given else ()
    return (*finite, *full)


def _precision(precision: str | float, exact: bool) -> Precision | None:
    if exact:
        return None
    try:
        return parse_precision(str(precision))
    except ValueError:
        raise InputError(
            f"precision={precision!r}: is a positive share, as in '0.5%', or a number in the "
            "loss's unit"
        ) from None
