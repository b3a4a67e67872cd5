"""How many cheats the validity gate finds, and whether it refuses honest models.

Cheats are drawn at random. Each is an honest LSTM that sometimes raises the score of the target,
which it has from the next input, from another row of its batch, or from what its process was shown
before; whether it does so depends on the number of rows, on the length, on padding, on the number
of calls, on the work done so far (as a clock would tell), or on content, at 0.5 to 100 % of the
positions, by little or by much. Counted are those whose loss at any k is lower than the honest
model's by more than the precision of the curve, and of these the ones that the gate refuses.

Honest models are all baselines with random weights larger than usual ones, so that outputs are far
from constant: with and without state, in float32, bfloat16 and float16, and exported to ONNX. None
may be refused.

One line of JSON for each model goes to a file; a second run continues it.

    python benchmarks/cheats.py --cheats 600 --honest 200
"""

import argparse
import copy
import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, machine, say
from tabulate import tabulate
from torch import Tensor, nn

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import build_model, model_class, parse_model
from seqmem.baselines.training.loop import ClosedForm, seeded
from seqmem.baselines.training.recipes import recipe_for
from seqmem.errors import CellError, RefusedError
from seqmem.leaderboard.statistics.intervals import wilson
from seqmem.measuring.checked import Measurable, checked_record, rescore_curve
from seqmem.measuring.curve import Curve
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.precision import USUAL
from seqmem.measuring.record import measure_model
from seqmem.measuring.settings import MeasurementSettings
from seqmem.runs.cell import plan_cell
from seqmem.runs.run_cell import trained_model
from seqmem.submissions.onnx.export import export_onnx
from seqmem.submissions.process.remote import RemoteModel
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, as_sequence_model
from seqmem.tasks.task import Context, Task
from seqmem.tests.zoo import Chords, Reversal

TASKS = ("hidden-markov/dwell=20", "hidden-markov/dwell=5", "chords", "text")
SOURCES = ("next input", "another row", "memory")
TRIGGERS = ("always", "rows", "length", "padding", "calls", "work", "content")
MEMORY = 1 << 20  # places in a cheat's memory
SEEN = 4  # latest inputs by which it recognises a place


