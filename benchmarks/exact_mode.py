"""Exact curves against the plain loop: cut windows with `unfold`, forward, log_softmax.

Both score the same targets of WikiText-2's test split at k = 1, 2, 4 … 128, one after the other, in
separate processes, so that peak memory is measured separately. The plain loop is the obvious
implementation: batches of 64 windows through the model's forward, the last position's log_softmax.

    python benchmarks/exact_mode.py [--models lstm transformer tcn] [--targets 1500]
"""

import argparse
import json
import resource
import subprocess
import sys

import numpy as np
import torch
from common import machine, say, timed, trained
from tabulate import tabulate

from seqmem.measuring.curve import measure
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Split, Task

CONTEXTS = [2**i for i in range(8)]
ROWS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["lstm", "transformer", "tcn"])
    parser.add_argument("--targets", type=int, default=1500)
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        name, way = arguments.only
        print(json.dumps(run(name, way, arguments.targets)))
        return
    rows = []
    for name in arguments.models:
        trained(name)
        plain, exact = (
            json.loads(
                subprocess.run(
                    [
                        sys.executable,
                        __file__,
                        "--only",
                        name,
                        way,
                        "--targets",
                        str(arguments.targets),
                    ],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.splitlines()[-1]
            )
            for way in ("plain", "exact")
        )
        difference = np.abs(np.array(plain["means"]) - exact["means"]).max()
        rows.append(
            [
                name, plain["seconds"], exact["seconds"], plain["seconds"] / exact["seconds"],
                plain["mib"], exact["mib"], exact["mib"] / plain["mib"], difference,
            ]
        )  # fmt: skip
        say(str(rows[-1]))
    headers = [
        "model", "plain loop, s", "exact, s", "times faster", "plain, MiB", "exact, MiB", "share",
        "largest difference, nats",
    ]  # fmt: skip
    say(f"\n{arguments.targets:,} targets, {machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=",.3g"))


def run(name: str, way: str, targets: int) -> dict[str, object]:
    """Return seconds, memory beyond that of model and data, and means of one method."""
    model, task = trained(name)
    split = task.split("test").prefix(targets)
    plain_loop(model, task, split.prefix(64), [1])  # initialises libraries
    before = peak()
    if way == "plain":
        seconds, means = timed(lambda: plain_loop(model, task, split, CONTEXTS))
    else:
        seconds, curve = timed(lambda: measure(model, task, split, CONTEXTS))
        means = [float(curve.at(k).losses.mean()) for k in CONTEXTS]
    return {"seconds": seconds, "mib": peak() - before, "means": means}


@torch.inference_mode()
def plain_loop(model: SequenceModel, task: Task, split: Split, contexts: list[int]) -> list[float]:
    """Return the mean loss of all targets at every k, with shorter windows at the start."""
    means = []
    for k in contexts:
        losses = []
        for position in range(min(k - 1, len(split))):
            outputs = model(split.inputs[None, : position + 1])
            losses.append(-torch.log_softmax(outputs, -1)[0, -1, split.targets[position].long()])
        windows = split.inputs.unfold(0, k, 1) if len(split) >= k else split.inputs[:0]
        targets = split.targets[k - 1 :].long()
        for rows, wanted in zip(windows.split(ROWS), targets.split(ROWS), strict=True):
            scores = torch.log_softmax(model(rows), -1)[:, -1]
            losses += list(-scores.gather(1, wanted[:, None])[:, 0])
        means.append(float(torch.stack(losses).double().mean()))
    return means


def peak() -> float:
    """Return the largest resident size so far, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main()
