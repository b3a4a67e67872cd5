"""The cost of the validity gate, relative to the curve that is measured after it.

Trained models, and the curve that `seqmem eval` measures: the task's own k and full, to ±0.5 % of
the way from chance to the optimum, or of the perplexity. The checks before the curve, the curve and
the scores computed again after it run one after the other in this process, a few times; times are
those of the processor. Each model is measured a second time without state and hidden
features, as submitted models are. With --seeds N, the script also prints the share of N seeds for
which the gate refuses a model that reads the next input at one position in fifty, chosen by its
content or by its number.

    python benchmarks/gate.py [--tasks hidden-markov/dwell=20 wikitext-2] [--models lstm tcn]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from common import machine, say, trained
from tabulate import tabulate
from torch import Tensor, nn

from seqmem.measuring.checked import rescore_curve
from seqmem.measuring.curve import measure
from seqmem.measuring.gate.model_checks import check_validity
from seqmem.measuring.gate.report import report_text
from seqmem.measuring.precision import USUAL
from seqmem.measuring.settings import MeasurementSettings
from seqmem.tasks.model import SequenceModel, as_sequence_model
from seqmem.tasks.task import Context, Task


class FullOnly(nn.Module):
    """A model as submitted ones are: inputs to outputs, without state and hidden features."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) -> (B, L, outputs)."""
        outputs: Tensor = self.model(inputs)
        return outputs


class PeekingOnly(FullOnly):
    """The same model, with a higher score of the next input at some positions."""

    def __init__(self, model: SequenceModel, where: Callable[[Tensor], Tensor]) -> None:
        super().__init__(model)
        self.where = where

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, L) -> (B, L, outputs)."""
        outputs = super().forward(inputs)
        later = F.one_hot(inputs[:, 1:].long(), outputs.shape[-1])
        outputs[:, :-1] += later * self.where(inputs)[:, :-1, None]
        return outputs


def by_content(inputs: Tensor) -> Tensor:
    """Return one position in fifty, by its last two inputs: (B, L) bool."""
    before = F.pad(inputs[:, :-1], (1, 0))
    return (inputs.long() * 31 + before.long() * 17) % 50 == 7


def by_number(inputs: Tensor) -> Tensor:
    """Return one position in fifty, by its number: (B, L) bool."""
    return (torch.arange(inputs.shape[1]) % 50 == 49).expand(inputs.shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=["hidden-markov/dwell=20"])
    parser.add_argument("--models", nargs="+", default=["lstm", "tcn"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=0, help="seeds of the test for rare peeking")
    arguments = parser.parse_args()
    rows = []
    for task_id in arguments.tasks:
        for name in arguments.models:
            model, task = trained(name, task_id)
            for label, measured in (
                (name, model),
                (f"{name}, outputs only", as_sequence_model(FullOnly(model).eval())),
            ):
                rows.append([task_id, label, *cost(measured, task, arguments.repeats)])
                say(str(rows[-1]))
            if arguments.seeds:
                for kind in (by_content, by_number):
                    seen = peeking_seen(model, task, kind, arguments.seeds)
                    say(f"{name}: peeking at one in fifty {kind.__name__}: {seen:.1%} refused")
    headers = [
        "task",
        "model",
        "curve, s",
        "gate, s",
        "with gate / without",
        "declared",
        "measured",
    ]
    say(f"\n{machine()}\n")
    say(tabulate(rows, headers=headers, tablefmt="pipe", floatfmt=",.3g"))


def cost(model: SequenceModel, task: Task, repeats: int) -> list[object]:
    """Return the median times of curve and gate, run in turn, and the gate's findings."""
    split = task.split("test")
    contexts: list[Context] = [*task.contexts, "full"]
    precision = USUAL.half_width(task)
    curves, gates = [], []
    settings = MeasurementSettings()
    for seed in range(repeats):
        times = [time.process_time()]
        report = check_validity(
            model,
            task,
            split,
            contexts,
            declared=model.receptive_field,
            seed=seed,
            device="cpu",
        )
        times.append(time.process_time())
        curve = measure(model, task, split, contexts, precision=precision, seed=seed)
        times.append(time.process_time())
        rescore_curve(curve, task, settings, report, seed, lambda: None)
        times.append(time.process_time())
        before, plain, after = np.diff(times)
        curves.append(plain)
        gates.append(before + after)
        if not report.passed:
            say(report_text(report))
    paired = [1 + gate / curve for gate, curve in zip(gates, curves, strict=True)]
    return [
        f"{np.median(curves):.2f}",
        f"{np.median(gates):.2f}",
        f"{np.median(paired):.2f}",
        report.declared_context,
        report.measured_context,
    ]


def peeking_seen(
    model: SequenceModel, task: Task, where: Callable[[Tensor], Tensor], seeds: int
) -> float:
    """Return the share of seeds for which a model that peeks is refused."""
    split = task.split("test")
    contexts: list[Context] = [*task.contexts, "full"]
    cheat = as_sequence_model(PeekingOnly(model, where).eval())
    seen = 0
    for seed in range(seeds):
        report = check_validity(
            cheat, task, split, contexts, declared=None, seed=seed, device="cpu"
        )
        seen += "causality" in {check.name for check in report.failed}
    return seen / seeds


if __name__ == "__main__":
    main()
