"""Do damaged ONNX files read other files, run foreign operators, or stop this process?

Files are damaged at random (tests/onnx_mutations.py): changed bytes, and hostile messages inserted
wherever the format has room. One in 20 that the check accepts is run in a process with limits,
without the sandbox, which would hide the other files. The file in which every inserted tensor
claims to be stored is watched (inotify), and is in the current folder.

python benchmarks/fuzz_onnx.py [FILES] [SEED]     20,000 take some ten minutes
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import torch
from common import machine, say
from tabulate import tabulate

from seqmem.baselines.spec import Architecture, options_of
from seqmem.errors import CellError, SubmissionError
from seqmem.submissions.onnx.export import export_onnx
from seqmem.submissions.onnx.file import read_onnx
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.remote import RemoteModel
from seqmem.tasks.task import Tokens
from seqmem.tests.onnx_mutations import MODELS, foreign_parts, mutated, watched

LIMITS = Limits(memory_bytes=2 << 30, start_seconds=30, call_seconds=5)
RUN = 20  # one in so many accepted files
INPUTS, OUTPUTS = Tokens(5), 4


def models(folder: Path) -> list[onnx.ModelProto]:
    """Return the models that are damaged: small ones, and three exported baselines."""
    found = list(MODELS)
    for name in ("lstm", "tcn", "transformer"):
        options = {**options_of(name), "hidden": 8}
        model = Architecture(name, options, INPUTS, OUTPUTS, context=8, covers=True).build()
        export_onnx(model, INPUTS, folder / f"{name}.onnx")
        found.append(onnx.load(str(folder / f"{name}.onnx")))
    return found


def verdict(data: bytes) -> str:
    """Return what the check says of a file."""
    try:
        checked, _ = read_onnx(data)
    except SubmissionError:
        return "refused"
    foreign = foreign_parts(data) or foreign_parts(checked.SerializeToString())
    return "ACCEPTED WITH FOREIGN PARTS" if foreign else "accepted"


def outcome(data: bytes) -> str:
    """Return what becomes of an accepted file in its process."""
    try:
        with RemoteModel(data, INPUTS, OUTPUTS, limits=LIMITS, sandbox=False) as remote:
            remote.hidden(torch.zeros(2, 3, dtype=torch.long))
    except (SubmissionError, CellError) as error:
        ended = "the model's process" in str(error)
        return "run: its process was ended" if ended else "run: refused by the runtime"
    return "run: outputs"


def main(files: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        secret = folder / "secret.bin"
        secret.write_bytes(bytes(range(64)))
        os.chdir(folder)
        sources = models(folder)
        counts: Counter[str] = Counter()
        with watched(secret) as opened:
            for number in range(files):
                rng = np.random.default_rng([seed, number])
                data = mutated(sources[number % len(sources)], secret, rng)
                found = verdict(data)
                counts[found] += 1
                if found == "accepted" and counts[found] % RUN == 0:
                    counts[outcome(data)] += 1
                if number % 1000 == 999:
                    say(f"{number + 1:,} files: {dict(counts)}")
            reads = opened()
    say(f"{machine()}; the watched file was {'OPENED' if reads else 'not opened'}")
    say(tabulate(sorted(counts.items()), ("outcome", "files"), "github", intfmt=","))


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*(numbers + [20_000, 0][len(numbers) :]))
