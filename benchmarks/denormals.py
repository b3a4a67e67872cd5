"""The speed-up of flushing denormal numbers: steps of WaveNet on Nottingham, early and late.

One model is trained with the recipe of the small budget. After no step, and after many, it repeats
steps on the same batches, alternately with and without flushing of denormal numbers to zero.

    python benchmarks/denormals.py [--after 0 800]
"""

import argparse
import statistics
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count, islice

import torch
from common import machine, say, timed
from tabulate import tabulate

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.batches import Batch, Step, batches
from seqmem.baselines.training.learner import Learner
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.process import denormals_flushed
from seqmem.baselines.training.recipes import recipe_for
from seqmem.tasks import load_task

TASK, CONTEXT = "music/nottingham", 128
RECIPE = recipe_for("music", "small")
REPEATED, TURNS = 10, 4  # batches of a turn; turns of each mode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--after", type=int, nargs="+", default=[0, 800])
    stops = sorted(parser.parse_args().after)
    torch.set_num_threads(1)  # other threads would keep the mode that they start with
    task = load_task(TASK)
    with seeded(0):
        model, _ = build_model(parse_model("wavenet"), task, CONTEXT, RECIPE.options)
    learner = Learner(model.train(), task.loss, RECIPE, "cpu")
    order = torch.Generator().manual_seed(0)
    stream = (
        batch
        for epoch in count()
        for batch in batches(task.train(0, epoch), RECIPE.batch, CONTEXT, CONTEXT - 1, order)
    )
    rows, taken = [], 0
    with seeded(0):
        for stop in stops:
            with denormals_flushed():
                learn(learner, list(islice(stream, stop - taken)))
            taken = stop
            rows.append([stop, *compared(learner, list(islice(stream, REPEATED)))])
    headers = ["after steps", "flushed: step, ms", "computed: step, ms", "ratio", "least", "most"]
    formats = ("d", ",.0f", ",.0f", ".2f", ".2f", ".2f")
    say(f"\nwavenet on {TASK}, {machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=formats))


def compared(learner: Learner, part: Sequence[Batch]) -> list[float]:
    """Return a step's milliseconds in both modes, and their ratio: median, smallest, largest."""

    def milliseconds(mode: AbstractContextManager[None]) -> float:
        with mode:
            seconds, _ = timed(lambda: learn(learner, part))
        return 1000 * seconds / len(part)

    learn(learner, part)  # not timed: allocates memory
    turns = [(milliseconds(denormals_flushed()), milliseconds(nullcontext())) for _ in range(TURNS)]
    ratios = [computed / zero for zero, computed in turns]
    medians = [statistics.median(each) for each in zip(*turns, strict=True)]
    return [*medians, statistics.median(ratios), min(ratios), max(ratios)]


def learn(learner: Learner, part: Sequence[Batch]) -> None:
    """Take one step on each batch."""
    for batch in part:
        learner.learn(Step(len(batch.targets), (batch,)), None, taken=0, scale=1.0)


if __name__ == "__main__":
    main()
