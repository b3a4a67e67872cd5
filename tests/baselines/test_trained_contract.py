"""What every baseline must fulfil in training: on every kind of task, kept on disk, resumed."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from seqmem.baselines import BASELINES
from seqmem.baselines.spec import ModelSpec, build_model, model_class
from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.loop import ClosedForm, Trained, seeded, train
from seqmem.baselines.training.recipes import Recipe
from seqmem.check.recipes import BRIEF
from seqmem.tasks import load_task
from seqmem.tasks.model import SequenceModel, weights_sha256
from seqmem.tasks.task import Task
from seqmem.testing import check_saved
from seqmem.tests.zoo import Chords, Reversal

RECIPE = Recipe(
    steps=4,
    batch=4,
    k_train=16,
    learning_rate=3e-3,
    validate_every=2,
    validation_targets=64,
    options={"hidden": 8, "state": 4, "dropout": 0.1},
)
# One of each loss and form: ids recalled, floats with one target, ids that come next, frames; and
# pairs, for the models that need them.
KINDS: dict[str, Callable[[], Task]] = {
    "recall": lambda: load_task("copy-memory/T=5"),
    "sum": lambda: load_task("adding-problem/T=9"),
    "next": lambda: load_task("hidden-markov/dwell=2"),
    "frames": Chords,
    "pairs": Reversal,
}
PAIRS = [
    (name, kind)
    for name in BASELINES
    for kind in (("recall", "next", "pairs") if name in BRIEF else KINDS)
    if kind == "next" or not model_class(name).next_token_only
    if (kind == "pairs") == model_class(name).needs_separator
]


class Killed(BaseException):
    pass


@cache
def task_of(kind: str) -> Task:
    return KINDS[kind]()


def fit(
    name: str,
    task: Task,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, float], object] = lambda step, _: None,
) -> tuple[SequenceModel, Trained | None]:
    with seeded(3):
        model, _ = build_model(ModelSpec(name), task, 16, RECIPE.options)
    if isinstance(model, ClosedForm):
        model.fit(task, 3)
        return model, None
    return model, train(
        model, task, RECIPE, k_train=16, seed=3, checkpoint=checkpoint, progress=progress
    )


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_trained_kept_and_resumed(name: str, kind: str, tmp_path: Path) -> None:
    task = task_of(kind)
    with seeded(3):
        untrained, _ = build_model(ModelSpec(name), task, 16, RECIPE.options)
    model, fitted = fit(name, task)
    assert weights_sha256(model) != weights_sha256(untrained)

    inputs = task.split("test").inputs[None, :24]
    check_saved(model.eval(), untrained.eval(), inputs, tmp_path)
    with torch.inference_mode():
        assert model(inputs).isfinite().all()
    if fitted is None:
        return

    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", every_seconds=0)

    def kill(step: int, _: float) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        fit(name, task, checkpoint, kill)
    steps: list[int] = []
    resumed, again = fit(name, task, checkpoint, lambda step, _: steps.append(step))
    assert steps[0] == 3
    assert weights_sha256(resumed) == weights_sha256(model)
    assert again is not None
    assert replace(again, seconds=0) == replace(fitted, seconds=0)
