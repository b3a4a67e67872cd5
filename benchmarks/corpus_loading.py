"""Time and peak memory of loading a corpus as large as WikiText-103, the first and second time.

A synthetic corpus of 103,227,021 tokens (Zipf's law, 267,735 of them distinct) is written to a
temporary folder of about 700 MB, and loaded twice, each time in a new process: the first reads,
checks and numbers the words, the second maps the cached ids.

    python benchmarks/corpus_loading.py [--scale 0.01] [--folder DIR]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from seqmem.tasks.data.wikitext_files import WIKITEXT_103, CorpusSource, load_corpus

LINE = 57  # tokens in most lines, <eos> counted: as many as WikiText-103 has on average
LIMIT_MIB = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 103 M tokens")
    parser.add_argument("--folder", help="the parent of the temporary folder")
    parser.add_argument("--load", metavar="SOURCE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(json.loads(arguments.load))))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        began = time.monotonic()
        counts = write_corpus(Path(folder) / "data" / "synthetic", arguments.scale)
        print(f"written: {counts['train'][1]:,} tokens, {time.monotonic() - began:.0f} s")
        environment = {
            **os.environ,
            "SEQMEM_DATA": f"{folder}/data",
            "SEQMEM_CACHE": f"{folder}/cache",
        }
        for time_of in ("first", "second"):
            command = [sys.executable, __file__, "--load", json.dumps(counts)]
            done = subprocess.run(
                command, env=environment, check=True, capture_output=True, text=True
            )
            seen = json.loads(done.stdout)
            print(
                f"{time_of} time: {seen['seconds']:.2f} s, peak {seen['peak']:,.0f} MiB (limit "
                f"{LIMIT_MIB:,}; {seen['before']:,.0f} after the imports)"
            )
            if seen["peak"] > LIMIT_MIB:
                sys.exit("too much memory")


def load(counts: dict[str, list[int]]) -> dict[str, float]:
    """Return the seconds and MiB that loading the corpus takes."""
    source = CorpusSource(
        name="synthetic",
        title="",
        licence="",
        hub=("", ""),
        splits={
            name: {"lines": lines, "tokens": tokens} for name, (lines, tokens) in counts.items()
        },
        vocabulary=WIKITEXT_103.vocabulary,
    )
    before, began = peak(), time.monotonic()
    corpus = load_corpus(source)
    seconds = time.monotonic() - began
    if len(corpus.ids["train"]) != counts["train"][1]:
        sys.exit("the ids are not as many as the tokens")
    return {"seconds": seconds, "peak": peak(), "before": before}


def peak() -> float:
    """Return the largest resident size so far, in MiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def write_corpus(folder: Path, scale: float) -> dict[str, list[int]]:
    """Write train, valid and test; return lines and tokens of each."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    size = WIKITEXT_103.vocabulary - 1  # and <eos>
    words = np.array([f"{'word'[: i % 5]}{i:x}" for i in range(size)], dtype=object)
    weights = 1 / np.arange(1, size + 1)
    edges = np.cumsum(weights / weights.sum())
    counts = {}
    for split, share in (("train", scale), ("valid", 0.01 * scale), ("test", 0.01 * scale)):
        tokens = int(WIKITEXT_103.splits["train"]["tokens"] * share)
        with (folder / f"{split}.txt").open("w") as file:
            lines = written = 0
            if split == "train":  # every word once
                file.write(f" {' '.join(words)} \n")
                lines, written = 1, size + 1
            while written < tokens:
                some = min((tokens - written + LINE - 1) // LINE, 20_000)
                drawn = np.searchsorted(edges, rng.random(some * (LINE - 1)))
                rows = words[np.minimum(drawn, size - 1)].reshape(some, LINE - 1)
                file.writelines(f" {' '.join(row)} \n" for row in rows)
                lines, written = lines + some, written + some * LINE
        counts[split] = [lines, written]
    return counts


if __name__ == "__main__":
    main()
