"""The speed-up of reusing freed memory: training steps with and without it.

The setting cannot be undone within a process, so that the two modes alternate in new processes.

    python benchmarks/freed_memory.py [--turns 5]
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

import torch
from common import machine, say
from racing import SuiteLoop
from tabulate import tabulate

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.batches import Batch, batches
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.process import denormals_flushed, keep_freed_memory
from seqmem.baselines.training.recipes import recipe_for
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

CELLS = (
    ("tcn:hidden=10,kernel=8,levels=8", "copy-memory/T=1000"),
    ("gcnn", "copy-memory/T=30"),
    ("lru", "adding-problem/T=200"),
    ("transformer", "adding-problem/T=200"),
)
STEPS = 20  # timed steps of a process, after a quarter as many for warm-up


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="processes of each mode")
    parser.add_argument("--cell", type=int, help="internal: run this cell in this process")
    parser.add_argument("--keep", action="store_true", help="internal: reuse freed memory")
    arguments = parser.parse_args()
    if arguments.cell is not None:
        say(" ".join(map(str, measured(*CELLS[arguments.cell], keep=arguments.keep))))
        return
    rows = [
        [model, task_id, *compared(cell, arguments.turns)]
        for cell, (model, task_id) in enumerate(CELLS)
    ]
    headers = ["model", "task", "reused: step, ms", "returned: step, ms", "ratio", "least", "most"]
    headers += ["page faults a step, reused", "returned"]
    formats = ("", "", ".1f", ".1f", ".2f", ".2f", ".2f", ",.0f", ",.0f")
    say(f"\n{machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=formats))


def compared(cell: int, turns: int) -> list[float]:
    """Return a step's milliseconds in both modes, their ratio, and page faults."""

    def in_new_process(*mode: str) -> tuple[float, float]:
        command = [sys.executable, __file__, "--cell", str(cell), *mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        milliseconds, faults = map(float, done.stdout.split())
        return milliseconds, faults

    pairs = [(in_new_process("--keep"), in_new_process()) for _ in range(turns)]
    ratios = [returned[0] / reused[0] for reused, returned in pairs]
    reused, returned = (
        [statistics.median(each) for each in zip(*mode, strict=True)]
        for mode in zip(*pairs, strict=True)
    )
    times = [statistics.median(ratios), min(ratios), max(ratios)]
    return [reused[0], returned[0], *times, reused[1], returned[1]]


def measured(name: str, task_id: str, *, keep: bool) -> tuple[float, float]:
    """Return the CPU milliseconds and the page faults of a step in this process."""
    torch.set_num_threads(1)
    if keep:
        keep_freed_memory()
    task = load_task(task_id)
    recipe = recipe_for(task.family, "small")
    with seeded(0):
        model, _ = build_model(parse_model(name), task, "full", recipe.options)
    loop = SuiteLoop(model, task, recipe, whole_sequences(task, recipe.batch), "cpu")
    with denormals_flushed():
        loop.run(STEPS // 4)
        faults, began = page_faults(), time.process_time()
        loop.run(STEPS)
        seconds = time.process_time() - began
    return 1000 * seconds / STEPS, (page_faults() - faults) / STEPS


def whole_sequences(task: Task, size: int) -> Iterator[Batch]:
    """Yield batches, epoch after epoch."""
    order = torch.Generator().manual_seed(0)
    for epoch in count():
        yield from batches(task.train(0, epoch), size, None, 0, order)


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


if __name__ == "__main__":
    main()
