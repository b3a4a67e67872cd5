"""An LSTM at the full budget on a GPU: WikiText-2, 2 × 650, tied, and its curve up to k = 1024.

Users of pytorch/examples report a test perplexity of 86.68 for this model after 40 epochs
(word_language_model, issue 281). As many epochs are trained as fit into the time given, measured by
a short training first. The folder then has the record, the weights and their sha256.

    python benchmarks/wikitext_gpu.py FOLDER [--minutes 12]
"""

import argparse
import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from common import say

from seqmem.baselines.training.recipes import recipe_for

CONTEXTS = "1,2,4,5,8,10,16,20,32,50,64,100,128,150,200,250,256,300,512,1024,full"
EPOCH = 2984  # steps of 20 × 35 words
TRIED = 300  # steps, with which the time of one is measured
MEASURING = 3  # minutes kept for the curve


def evaluate(folder: Path, steps: int, contexts: str) -> dict[str, Any]:
    """Train and measure with `seqmem eval`; return the record."""
    command = ["eval", "lstm", "--task", "wikitext-2", "--budget", "full", "--device", "cuda",
               "--train-dtype", "bfloat16", "--set", f"steps={steps}", "--k", contexts,
               "--results", str(folder), "--fresh"]  # fmt: skip
    subprocess.run([sys.executable, "-m", "seqmem", *command], check=True)
    newest = max(folder.rglob("records/**/*.json"), key=lambda path: path.stat().st_mtime)
    return dict(json.loads(newest.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("there is no GPU here")
    began = time.monotonic()
    evaluate(arguments.folder / "tried", TRIED, "1")  # the first pays for start and caches
    tried = evaluate(arguments.folder / "tried", TRIED, "1")
    seconds = tried["training"]["result"]["seconds"] / TRIED
    left = 60 * (arguments.minutes - MEASURING) - (time.monotonic() - began)
    usual = recipe_for("wikitext-2", "full").steps
    epochs = min(int(left / seconds / EPOCH), usual // EPOCH)
    if epochs < 1:
        sys.exit(f"a step takes {1000 * seconds:.1f} ms: no epoch fits into {left:.0f} s")
    say(f"{1000 * seconds:.1f} ms a step: {epochs} epochs")
    evaluate(arguments.folder, epochs * EPOCH, CONTEXTS)
    for path in sorted(arguments.folder.glob("checkpoints/*/weights.safetensors")):
        say(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


if __name__ == "__main__":
    main()
