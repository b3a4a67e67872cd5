"""The cost of a whole curve, relative to one plain pass over the same test set.

On WikiText-2's test split, every k = 1, 2, 4 … 1024 and full, to ±0.5 %, for an LSTM, a Transformer
and a TCN. The plain pass scores every target once, with the full context, as perplexities are
usually measured; both run alternately in this process, twice. The exact window-by-window curve is
timed on a random sample of the targets, at every k, and scaled up.

    python benchmarks/cost.py [--models lstm transformer tcn] [--part 200]
"""

import argparse
import math

import numpy as np
import torch
from common import machine, say, timed, trained
from tabulate import tabulate

from seqmem.measuring.curve import measure
from seqmem.measuring.reference import full_scores
from seqmem.measuring.windows import window_inputs
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Split, Task

CONTEXTS: list[Context] = [*(2**i for i in range(11)), "full"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["lstm", "transformer", "tcn"])
    parser.add_argument(
        "--part", type=int, default=200, help="targets of the window-by-window curve"
    )
    parser.add_argument("--targets", type=int, help="only the first targets of the split")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.models:
        model, task = trained(name)
        split = task.split("test")
        if arguments.targets:
            split = split.prefix(arguments.targets)
        plain, whole = [], []
        for seed in range(2):
            plain.append(timed(lambda: full_scores(model, task, split))[0])  # noqa: B023
            seconds, curve = timed(
                lambda: measure(model, task, split, CONTEXTS, precision=math.log(1.005), seed=seed)  # noqa: B023
            )
            whole.append(seconds)
            for k in CONTEXTS:
                found = curve.at(k)
                say(
                    f"{name} k={k}: {math.exp(found.losses.mean()):.2f} "
                    f"±{100 * math.expm1(found.half_width):.3f} % {found.method}, "
                    f"n={found.n:,}, {found.steps / len(split):.3f} passes"
                )
        windows = window_by_window(model, task, split, arguments.part)
        ratios = [a / b for a, b in zip(whole, plain, strict=True)]
        rows.append(
            [
                name,
                " ".join(f"{t:.0f}" for t in plain),
                " ".join(f"{t:.0f}" for t in whole),
                " ".join(f"{r:.2f}" for r in ratios),
                curve.steps / len(split),
                windows,
                windows / min(whole),
            ]
        )
        say(str(rows[-1]))
    headers = [
        "model", "plain pass, s", "curve, s", "curve / pass", "steps, passes", "exact, s",
        "exact / curve",
    ]  # fmt: skip
    say(f"\n{len(split):,} targets, {machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=",.3g"))


@torch.inference_mode()
def window_by_window(model: SequenceModel, task: Task, split: Split, part: int) -> float:
    """Return the seconds of scoring every window of every k, extrapolated from a sample."""
    rng = np.random.default_rng(0)
    total = 0.0
    for k in (k for k in CONTEXTS if k != "full"):
        able = np.flatnonzero(split.available.numpy() >= k)
        chosen = torch.from_numpy(rng.choice(able, min(part, len(able)), replace=False))

        def score(k: int = k, chosen: torch.Tensor = chosen) -> None:
            for rows in chosen.split(64):
                features, _ = model.hidden(window_inputs(split, rows, k))
                task.loss(model.readout(features[:, -1]), split.targets[rows])

        total += timed(score)[0] * len(able) / len(chosen)
    return total


if __name__ == "__main__":
    main()
