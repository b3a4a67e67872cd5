"""Measure a trained model: a file, a model by name, or a module in memory."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from torch import nn

from seqmem.baselines import BASELINES
from seqmem.baselines.own.trial import try_out
from seqmem.baselines.own.whole import WholeModel
from seqmem.errors import InputError, RefusedError
from seqmem.leaderboard.record import Record, is_name
from seqmem.measuring.modes import modes_kept
from seqmem.measuring.settings import MeasurementSettings
from seqmem.measuring.target_losses import TargetLosses, known_losses
from seqmem.submissions.opening import (
    TRUSTED,
    OpenedHuggingFace,
    OpenedModel,
    OpenOptions,
    open_model,
)
from seqmem.submissions.submit import check_name, measure_submission
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Task

__all__ = ["measure_trained", "model_name", "open_trained"]


def measure_trained(
    model: str | nn.Module,
    task: Task,
    settings: MeasurementSettings,
    log: Callable[[str], object],
    *,
    name: str | None = None,
    options: OpenOptions | None = None,
    refuse: Callable[[RefusedError], None] | None = None,
    keep: Callable[[TargetLosses], object] | None = None,
) -> Record:
    """Check a model and measure its curve; return the record, which is stored nowhere.

    The record is marked as the user's own.

    Args:
        model: a model in a format of `open_model`, or a module from inputs (B, L) or (B, L, D) to
            scores (B, L, outputs).
        task: the task.
        settings: context lengths, precision, device.
        log: called with a line for each step that takes time.
        name: of the model in tables; None: made from what it is.
        options: how it is opened.
        refuse: called where a check of validity fails; None: the error is raised.
        keep: called with the losses of single targets.

    Raises:
        InputError: there is no such model, or the name is not valid, or that of a baseline.
        SubmissionError: it cannot be opened.
        RefusedError: it fails a check.
        CellError: it cannot be measured.
    """
    if name is not None:
        check_name(name)
    opening = open_trained(model, task, options or OpenOptions(), log)
    label = name or model_name(model)
    with opening as opened:
        return measure_submission(
            opened,
            label,
            task,
            settings,
            log,
            facts={"own": True},
            refuse=refuse,
            observe=None if keep is None else lambda curve: keep(known_losses(curve, task, label)),
            seed=settings.sample_seed,
        )


def open_trained(
    model: str | nn.Module, task: Task, options: OpenOptions, log: Callable[[str], object]
) -> AbstractContextManager[OpenedModel | OpenedHuggingFace]:
    """Return a context in which a model is open, in evaluation mode.

    Args:
        model: as for `measure_trained`.
        task: the task.
        options: how it is opened.
        log: called with a line where something about it is unusual.

    Raises:
        InputError: there is no such model.
        SubmissionError: it cannot be opened; raised on entering the context.
    """
    if isinstance(model, nn.Module):
        return _in_memory(model, task, options, log)
    if not isinstance(model, str):
        raise InputError(
            f"model {model!r}: is neither a module nor a name; a class is trained with seqmem.train"
        )
    return open_model(model, task, options)


@contextmanager
def _in_memory(
    module: nn.Module, task: Task, options: OpenOptions, log: Callable[[str], object]
) -> Iterator[OpenedModel]:
    """Yield a module in evaluation mode; it is put back into its mode and place at the end."""
    device = next((weight.device for weight in module.parameters()), None)
    model = module if isinstance(module, SequenceModel) else WholeModel(module, task.outputs)
    field = model.receptive_field
    with modes_kept(module):
        if warning := try_out(model, task, type(module).__name__):
            log(warning)
        model.eval()
        if options.context is not None:
            model.receptive_field = options.context
        facts = {"format": "python", "isolation": TRUSTED}
        try:
            yield OpenedModel(model, weights_sha256(model), facts)
        finally:
            model.receptive_field = field
            if device is not None:
                module.to(device)


def model_name(model: str | nn.Module) -> str:
    """Return a name for tables, none of a baseline: a module's class, or what a text names."""
    if isinstance(model, nn.Module):
        text = type(model).__name__
    else:
        text = Path(model.removeprefix("hf:").removesuffix(".onnx")).name
    text = re.sub("[^A-Za-z0-9._+-]+", "-", text).strip("-._+")[:64]
    if text in BASELINES:
        return f"{text}-own"
    return text if is_name(text) else "model"
