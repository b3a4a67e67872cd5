"""An ONNX file with a large vocabulary against the same model in memory, in one run.

An LSTM with random weights and WikiText-2's 33,278 outputs is exported. Each way measures the same
curve, in turns: in this process, and from the file in a process of its own.

    python benchmarks/onnx_readout.py [--hidden 200] [--targets 20000] [--turns 3]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from common import machine, say, timed
from tabulate import tabulate

from seqmem.baselines.recurrent import LSTM
from seqmem.measuring.curve import measure
from seqmem.submissions.onnx.export import export_onnx
from seqmem.submissions.process.remote import RemoteModel
from seqmem.tasks import load_task
from seqmem.tasks.task import Context

CONTEXTS: list[Context] = [1, 16, 256, "full"]
WAYS = ("memory", "file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--targets", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(run(arguments.only, Path(arguments.file), arguments)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lstm.onnx"
        export_onnx(model(arguments.hidden), load_task("wikitext-2").inputs, file)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(arguments.turns):
            for way in WAYS:
                found[way].append(alone(way, file, arguments))
    base = median(one["seconds"] for one in found["memory"])
    for way, runs in found.items():
        seconds = median(one["seconds"] for one in runs)
        most = max(one["mib"] for one in runs)
        rows.append([way, seconds, seconds / base, most, runs[0]["mean"]])
    headers = ["way", "seconds", "times memory", "peak of this process, MiB", "mean at k = 16"]
    say(f"\n{arguments.targets:,} targets, k = {CONTEXTS}, {machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=",.4g"))


def alone(way: str, file: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Return the result of one way in a process of its own."""
    sizes = [f"--hidden={arguments.hidden}", f"--targets={arguments.targets}"]
    command = [sys.executable, __file__, "--only", way, "--file", str(file), *sizes]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    say(f"{way}: {result}")
    return result


def model(hidden: int) -> LSTM:
    """Return the LSTM, the same in every process."""
    task = load_task("wikitext-2")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LSTM(task.inputs, task.outputs, hidden=hidden, layers=2).eval()


def run(way: str, file: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Return seconds of a curve, the largest memory of this process, and a mean."""
    task = load_task("wikitext-2")
    split = task.split("test").prefix(arguments.targets)
    if way == "memory":
        own = model(arguments.hidden)
        seconds, curve = timed(lambda: measure(own, task, split, CONTEXTS, precision=0.03))
    else:
        with RemoteModel(file.read_bytes(), task.inputs, task.outputs, sandbox=False) as remote:
            seconds, curve = timed(lambda: measure(remote, task, split, CONTEXTS, precision=0.03))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "mib": peak, "mean": float(curve.at(16).losses.mean())}


if __name__ == "__main__":
    main()
