"""What strata cost: the time of a curve and its record with them, as a multiple of that without.

    python benchmarks/strata.py --task copy-memory/T=10-50 --task wikitext-2

An LSTM with random weights is measured once; from its curve the numbers of a record are computed
with and without strata. Times are of the processor, as other jobs may run.
"""

import time
from collections.abc import Callable

import click
from common import machine, say

from seqmem.baselines.recurrent import LSTM
from seqmem.baselines.training.loop import seeded
from seqmem.measuring.precision import USUAL
from seqmem.measuring.record import measure_model
from seqmem.measuring.settings import MeasurementSettings
from seqmem.measuring.summary import summarise
from seqmem.tasks import load_task
from seqmem.tasks.task import Task

TASKS = ("copy-memory/T=10-50", "associative-recall/keys=32,values=64,zipf=1")
REPEATS = 3


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that a function takes."""
    began = time.process_time()
    work()
    return time.process_time() - began


def cost(task_id: str) -> dict[str, float]:
    """Return seconds of the curve, of its numbers without and with strata, and the ratio."""
    task, bare = load_task(task_id), load_task(task_id)
    vars(bare)["strata"] = lambda: ()  # in place of the class's
    with seeded(0):
        model = LSTM(task.inputs, task.outputs, hidden=64).eval()
    settings = MeasurementSettings(precision=USUAL)
    began = time.process_time()
    curve = measure_model(model, "lstm", task, settings).curve
    measuring = time.process_time() - began

    def numbers(of: Task) -> float:
        ks = settings.contexts_for(task)
        return processor_seconds(lambda: summarise(curve, of, model, ks))

    task.chance(), bare.chance()  # data are read, not strata
    numbers(bare)  # imports
    first = numbers(task)  # with finding the strata
    plain = min(numbers(bare) for _ in range(REPEATS))
    with_strata = measuring + first
    return {
        "curve": measuring,
        "numbers": plain,
        "with strata": first,
        "ratio": with_strata / (measuring + plain),
    }


@click.command()
@click.option("--task", "tasks", multiple=True, default=TASKS)
def main(tasks: tuple[str, ...]) -> None:
    """Print a line for each task."""
    for task_id in tasks:
        found = cost(task_id)
        say(f"{task_id}: {', '.join(f'{name} {value:.3g}' for name, value in found.items())}")
    say(machine())


if __name__ == "__main__":
    main()
