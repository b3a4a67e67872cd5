"""Checks that every task must pass."""

from collections.abc import Mapping

import numpy as np
import torch

from seqmem.baselines.marginal import Marginal
from seqmem.errors import InputError
from seqmem.leaderboard.statistics.intervals import block_mean, group_blocks
from seqmem.measuring.curve import measure
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Context, Split, Task, Tokens
from seqmem.testing.rules import require

__all__ = ["check_chance", "check_scores", "check_task"]

GROUPS = 100  # of dependent targets, for standard errors


def check_task(task: Task) -> None:
    """Raise an error unless a task keeps the contract of `Task` and `Split`.

    Splits are well-formed and reproducible, context lengths ascend from 1 to the longest, the
    optimum does not increase with context and is at most chance.

    Raises:
        AssertionError: a rule is broken.
    """
    for name, split, again in (
        ("valid", task.split("valid"), task.split("valid")),
        ("test", task.split("test"), task.split("test")),
        *_training_splits(task),
    ):
        _check_split(task, name, split)
        require(split.fingerprint() == again.fingerprint(), f"{name}: the same data every time")
    require(task.constant().shape == (task.outputs,), "constant() has one number per output")
    contexts = list(task.contexts)
    every: list[Context] = [*contexts, "full"]
    require(contexts == sorted(set(contexts)), "contexts ascend")
    require(contexts[0] == 1, "the first context length is 1")
    require(contexts[-1] == task.longest_context, "the last context length is longest_context")
    values = [task.optimum(k) for k in every]
    known = [value for value in values if value is not None]
    require(len(known) in (0, len(values)), "the optimum is known at every k or at none")
    require(known == sorted(known, reverse=True), "the optimum does not increase with context")
    require(not known or known[0] <= task.chance(), "the optimum is at most chance")


def check_chance(task: Task, contexts: tuple[Context, ...] = ("full",)) -> None:
    """Raise an error unless a model without memory scores chance on the test split.

    The tolerance is four standard errors.

    Raises:
        AssertionError: it does not.
    """
    blind = Marginal(task.inputs, task.outputs)
    blind.fit(task, 0)
    check_scores(blind, task, dict.fromkeys(contexts, task.chance()))


def check_scores(
    model: SequenceModel, task: Task, expected: Mapping[Context, float | None]
) -> None:
    """Raise an error unless a model's mean loss on the test split is as expected at every k.

    With an optimal model and the task's optimum this checks that the optimum is reached:
    ``check_scores(oracle, task, {k: task.optimum(k) for k in (*task.contexts, "full")})``.

    Args:
        model: the model.
        task: the task.
        expected: context length -> mean loss. The tolerance is four standard errors.

    Raises:
        AssertionError: it is not.
    """
    split = task.split("test")
    curve = measure(model, task, split, list(expected))
    groups = group_blocks(split.blocks.numpy(), GROUPS)
    for k, value in expected.items():
        require(value is not None, f"k = {k}: the expected loss is known")
        found = block_mean(np.bincount(groups, curve.at(k).losses), np.bincount(groups))
        allowed = 4 * (found.standard_error or 0.0) + 1e-6
        require(
            abs(found.mean - (value or 0.0)) <= allowed,
            f"k = {k}: the mean loss, {found.mean:.6g}, is {value} ± {allowed:.2g}",
        )


def _training_splits(task: Task) -> list[tuple[str, Split, Split]]:
    try:
        return [("train", task.train(3, 1), task.train(3, 1))]
    except InputError:  # a task on which only trained models can be measured
        return []


def _check_split(task: Task, name: str, split: Split) -> None:
    """Check the form of a split, and the range of its ids."""
    count = len(split.positions)
    require(count > 0, f"{name}: there are targets")
    require(
        count == len(split.targets) == len(split.blocks),
        f"{name}: positions, targets and blocks have the same length",
    )
    require(split.starts[0] == 0, f"{name}: the first sequence starts at 0")
    require(split.starts[-1] == len(split.inputs), f"{name}: the last of starts is len(inputs)")
    require((split.starts.diff() > 0).all(), f"{name}: starts ascend, and no sequence is empty")
    require((split.positions.diff() > 0).all(), f"{name}: positions ascend")
    require((split.blocks.diff() >= 0).all(), f"{name}: blocks ascend")
    require((split.available >= 1).all(), f"{name}: every target has an input")
    if isinstance(task.inputs, Tokens):
        vocabulary = task.inputs.vocabulary
        require(split.inputs.dtype == torch.int32, f"{name}: ids are int32")
        require(
            0 <= split.inputs.min() <= split.inputs.max() < vocabulary,
            f"{name}: ids are in [0, {vocabulary})",
        )
        require(
            0 <= split.targets.min() <= split.targets.max() < task.outputs,
            f"{name}: targets are in [0, {task.outputs})",
        )
    else:
        require(split.inputs.dtype == torch.float32, f"{name}: input vectors are float32")
        require(
            split.inputs.shape[1] == task.inputs.dimension,
            f"{name}: input vectors have {task.inputs.dimension} numbers",
        )
