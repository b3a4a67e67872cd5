"""`seqmem.measure`: the curve of a trained model, from Python."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from seqmem.api.model_curve import ModelCurve
from seqmem.api.requests import Contexts, computing, logger, settings_of
from seqmem.api.training import Run, cell_of
from seqmem.errors import InputError, RefusedError
from seqmem.measuring.curve import Curve
from seqmem.measuring.target_losses import TargetLosses, known_losses
from seqmem.runs.cell import Cell
from seqmem.runs.run_cell import run_cell
from seqmem.submissions.measure import measure_trained
from seqmem.submissions.opening import OpenOptions
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

__all__ = ["measure"]


def measure(
    model: nn.Module | str | Run,
    task: str | Task | None = None,
    *,
    k: Contexts = None,
    precision: str | float = "0.5%",
    exact: bool = False,
    context: int | None = None,
    name: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    strict: bool = False,
    verbose: bool = True,
) -> ModelCurve:
    """Measure the loss of a trained model at every context length.

    A model that `seqmem.train` returned is measured as `seqmem eval` would, and its record stored
    beside the others; all other records are stored by `ModelCurve.save`.

    Args:
        model: a run, all its seeds; a module from inputs (B, L) or (B, L, D) to scores
            (B, L, outputs); or "net.onnx", "weights.safetensors", "hf:gpt2", "my.py:build".
        task: the task or its id; None: that of the run.
        k: context lengths; None: the task's own.
        precision: half-width of the 95 % intervals; see `seqmem eval --help`.
        exact: whether every target is scored at every k.
        context: the receptive field of a model that does not declare its own.
        name: of the model in tables.
        device: "auto", "cpu" or "cuda".
        threads: that torch may use; None: as many as it would.
        strict: whether a failed check of validity is an error; otherwise it is a warning.
        verbose: whether progress is shown, and lines about it are written to stderr.

    Raises:
        InputError: there is no such model or task.
        RefusedError: a check failed, if `strict`.
        CellError: the model cannot be measured.
    """
    refuse = None if strict else _warn
    log, settings = logger(verbose), settings_of(k, precision, exact, device)
    if isinstance(task, str):
        task = load_task(task)
    cells = model.cells if isinstance(model, Run) else [cell_of(model)]
    if isinstance(model, Run) and task is None:
        task = model.task
    if task is None:
        raise InputError("no task is given: measure(model, 'wikitext-2')")
    known = [cell for cell in cells if cell is not None and cell.task_id == task.id]
    with computing(threads, verbose):
        if known and name is None:
            own = [replace(cell, measuring=settings) for cell in known]
            own = [replace(c, measurement_identity=settings.identity(task)) for c in own]
            return _of_cells(own, task, log, refuse)
        options = OpenOptions(trust=True, context=context, threads=threads)
        single = model.model if isinstance(model, Run) else model
        found: list[TargetLosses] = []
        record = measure_trained(
            single,
            task,
            settings,
            log,
            name=name,
            options=options,
            refuse=refuse,
            keep=found.append,
        )
        return ModelCurve((record,), tuple(found))


def _of_cells(
    cells: Sequence[Cell],
    task: Task,
    log: Callable[[str], object],
    refuse: Callable[[RefusedError], None] | None,
) -> ModelCurve:
    """Return the curve of the seeds of a run; single losses are known of those measured now."""
    records, found = [], []
    for cell in cells:
        measured: list[Curve] = []
        records.append(run_cell(cell, task, log, refuse, measured.append))
        found += [known_losses(curve, task, str(cell.model)) for curve in measured]
    return ModelCurve(tuple(records), tuple(found) if len(found) == len(records) else ())


def _warn(error: RefusedError) -> None:
    first: Any = [line.strip() for line in error.report.splitlines()[1:3]]
    warnings.warn(f"{error}. {' '.join(first)}", stacklevel=4)