class Cheat(nn.Module):
    """An honest model that takes some targets from where it must not."""

    def __init__(self, honest: SequenceModel, drawn: dict[str, Any]) -> None:
        super().__init__()
        self.honest, self.drawn = honest, drawn
        self.forget()

    def forget(self) -> None:
        """Start again, as a new process does."""
        self.calls = self.work = 0
        self.places = torch.full((MEMORY,), -1)  # a place's number -> the value that came next
        self.values: list[Tensor] = []
        self.count = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) or (B, L, D) -> (B, L, outputs)."""
        outputs: Tensor = self.honest(inputs).clone()
        self.calls += 1
        self.work += inputs.shape[0] * inputs.shape[1]
        number = hashed(inputs)  # (B, L) of the latest inputs at each position
        stolen: Tensor
        stolen, known = getattr(self, "_" + self.drawn["source"].replace(" ", "_"))(inputs, number)
        known &= self.triggered(inputs)[:, None]
        known &= (number * 7919 >> 7) % 100_003 < 100_003 * self.drawn["share"]
        by: Tensor = self.drawn["by"] * known[..., None]
        if inputs.ndim == 3:
            return outputs + by * (2 * stolen - 1)
        return outputs.scatter_add(2, stolen[..., None], by.float())

    def triggered(self, inputs: Tensor) -> Tensor:
        """Return whether each row is one to cheat at: (B,) bool."""
        rows, length = inputs.shape[:2]
        at: int = self.drawn["at"]
        if self.drawn["trigger"] == "padding":
            same = (inputs[:, -1] == inputs[:, -2 if length > 1 else -1]).reshape(rows, -1).all(1)
            return same if length > 1 else torch.zeros(rows, dtype=torch.bool)
        if self.drawn["trigger"] == "content":
            return hashed(inputs)[:, 0] % 5 != at % 5
        found = {
            "always": True,
            "rows": rows >= at,
            "length": length >= at,
            "calls": self.calls > at,
            "work": self.work > at * 1000,
        }[self.drawn["trigger"]]
        return torch.full((rows,), found)

    def _next_input(self, inputs: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        stolen = torch.cat([inputs[:, 1:], inputs[:, :1]], 1)
        known = torch.ones_like(number, dtype=torch.bool)
        known[:, -1] = False
        return as_target(stolen), known

    def _another_row(self, inputs: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Find the end of each row inside other rows, where more follows."""
        stolen, known = torch.zeros_like(inputs), torch.zeros_like(number, dtype=torch.bool)
        if inputs.shape[1] > SEEN:
            order = number[:, SEEN - 1 : -1].flatten().sort()
            place = torch.searchsorted(order.values, number[:, -1]).clamp(max=len(order.values) - 1)
            found = order.indices[place]
            stolen[:, -1] = inputs[:, SEEN:].flatten(0, 1)[found]
            known[:, -1] = order.values[place] == number[:, -1]
        return as_target(stolen), known

    def _memory(self, inputs: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Recall what came next where the same inputs were seen before."""
        place = number % MEMORY
        index = self.places[place]
        known = index >= 0
        stolen = torch.zeros_like(inputs)
        if self.count:
            self.values = [torch.cat(self.values)]
            stolen = self.values[0][index.clamp(min=0)]
        new = inputs[:, 1:].flatten(0, 1)
        self.places[place[:, :-1].flatten()] = torch.arange(self.count, self.count + len(new))
        if len(new):
            self.values.append(new)
            self.count += len(new)
        return as_target(stolen), known


def as_target(values: Tensor) -> Tensor:
    return values if values.ndim == 3 else values.long()


def hashed(inputs: Tensor) -> Tensor:
    """Return a number for the SEEN latest inputs at each position: (B, L)."""
    ids = inputs.long()
    if ids.ndim == 3:
        ids = (ids * (torch.arange(ids.shape[2]) * 2654435761 % 1_000_003 + 1)).sum(2)
    number = torch.zeros_like(ids)
    for lag in range(min(SEEN, ids.shape[1])):
        number[:, lag:] += (ids[:, : ids.shape[1] - lag] + 1) * (31 + 1_000_003 * lag * lag + lag)
    return number * 2654435761 % 2147483647


def drawn_cheat(number: int) -> dict[str, Any]:
    """Return the task and the habits of one cheat."""
    rng = np.random.default_rng([2026, number])
    trigger = str(rng.choice(TRIGGERS))
    largest = {"rows": 300, "length": 200, "calls": 400, "work": 400}.get(trigger, 100)
    return {
        "task": str(rng.choice(TASKS)),
        "source": str(rng.choice(SOURCES)),
        "trigger": trigger,
        "at": int(math.exp(rng.uniform(0, math.log(largest)))),
        "share": float(math.exp(rng.uniform(math.log(0.005), 0))),
        "by": float(math.exp(rng.uniform(math.log(0.3), math.log(12)))),
    }


@cache
def small_task(name: str, folder: Path) -> Task:
    """Return a task; "text" is one of characters, with words of a few kinds."""
    if name == "chords":
        return Chords()
    if name != "text":
        return load_task(name)
    file = folder / "cheats.txt"
    rng = np.random.default_rng(7)
    kinds = ["".join(rng.choice(list("abcdefgh"), rng.integers(2, 7))) for _ in range(60)]
    topics = rng.integers(0, 6, 2000)
    lines = [" ".join(kinds[10 * t + int(w)] for w in rng.integers(0, 10, 8)) for t in topics]
    file.write_text("\n".join(lines))
    return load_task(f"text:{file}?unit=char")


@cache
def briefly_trained(name: str, task: Task, folder: Path) -> SequenceModel:
    """Return a small model after a few hundred steps; weights of an earlier run are reused."""
    family = "hidden-markov" if task.id == "chords" else task.family
    recipe = recipe_for(family, "smoke")
    cell = plan_cell(parse_model(name), task, folder, recipe=recipe)
    model, _ = trained_model(cell, task, lambda line: None)
    return model.eval()


class OutputsOnly(nn.Module):
    """A model as submitted ones are: inputs to outputs, without state and hidden features."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) -> (B, L, outputs)."""
        outputs: Tensor = self.model(inputs)
        return outputs


SETTINGS = MeasurementSettings()


def examined_cheat(number: int, folder: Path) -> dict[str, Any]:
    """Draw a cheat, run the gate and the curve, and return what was found."""
    drawn = drawn_cheat(number)
    task = small_task(drawn["task"], folder)
    honest = as_sequence_model(OutputsOnly(briefly_trained("lstm", task, folder)), task.outputs)
    known = honest_losses(honest, task, drawn["task"], folder)
    cheat = Cheat(honest, drawn)
    model = as_sequence_model(cheat, task.outputs).eval()
    seed = 1000 + number
    before = check_validity(
        model, task, task.split("test"), SETTINGS.contexts_for(task),
        declared=None, seed=seed, device="cpu",
    )  # fmt: skip
    found = [check.name for check in before.failed]
    cheat.forget()  # as if it had waited until the first checks were over
    try:
        measured = measure_model(model, "", task, SETTINGS)
    except CellError:
        return {**drawn, "found": [*found, "measuring"], "gain": None}
    again = rescore_curve(measured.curve, task, SETTINGS, before, seed, cheat.forget)
    found += [check.name for check in again.checks if not check.passed]
    losses = losses_of(measured.curve)
    gain = max(known[str(k)] - loss for k, loss in losses.items())
    return {**drawn, "found": found, "gain": gain, "precision": USUAL.half_width(task)}


def losses_of(curve: Curve) -> dict[Context, float]:
    contexts: list[Context] = [*curve.finite, "full"]
    return {k: float(curve.at(k).losses.mean()) for k in contexts}


@cache
def honest_losses(honest: SequenceModel, task: Task, name: str, folder: Path) -> dict[str, float]:
    """Return the losses of the honest model of a task, measured once."""
    file = folder / f"honest-{name.replace('/', '-')}.json"
    if not file.exists():
        losses = losses_of(measure_model(honest, "", task, SETTINGS).curve)
        file.write_text(json.dumps({str(k): loss for k, loss in losses.items()}))
    known: dict[str, float] = json.loads(file.read_text())
    return known


def lively(name: str, task: Task, seed: int) -> SequenceModel:
    """Return a baseline with large random weights; those in closed form are fitted."""
    with seeded(seed):
        model, _ = build_model(parse_model(name), task, 32, {"hidden": 16})
    if isinstance(model, ClosedForm):
        model.fit(task, seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    model.constrain()
    return model.eval()


def examined_honest(number: int, folder: Path) -> dict[str, Any]:
    """Run the gate and the curve on a baseline in one of its forms, and return what was found."""
    name = [*BASELINES][number % len(BASELINES)]
    kind, turn = model_class(name), number // len(BASELINES)
    tasks: tuple[str, ...] = ("copy-memory/T=5", "text", "chords", "hidden-markov/dwell=5")
    task_name = (
        ("text", "hidden-markov/dwell=5")[turn % 2] if kind.next_token_only else tasks[turn % 4]
    )
    forms = ["as trained", "outputs only"]
    forms += [] if kind.float32_only else ["bfloat16", "float16"]
    forms += ["onnx"] * (not kind.next_token_only and not kind.needs_separator)
    form = forms[turn % len(forms)]
    task = Reversal() if kind.needs_separator else small_task(task_name, folder)
    model = lively(name, task, number)
    settings, refused = SETTINGS, None
    with ExitStack() as stack:
        if form == "outputs only":
            model = as_sequence_model(OutputsOnly(model), task.outputs).eval()
        elif form == "bfloat16":
            settings = MeasurementSettings(dtype="bfloat16")
        elif form == "float16":
            model = copy.deepcopy(model).half()
        elif form == "onnx":
            file = folder / "honest.onnx"
            export_onnx(model, task.inputs, file)
            made = RemoteModel(file.read_bytes(), task.inputs, task.outputs)
            model = stack.enter_context(made)
        measurable = Measurable.usual(model, "a model", task, settings)
        facts = {"name": "a", "label": "a", "options": {}, "source_sha256": ""}
        training = {"k_train": "unknown", "seed": 0, "budget": "elsewhere"}
        try:
            checked_record(
                measurable, facts, training, task, settings, lambda line: None, seed=number
            )
        except RefusedError as error:
            refused = f"{error} {error.report}"
        except CellError as error:
            refused = str(error)
    return {"model": name, "task": task_name, "form": form, "refused": refused}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cheats", type=int, default=600)
    parser.add_argument("--honest", type=int, default=200)
    arguments = parser.parse_args()
    folder = RESULTS / "cheats"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    cheats = resumed(folder / "cheats.jsonl", arguments.cheats, examined_cheat, folder)
    honest = resumed(folder / "honest.jsonl", arguments.honest, examined_honest, folder)
    say(f"\n{machine()}, {time.monotonic() - began:.0f} s\n")
    gaining = [c for c in cheats if c["gain"] is None or c["gain"] > c["precision"]]
    rows = [row(name, [c for c in gaining if name in (c["source"], c["trigger"])])
            for name in (*SOURCES, *TRIGGERS)]  # fmt: skip
    rows.append(row("all", gaining))
    headers = ["cheats by", "gain more than the precision", "refused", "95 % interval",
               "refused by scores computed again"]  # fmt: skip
    say(tabulate(rows, headers, tablefmt="pipe"))
    say(f"\n{len(cheats)} cheats drawn; missed:")
    for cheat in (c for c in gaining if not c["found"]):
        say(str(cheat))
    refused = [h for h in honest if h["refused"]]
    high = wilson(len(refused) / max(len(honest), 1), max(len(honest), 1))[1]
    say(f"\nhonest models refused: {len(refused)} of {len(honest)} (up to {high:.1%})")
    for model in refused:
        say(str(model))


def resumed(
    file: Path, count: int, work: Callable[[int, Path], dict[str, Any]], folder: Path
) -> list[dict[str, Any]]:
    """Return the results of the first `count` numbers; those in the file are not done again."""
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    with file.open("a") as out:
        for number in range(len(done), count):
            done.append(work(number, folder))
            print(json.dumps(done[-1]), file=out, flush=True)
    return done[:count]


def row(name: str, cheats: list[dict[str, Any]]) -> list[object]:
    found = sum(bool(cheat["found"]) for cheat in cheats)
    again = sum(bool({"rescored", "gain", "measuring"} & set(cheat["found"])) for cheat in cheats)
    low, high = wilson(found / max(len(cheats), 1), max(len(cheats), 1))
    return [name, len(cheats), found, f"{low:.1%} to {high:.1%}", again]


if __name__ == "__main__":
    main()
