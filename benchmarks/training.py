"""Training compared with two published loops: seconds of a step, and the training loss.

Words: two LSTM layers of 200 on WikiText-2, batch 20, 35 words a step, as in PyTorch's example of a
word language model. Copy memory: a TCN of 8 levels on T = 1000, batch 32, as published with the
TCN. Each is compared with seqmem's training in float32 and in bfloat16. For every seed all loops
run alternately, a few steps at a time, so that other load on the machine affects all equally;
ratios are those of neighbouring turns. The first turns are not timed. The published loops run in
separate processes, as they would without seqmem; with --together they run in seqmem's process with
its settings.

    python benchmarks/training.py [--only words copy] [--seeds 0 1 2] [--together] [--quick]
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from typing import Literal

import torch
from common import machine, say, timed
from plain_loops import PlainCopyLoop, PlainLSTM, PlainTCN, PlainWordLoop
from racing import InProcess, Loop, Raced, SuiteLoop, race
from tabulate import tabulate

from seqmem.baselines.spec import build_model, parse_model
from seqmem.baselines.training.batches import Batch, batches
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.process import set_up_process
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

PLAIN, AGAIN = "plain loop", "plain loop, again"
DType = Literal["float32", "bfloat16"]
DTYPES: tuple[DType, ...] = ("float32", "bfloat16")
LOOPS = (PLAIN, *DTYPES)
SEGMENT = 35  # words that a lane reads in one step


@dataclass(frozen=True)
class Size:
    """The amount of work.

    Attributes:
        before: steps on WikiText-2 that produce the initial weights of all loops.
        words: steps on WikiText-2.
        copies: steps on copy memory.
        turn: steps of one loop before the next one runs.
        last: number of last steps whose loss is averaged.
        together: whether the published loops run in this process.
    """

    before: int = 1000
    words: int = 150
    copies: int = 200
    turn: int = 5
    last: int = 50
    together: bool = False


QUICK = Size(before=2, words=6, copies=6, turn=2, last=2)

WORDS = Recipe(
    steps=Size.words,
    batch=20,
    k_train=SEGMENT,
    learning_rate=20.0,
    optimizer="sgd",
    schedule="constant",
    clip=0.25,
)
# The published loop uses RMSprop at the same rate, which seqmem does not have.
COPIES = Recipe(
    steps=Size.copies, batch=32, k_train="full", learning_rate=5e-4, schedule="constant"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=("words", "copy"), default=("words", "copy"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="a few steps, to test the script")
    parser.add_argument("--together", action="store_true", help="all loops in one process")
    arguments = parser.parse_args()
    size = replace(QUICK if arguments.quick else Size(), together=arguments.together)
    set_up_process()
    device = torch.device(arguments.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    for name in arguments.only:
        seconds, tables = timed(
            lambda: (words if name == "words" else copies)(arguments.seeds, size, str(device))  # noqa: B023
        )
        say(f"\n{name}, {machine()}, {where}, {seconds:.0f} s\n")
        for table in tables:
            say(table + "\n")


def words(seeds: list[int], size: Size, device: str) -> list[str]:
    """Train on WikiText-2 from the same weights on the same batches.

    From random weights the loss stays at that of word frequencies for a random number of steps, so
    that all loops start from weights that are better than that. A second plain loop from the same
    weights shows the effect of other dropout masks alone.
    """
    task = load_task("wikitext-2")
    raced, scores = [], []
    for seed in seeds:
        start = suite_model("lstm:hidden=200,layers=2,dropout=0.2", task, seed).to(device)
        with seeded(seed):
            word_loop(start, task, "bfloat16", seed, device).run(size.before)
        make = partial(plain_word_loop, start, seed, device)
        loops = {
            name: published(make, own, device, size)
            for own, name in ((seed, PLAIN), (~seed, AGAIN))
        }
        for dtype in DTYPES:
            loops[dtype] = word_loop(deepcopy(start), task, dtype, seed, device)
        raced.append(race(loops, size.words, size.turn, seed, device))
        scores.append(last_losses(raced[-1], size))
        say(f"words, seed {seed}: {scores[-1]}")
    return [times(raced, WORDS.batch * SEGMENT, "words"), losses(scores, seeds)]


def published(make: Callable[[], Loop], seed: int, device: str, size: Size) -> Loop:
    """Return a published loop in its process."""
    return make() if size.together else InProcess(make, seed, device)


def word_loop(model: SequenceModel, task: Task, dtype: DType, seed: int, device: str) -> SuiteLoop:
    """Return seqmem's loop on the training text, from its beginning."""
    order = torch.Generator().manual_seed(seed)
    cut = batches(task.train(seed, 0), WORDS.batch, SEGMENT, 0, order)
    return SuiteLoop(model, task, replace(WORDS, dtype=dtype), cut, device)


