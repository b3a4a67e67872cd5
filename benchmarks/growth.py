"""How the cost of a curve grows with the longest context and with the number of targets.

A character LSTM, trained on a novel, is measured to ±0.5 % on parts of it. The script prints and
plots the cost in model steps, relative to one plain pass, and in seconds, relative to a plain pass
in the same run.

    python benchmarks/growth.py [--output docs/growth.svg]
"""

import argparse
import math
import os
from pathlib import Path

import pandas as pd
import torch
from common import machine, say, timed, trained

from seqmem.errors import InputError
from seqmem.leaderboard.charts.picture import picture
from seqmem.leaderboard.charts.theme import PRINT, Spec, finished
from seqmem.measuring.curve import measure
from seqmem.measuring.reference import full_scores
from seqmem.tasks.task import Context, Split

LONGEST = (256, 512, 1024, 2048, 4096)
TARGETS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
NOVEL = "books/war_and_peace.txt.xz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/growth.svg"))
    parser.add_argument("--targets", type=int, nargs="+", default=TARGETS)
    arguments = parser.parse_args()
    data = os.environ.get("SEQMEM_DATA")
    if not data:
        raise InputError("set SEQMEM_DATA to the folder that holds the corpora")
    model, task = trained("lstm", f"text:{data}/{NOVEL}?unit=char")
    # Parts of the training text, because the test split is too short for the longest one.
    stream = task.train(0, 0)
    rows = []
    for targets in arguments.targets:
        split = beginning(stream, targets)
        for longest in LONGEST if targets == max(arguments.targets) else (1024,):
            contexts: list[Context] = [*(2**i for i in range(longest.bit_length())), "full"]
            plain, _ = timed(lambda: full_scores(model, task, split))  # noqa: B023
            seconds, curve = timed(
                lambda: measure(model, task, split, contexts, precision=math.log(1.005))  # noqa: B023
            )
            row = {
                "targets": targets,
                "longest context": longest,
                "steps, passes": round(curve.steps / targets, 2),
                "time, passes": round(seconds / plain, 2),
                "agrees from": next(
                    (k for k in contexts if curve.at(k).method == "agrees with full"), None
                ),
            }
            say(str(row))
            rows.append(row)
    table = pd.DataFrame(rows)
    say(f"\n{machine()}\n\n{table.to_markdown(index=False)}")
    chart = draw(table, max(arguments.targets))
    arguments.output.write_bytes(picture(chart, "svg"))
    say(f"written: {arguments.output}")


def beginning(stream: Split, targets: int) -> Split:
    """Return the beginning of a stream as a split."""
    part = stream.prefix(targets)
    blocks = torch.arange(targets) // 1000
    return Split(part.inputs, part.starts, part.positions, part.targets, blocks)


def draw(table: pd.DataFrame, most: int) -> Spec:
    """Plot cost against the longest context, and against the number of targets."""
    costs = ["steps, passes", "time, passes"]
    long = table.melt(["targets", "longest context"], costs, var_name="cost in", value_name="y")

    def panel(rows: pd.DataFrame, column: str) -> Spec:
        ticks = {"values": sorted(int(x) for x in set(rows[column])), "format": "~s", "grid": False}
        y = {"field": "y", "type": "quantitative", "title": "cost in plain passes"}
        return {
            "data": {"values": rows.to_dict("records")},
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {"field": column, "type": "quantitative", "scale": {"type": "log"}}
                | {"axis": ticks},
                "y": y,
                "color": {"field": "cost in", "type": "nominal"},
            },
            "width": 280,
            "height": 220,
        }

    panels = [
        panel(long[long["targets"] == most], "longest context"),
        panel(long[long["longest context"] == 1024], "targets"),
    ]
    return finished({"hconcat": panels}, PRINT, "cost in plain passes")


if __name__ == "__main__":
    main()
