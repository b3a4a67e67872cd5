"""What the benchmarks share: trained language models, timing, and where they ran."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seqmem.baselines.spec import parse_model
from seqmem.cell import Cell, Settings, trained_model
from seqmem.measurement import Measuring
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

RESULTS = Path(os.environ.get("SEQMEM_BENCHMARK_RESULTS", "results"))


def trained(model: str, task_id: str, budget: str = "small") -> tuple[SequenceModel, Task]:
    """Train a baseline, or take its weights from RESULTS where an earlier run left them."""
    task = load_task(task_id)
    cell = Cell(parse_model(model), task, None, 0, budget)
    fitted, _ = trained_model(cell, Settings(RESULTS, Measuring()), say)
    return fitted.eval(), task


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Give seconds, and what the work gives."""
    began = time.monotonic()
    result = work()
    return time.monotonic() - began, result


def say(line: str) -> None:
    print(line, flush=True)


def machine() -> str:
    """Name the machine, for a table's caption."""
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.name == "posix" else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
    threads = torch.get_num_threads()
    return f"{cpu}, {threads} threads, torch {torch.__version__}"
