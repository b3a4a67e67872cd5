"""What keeping freed memory spares: training steps with it and without, each in its own process.

What a process once keeps it cannot be told to give back: so the two ways take turns in new ones.

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
from seqmem.baselines.training.denormals import denormals_flushed
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.process import keep_freed_memory
from seqmem.baselines.training.recipes import recipe_for
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

CELLS = (
    ("tcn:hidden=10,kernel=8,levels=8", "copy-memory/T=1000"),
    ("gcnn", "copy-memory/T=30"),
    ("lru", "adding-problem/T=200"),
    ("transformer", "adding-problem/T=200"),
)
STEPS = 20  # timed in a process, after a fourth as many that are not


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="processes of each way")
    parser.add_argument("--cell", type=int, help="a process of one way: which cell")
    parser.add_argument("--keep", action="store_true", help="and whether it keeps freed memory")
    arguments = parser.parse_args()
    if arguments.cell is not None:
        say(" ".join(map(str, measured(*CELLS[arguments.cell], keep=arguments.keep))))
        return
    rows = [
        [model, task_id, *compared(cell, arguments.turns)]
        for cell, (model, task_id) in enumerate(CELLS)
    ]
    headers = ["model", "task", "kept: step, ms", "given back: step, ms", "times", "least", "most"]
    headers += ["page faults a step, kept", "given back"]
    formats = ("", "", ".1f", ".1f", ".2f", ".2f", ".2f", ",.0f", ",.0f")
    say(f"\n{machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=formats))


def compared(cell: int, turns: int) -> list[float]:
    """Give a step's milliseconds both ways, how many times as long it takes, and page faults."""

    def measured_apart(*way: str) -> tuple[float, float]:
        command = [sys.executable, __file__, "--cell", str(cell), *way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        milliseconds, faults = map(float, done.stdout.split())
        return milliseconds, faults

    pairs = [(measured_apart("--keep"), measured_apart()) for _ in range(turns)]
    ratios = [given[0] / kept[0] for kept, given in pairs]
    kept, given = (
        [statistics.median(each) for each in zip(*way, strict=True)]
        for way in zip(*pairs, strict=True)
    )
    times = [statistics.median(ratios), min(ratios), max(ratios)]
    return [kept[0], given[0], *times, kept[1], given[1]]


def measured(name: str, task_id: str, *, keep: bool) -> tuple[float, float]:
    """Give a step's milliseconds of processor time and its page faults, in this process."""
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
    """Give batches, epoch after epoch."""
    order = torch.Generator().manual_seed(0)
    for epoch in count():
        yield from batches(task.train(0, epoch), size, None, 0, order)


def page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


if __name__ == "__main__":
    main()
