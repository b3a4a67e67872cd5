"""Helpers of the benchmarks: trained language models, timing, and the machine's name."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from seqmem.baselines.spec import model_class, parse_model
from seqmem.baselines.training.recipes import recipe_for
from seqmem.provenance import environment_facts
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import trained_model
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

RESULTS = Path(os.environ.get("SEQMEM_BENCHMARK_RESULTS", "results"))


def trained(name: str, task_id: str = "wikitext-2") -> tuple[SequenceModel, Task]:
    """Return a trained baseline and its task; weights of an earlier run in RESULTS are reused.

    An LSTM is trained with the recipe of the small budget; models without state see up to 128
    inputs.
    """
    task = load_task(task_id)
    model = parse_model(name)
    recipe, k_train = recipe_for(task.family, "small"), None
    if not model_class(name).stateful:
        # With 128 inputs in sight a step has 2,560 targets instead of 700.
        recipe, k_train = replace(recipe, steps=200, validate_every=100), 128
    cell = plan_cell(model, task, RESULTS, k_train=k_train, recipe=recipe)
    fitted, _ = trained_model(cell, task, say)
    return fitted.eval(), task


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that a function takes, and its result."""
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def say(line: str) -> None:
    print(line, flush=True)


def machine() -> str:
    """Return the processor, threads and torch version, for a table's caption."""
    facts = environment_facts("cpu")
    return f"{facts['processor']}, {facts['threads']} threads, torch {torch.__version__}"
