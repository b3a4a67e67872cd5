"""Training against two published loops: seconds of a step, and the loss that the steps lead to.

Words: two LSTM layers of 200 on WikiText-2, batch 20, 35 words a step, as in PyTorch's example of a
word language model. Copy memory: a TCN of 8 levels on T = 1000, batch 32, as published with the
TCN. Each against the suite's training in float32 and in bfloat16. For every seed all are trained
side by side and take turns, a few steps each, so that other work on the machine slows all alike; a
ratio is of neighbouring turns. The first turns are not timed. The published loops run in processes
of their own, as they would without the suite; with --together in the suite's, and as it is set up.

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
from racing import Elsewhere, Loop, Raced, SuiteLoop, race
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
WAYS = (PLAIN, *DTYPES)
SEGMENT = 35  # words that a lane reads in one step


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        before: steps on WikiText-2 that lead to the weights which all ways start from.
        words: steps on WikiText-2.
        copies: steps on copy memory.
        turn: steps that one way takes before it is the next one's turn.
        last: steps, the last ones, whose loss is averaged.
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
# The published loop has RMSprop at the same rate, which the suite does not offer.
COPIES = Recipe(
    steps=Size.copies, batch=32, k_train="full", learning_rate=5e-4, schedule="constant"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=("words", "copy"), default=("words", "copy"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it works")
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

    From the first weights the loss would stay at that of the words' frequencies, to leave it by
    chance: so the ways start from weights that have left it. A second plain loop from the same
    weights shows how far apart other draws of dropout alone bring two trainings.
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
    """Begin a published loop where it is to run."""
    return make() if size.together else Elsewhere(make, seed, device)


def word_loop(model: SequenceModel, task: Task, dtype: DType, seed: int, device: str) -> SuiteLoop:
    """Begin the suite's training on the training text, from its beginning."""
    order = torch.Generator().manual_seed(seed)
    cut = batches(task.train(seed, 0), WORDS.batch, SEGMENT, 0, order)
    return SuiteLoop(model, task, replace(WORDS, dtype=dtype), cut, device)


def plain_word_loop(start: SequenceModel, seed: int, device: str) -> PlainWordLoop:
    """Begin the plain training on the same text from the same weights."""
    task = load_task("wikitext-2")
    split = task.train(seed, 0)
    plain = PlainLSTM(task.outputs, size=200, layers=2, dropout=0.2).to(device)
    copy_weights(start, plain)
    return PlainWordLoop(
        plain,
        torch.cat([split.inputs, split.targets[-1:].to(split.inputs.dtype)]),
        batch=WORDS.batch,
        segment=SEGMENT,
        # The suite cuts lanes so that the last segment is whole; the first one is shorter.
        first=len(split.inputs) // WORDS.batch % SEGMENT or SEGMENT,
        learning_rate=WORDS.learning_rate,
        clip=WORDS.clip,
    )


def last_losses(raced: Raced, size: Size) -> dict[str, float]:
    """Give the mean training loss of each way's last steps."""
    return {name: statistics.fmean(found[-size.last :]) for name, found in raced.losses.items()}


def copies(seeds: list[int], size: Size, device: str) -> list[str]:
    """Train on copy memory, each way on the same sequences in its own form of input."""
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
    """Begin the plain training on the same sequences, all made before."""
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
    """Make a baseline as the suite does before it trains it."""
    with seeded(seed):
        model, _ = build_model(parse_model(name), task, "full", {})
    if (initial := task.initial_outputs()) is not None:
        model.start_from(initial)
    return model


def copy_weights(ours: SequenceModel, plain: PlainLSTM) -> None:
    """Give the plain model the weights of the suite's LSTM."""
    theirs = {"enter.embedding": "encoder", "layers": "layers", "leave": "decoder"}
    for own, other in theirs.items():
        plain.get_submodule(other).load_state_dict(ours.get_submodule(own).state_dict())


def whole_batches(task: Task, seed: int) -> Iterator[Batch]:
    """Give batches, epoch after epoch, without an epoch's last one where it is not whole."""
    for epoch in count():
        order = torch.Generator().manual_seed((seed << 20) + epoch)
        for batch in batches(task.train(seed, epoch), COPIES.batch, None, 0, order):
            if len(batch.inputs) == COPIES.batch:
                yield batch


def times(raced: list[Raced], per_step: int, what: str) -> str:
    """Lay out seconds, and how many times faster than the plain loop each way was."""
    seconds = {name: [s for one in raced for s in one.seconds[name]] for name in WAYS}
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
    headers = ["way", "step, ms", f"{what} / s", "times faster", "least", "most", "turns"]
    formats = ("", ",.1f", ",.0f", ".2f", ".2f", ".2f", "d")
    return tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=formats)


def losses(scores: list[dict[str, float]], seeds: list[int]) -> str:
    """Lay out losses by seed, and how far each is from the plain loop's of the same seed."""
    rows = []
    for name in scores[0]:
        own = [score[name] for score in scores]
        apart = [score[name] - score[PLAIN] for score in scores]
        spread = statistics.stdev(own) if len(own) > 1 else None
        by_seed = "" if name == PLAIN else " ".join(f"{value:+.4f}" for value in apart)
        mean = None if name == PLAIN else statistics.fmean(apart)
        rows.append([name, statistics.fmean(own), *own, mean, by_seed, spread])
    headers = [
        "way", "loss, nats", *(f"seed {seed}" for seed in seeds), "less plain", "by seed",
        "s.d. over seeds",
    ]  # fmt: skip
    signed = [headers.index("by seed")]
    return tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=".4f", disable_numparse=signed)


if __name__ == "__main__":
    main()
