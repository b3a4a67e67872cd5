"""Perplexity of WikiText-2 in segments, and in windows, beyond the context of training.

The usual evaluation cuts a text into segments of L words and predicts every word from the words of
its segment: on average from half of them. Longer segments therefore help even a model that gains
nothing from more context ("early token curse", Press et al. 2022, arXiv 2108.12409, appendix B).
Windows give every word exactly k words, and do not mix the two.

A Transformer is trained on segments of 35 words and reads up to 512 afterwards.

    python benchmarks/segments.py [--positions alibi rotary none] [--steps 2400] [--results DIR]
"""

import argparse
import math
from dataclasses import replace

import torch
from common import RESULTS, machine, say
from tabulate import tabulate

import seqmem
from seqmem.measuring.reference import full_scores
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

LENGTHS = (16, 35, 64, 128, 256, 512)


def in_segments(model: SequenceModel, task: Task, length: int) -> float:
    """Return the test perplexity where every segment of the text is read on its own."""
    test = task.split("test")
    starts = torch.cat([torch.arange(0, len(test.inputs), length), test.starts[-1:]])
    cut = replace(test, starts=starts.unique())
    return math.exp(full_scores(model, task, cut).losses.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", nargs="+", default=["alibi"])
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--results", default=str(RESULTS))
    given = parser.parse_args()
    say(machine())
    rows = []
    for way in given.positions:
        name = f"transformer:positions={way},test_context=512"
        run = seqmem.train(
            name,
            "wikitext-2",
            k_train=35,
            recipe={"steps": given.steps},
            results=given.results,
            threads=1,
        )
        segments = [in_segments(run.model, run.task, length) for length in LENGTHS]
        curve = seqmem.measure(run, k=LENGTHS, threads=1)
        (record,) = curve.records
        windows = [f"{math.exp(point.loss.mean):.1f}" for point in record.curve]
        rows.append([way, "segments of k", *(f"{each:.1f}" for each in segments)])
        rows.append([way, "windows of k", *windows])
    headers = ["positions", "", *(f"k = {length}" for length in LENGTHS)]
    print(tabulate(rows, headers, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
