"""Training steps per second of every baseline, against the LSTM and the Transformer of equal size.

All models have the same number of parameters within 5 %, and take the same steps: hidden Markov
topics, 64 sequences side by side, 64 inputs a step, with the backward pass and Adam. They run
alternately, a few steps at a time, so that other load on the machine affects all equally; ratios
are those of neighbouring turns. The first turns are not timed.

Layers of mambapy, x-transformers and minGRU-pytorch are raced where they are installed, each as
seqmem trains a class of one's own.

    python benchmarks/model_speed.py [--models NAME ...] [--match parameters=100k] [--steps 60]
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from itertools import count
from typing import Any

import torch
from common import machine, say, timed
from racing import Loop, Raced, SuiteLoop, race
from tabulate import tabulate
from torch import Tensor, nn

from seqmem.baselines import BASELINES
from seqmem.baselines.match import matched, parameters_of, parse_match
from seqmem.baselines.own.spec import model_spec
from seqmem.baselines.spec import ModelSpec, build_model, model_class, parse_model
from seqmem.baselines.training.batches import Batch, batches
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.training.process import set_up_process
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import InputError
from seqmem.tasks import load_task
from seqmem.tasks.task import Task, Tokens

TASK = "hidden-markov/dwell=20"
AGAINST = ("lstm", "transformer")  # the two that every other model is compared with
LAYERS, HEADS = 2, 4


class MambaPy(nn.Module):
    """mambapy's Mamba block, as a mixer."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        package: Any = import_module("mambapy.mamba")
        self.block = package.MambaBlock(package.MambaConfig(d_model=d_model, n_layers=1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, d_model) -> (B, L, d_model)."""
        mixed: Tensor = self.block(features)
        return mixed


class MinGRUPyTorch(nn.Module):
    """minGRU-pytorch's layer, as a mixer."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        package: Any = import_module("minGRU_pytorch")
        self.layer = package.minGRU(d_model)

    def forward(self, features: Tensor) -> Tensor:
        """(B, L, d_model) -> (B, L, d_model)."""
        mixed: Tensor = self.layer(features)
        return mixed


class XTransformers(nn.Module):
    """x-transformers' decoder with rotary positions, a whole model."""

    def __init__(self, inputs: Tokens, outputs: int, hidden: int = 128) -> None:
        super().__init__()
        package: Any = import_module("x_transformers")
        # Its heads have 64 features each, whatever the width; here all heads together have it.
        size = 2 * -(-hidden // (2 * HEADS))
        decoder = package.Decoder(
            dim=hidden, depth=LAYERS, heads=HEADS, attn_dim_head=size, rotary_pos_emb=True
        )
        self.enter = nn.Embedding(inputs.vocabulary, hidden)
        self.decoder, self.leave = decoder, nn.Linear(hidden, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) ids -> (B, L, outputs)."""
        scores: Tensor = self.leave(self.decoder(self.enter(inputs.long())))
        return scores


# The package, its class here, what kind of class it is, and the baseline that it is to be
# compared with.
OUTSIDE: tuple[tuple[str, type[nn.Module], Any, str], ...] = (
    ("mambapy", MambaPy, "mixer", "mamba"),
    ("minGRU_pytorch", MinGRUPyTorch, "mixer", "min-gru"),
    ("x_transformers", XTransformers, "model", "transformer"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    trained = [name for name in BASELINES if not hasattr(model_class(name), "fit")]
    parser.add_argument("--models", nargs="+", default=trained)
    parser.add_argument("--match", default="parameters=100k")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--turn", type=int, default=3, help="steps of one model before the next")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    set_up_process()
    task = load_task(TASK)
    specs = {name: parse_model(name) for name in dict.fromkeys((*AGAINST, *given.models))}
    loops: dict[str, Loop] = {}
    sizes: dict[str, int | None] = {}
    for name, spec in (specs | outside()).items():
        try:
            loops[name], sizes[name] = loop_of(spec, task, given.match, given.device, given.steps)
        except InputError as error:
            say(f"{name} is left out: {error}")
    seconds, raced = timed(lambda: race(loops, given.steps, given.turn, 0, given.device))
    say(f"\n{TASK}, {given.match}, {given.device}, {machine()}, {seconds:.0f} s\n")
    say(report(raced, sizes))


def outside() -> dict[str, ModelSpec]:
    """Return the models of packages that are installed."""
    found = {}
    for package, made, kind, beside in OUTSIDE:
        try:
            import_module(package)
        except ImportError as error:
            say(f"{package} is left out: {error}")
            continue
        found[f"{package} ({beside})"] = model_spec(made, kind)
    return found


def loop_of(
    spec: ModelSpec, task: Task, match: str, device: str, steps: int
) -> tuple[SuiteLoop, int | None]:
    """Return a model's training and its number of parameters.

    Raises:
        InputError: it cannot be so large.
    """
    recipe = replace(recipe_for(task.family, "small"), steps=steps, schedule="constant")
    spec = matched(spec, task, recipe.k_train, {}, parse_match(match))
    with seeded(0):
        model, _ = build_model(spec, task, recipe.k_train, {})
    assert isinstance(recipe.k_train, int)
    cut = segments(task, recipe.batch, recipe.k_train)
    return SuiteLoop(model.to(device), task, recipe, cut, device), parameters_of(model)


def segments(task: Task, size: int, segment: int) -> Iterator[Batch]:
    """Yield whole batches, epoch after epoch, the same for every model."""
    for epoch in count():
        order = torch.Generator().manual_seed(epoch)
        for batch in batches(task.train(0, epoch), size, segment, 0, order):
            if len(batch.inputs) == size and batch.inputs.shape[1] == segment:
                yield batch


def report(raced: Raced, sizes: dict[str, int | None]) -> str:
    """Return a table of steps per second, and of ratios in neighbouring turns."""
    rows = []
    for name, own in raced.seconds.items():
        row: list[object] = [name, sizes[name], 1 / statistics.median(own)]
        for other in AGAINST:
            ratios = [a / b for a, b in zip(raced.seconds[other], own, strict=True)]
            row += [statistics.median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"]
        rows.append(row)
    compared: Callable[[str], list[str]] = lambda other: [f"× {other}", "least to most"]  # noqa: E731
    headers = ["model", "parameters", "steps / s", *(h for each in AGAINST for h in compared(each))]
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=("", ",", ".1f", ".2f", "", ".2f", ""))


if __name__ == "__main__":
    main()