def plain_word_loop(start: SequenceModel, seed: int, device: str) -> PlainWordLoop:
    """Return the plain loop on the same text from the same weights."""
    task = load_task("wikitext-2")
    split = task.train(seed, 0)
    plain = PlainLSTM(task.outputs, size=200, layers=2, dropout=0.2).to(device)
    copy_weights(start, plain)
    return PlainWordLoop(
        plain,
        torch.cat([split.inputs, split.targets[-1:].to(split.inputs.dtype)]),
        batch=WORDS.batch,
        segment=SEGMENT,
        # seqmem cuts lanes so that only the first segment may be shorter.
        first=len(split.inputs) // WORDS.batch % SEGMENT or SEGMENT,
        learning_rate=WORDS.learning_rate,
        clip=WORDS.clip,
    )


def last_losses(raced: Raced, size: Size) -> dict[str, float]:
    """Return the mean training loss of each loop's last steps."""
    return {name: statistics.fmean(found[-size.last :]) for name, found in raced.losses.items()}


def copies(seeds: list[int], size: Size, device: str) -> list[str]:
    """Train on copy memory, all loops on the same sequences in their own input format."""
    task = load_task("copy-memory/T=1000")
    raced, scores = [], []
    for seed in seeds:
        loops: dict[str, Loop] = {}
        for dtype in DTYPES:
            model = suite_model("tcn:hidden=10,kernel=8,levels=8", task, seed).to(device)
            recipe = replace(COPIES, dtype=dtype)
            loops[dtype] = SuiteLoop(model, task, recipe, whole_batches(task, seed), device)
        make = partial(plain_copy_loop, size.copies, seed, device)
        loops[PLAIN] = published(make, seed, device, size)
        raced.append(race(loops, size.copies, size.turn, seed, device))
        scores.append(last_losses(raced[-1], size))
        say(f"copy memory, seed {seed}: {scores[-1]}")
    positions = next(whole_batches(task, 0)).inputs.numel()
    return [times(raced, positions, "positions"), losses(scores, seeds)]


def plain_copy_loop(steps: int, seed: int, device: str) -> PlainCopyLoop:
    """Return the plain loop on the same sequences, all generated before."""
    task = load_task("copy-memory/T=1000")
    with seeded(seed):
        plain = PlainTCN(task.outputs, channels=10, kernel=8, levels=8).to(device)
    ready = [
        (
            batch.inputs.float().to(device),
            batch.targets.view(batch.inputs.shape).long().to(device),
        )
        for batch in islice(whole_batches(task, seed), steps)
    ]
    return PlainCopyLoop(plain, iter(ready), learning_rate=COPIES.learning_rate, clip=COPIES.clip)


def suite_model(name: str, task: Task, seed: int) -> SequenceModel:
    """Return a baseline as before its training."""
    with seeded(seed):
        model, _ = build_model(parse_model(name), task, "full", {})
    if (initial := task.initial_outputs()) is not None:
        model.start_from(initial)
    return model


def copy_weights(ours: SequenceModel, plain: PlainLSTM) -> None:
    """Copy the weights of seqmem's LSTM to the plain model."""
    theirs = {"enter.embedding": "encoder", "layers": "layers", "leave": "decoder"}
    for own, other in theirs.items():
        plain.get_submodule(other).load_state_dict(ours.get_submodule(own).state_dict())


def whole_batches(task: Task, seed: int) -> Iterator[Batch]:
    """Yield batches, epoch after epoch, without incomplete ones at the end of an epoch."""
    for epoch in count():
        order = torch.Generator().manual_seed((seed << 20) + epoch)
        for batch in batches(task.train(seed, epoch), COPIES.batch, None, 0, order):
            if len(batch.inputs) == COPIES.batch:
                yield batch


def times(raced: list[Raced], per_step: int, what: str) -> str:
    """Return a table of seconds and of speed-ups over the plain loop."""
    seconds = {name: [s for one in raced for s in one.seconds[name]] for name in LOOPS}
    rows = []
    for name, own in seconds.items():
        median = statistics.median(own)
        ratios = [plain / other for plain, other in zip(seconds[PLAIN], own, strict=True)]
        rows.append(
            [
                name, 1000 * median, per_step / median,
                statistics.median(ratios), min(ratios), max(ratios), len(own),
            ]
        )  # fmt: skip
    headers = ["loop", "step, ms", f"{what} / s", "times faster", "least", "most", "turns"]
    formats = ("", ",.1f", ",.0f", ".2f", ".2f", ".2f", "d")
    return tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=formats)


def losses(scores: list[dict[str, float]], seeds: list[int]) -> str:
    """Return a table of losses by seed and their differences to the plain loop."""
    rows = []
    for name in scores[0]:
        own = [score[name] for score in scores]
        differences = [score[name] - score[PLAIN] for score in scores]
        spread = statistics.stdev(own) if len(own) > 1 else None
        by_seed = "" if name == PLAIN else " ".join(f"{value:+.4f}" for value in differences)
        mean = None if name == PLAIN else statistics.fmean(differences)
        rows.append([name, statistics.fmean(own), *own, mean, by_seed, spread])
    headers = [
        "loop", "loss, nats", *(f"seed {seed}" for seed in seeds), "less plain", "by seed",
        "s.d. over seeds",
    ]  # fmt: skip
    signed = [headers.index("by seed")]
    return tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=".4f", disable_numparse=signed)


if __name__ == "__main__":
    main()
