"""Ablate the far context of a trained model: a file, a model by name, or a module in memory."""

from collections.abc import Callable
from typing import Any

from torch import nn

from seqmem.errors import InputError
from seqmem.measuring.ablation import Ablations, ablate
from seqmem.submissions.measure import open_trained
from seqmem.submissions.opening import OpenedModel, OpenOptions
from seqmem.tasks.task import Task

__all__ = ["ablate_trained"]


def ablate_trained(
    model: str | nn.Module,
    task: Task,
    log: Callable[[str], object],
    options: OpenOptions | None = None,
    **settings: Any,
) -> Ablations:
    """Return what of the far context a model uses.

    Args:
        model: as for `measure_trained`.
        task: the task.
        log: called with a line for each step that takes time.
        options: how the model is opened.
        settings: of `ablate`.

    Raises:
        InputError: there is no such model, it has tokens of its own, or a setting is out of range.
        SubmissionError: it cannot be opened.
        NotFiniteError: its outputs are not finite.
    """
    with open_trained(model, task, options or OpenOptions(), log) as opened:
        if not isinstance(opened, OpenedModel):
            raise InputError(
                f"model '{model}': reads tokens of its own, and windows here are of the inputs of "
                f"{task.id}; wrap it as module.py:build, from these inputs to scores"
            )
        return ablate(opened.model, task, progress=log, **settings)
