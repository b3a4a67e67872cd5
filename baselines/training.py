"""The one training loop: any task, any model, any k_train; it can stop anywhere and go on.

Random numbers (weights, dropout, order) come from the seed alone and leave the global generator as
they found it. A resumed run takes up generator, optimiser, carried state and place in the data, and
ends with the same weights as one that was never stopped.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from seqmem.baselines.batches import Batch, batches
from seqmem.baselines.checkpoint import Checkpoint
from seqmem.baselines.recipes import Recipe
from seqmem.errors import CellError
from seqmem.tasks.losses import Loss
from seqmem.tasks.model import SequenceModel, State, detach
from seqmem.tasks.reference import full_scores
from seqmem.tasks.task import Split, Task

__all__ = ["ClosedForm", "Trained", "seeded", "train"]

READOUT = 1 << 23  # numbers that one chunk of the readout gives
SEGMENT_WITHOUT_STATE = 64  # inputs scored at once by a model that carries no state
FIRST_STREAM = 10_000  # keeps the data order's generator apart from the dropout's


@runtime_checkable
class ClosedForm(Protocol):
    """A model that is not trained: it is computed from the task.

    Attributes:
        reads_training_data: whether the task must have training data.
    """

    reads_training_data: bool

    def fit(self, task: Task, seed: int) -> None:
        """Set the weights, from the training data of this seed where they are read."""


@dataclass(frozen=True)
class Trained:
    """What training did.

    Attributes:
        steps: optimiser steps taken.
        targets: targets learned from, repeats counted.
        best_step: the step whose weights were kept.
        best_validation: their validation loss.
        stopped: "budget" or "patience".
        seconds: time spent, over all the runs that it took.
    """

    steps: int
    targets: int
    best_step: int
    best_validation: float
    stopped: Literal["budget", "patience"]
    seconds: float


@dataclass
class _Progress:
    """Where training stands; saved with every checkpoint."""

    step: int = 0
    targets: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch already used
    best_step: int = 0
    best_validation: float = math.inf
    waiting: int = 0  # validations since the best
    scale: float = 1.0  # of the learning rate, for the plateau schedule
    seconds: float = 0.0  # of earlier runs, up to their checkpoint


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from a generator of its own; the global one is afterwards as it was before."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def train(
    model: SequenceModel,
    task: Task,
    recipe: Recipe,
    *,
    k_train: int | Literal["full"],
    seed: int,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, float], object] = lambda step, validation: None,
) -> Trained:
    """Train a model in place and leave it with its best weights on validation.

    Args:
        model: untrained, made under `seeded(seed)`.
        task: gives training and validation data.
        recipe: how.
        k_train: inputs of a segment; recurrent models carry their state from one to the next.
        seed: of data, order and dropout.
        device: where to train.
        checkpoint: kept while training, taken up if it holds anything.
        progress: called with the step and the latest best validation loss.

    Raises:
        CellError: the loss is not finite.
    """
    model.to(device)
    valid = task.split("valid").prefix(recipe.validation_targets)
    optimizer = _optimizer(model, recipe)
    at = _Progress()
    state: State = None
    model.constrain()
    best = _weights(model)

    began = time.monotonic()
    with seeded(seed):
        saved = checkpoint.load(device) if checkpoint else None
        if saved is not None:
            at = _Progress(**saved["at"])
            state, best = saved["state"], saved["best"]
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            _set_random_state(saved["random"])

        for batch in _endless(task, model, recipe, k_train, seed, at):
            model.train()
            state = None if batch.fresh else detach(state)
            _set_learning_rate(optimizer, recipe, at)
            loss, state = _step(model, task.loss, batch, state, optimizer, recipe.clip, device)
            at.batch += 1
            if loss is None:  # a segment without targets moves the state on, and nothing else
                continue
            if not math.isfinite(loss):
                raise CellError(f"training diverged: the loss is {loss} at step {at.step + 1}")
            at.step += 1
            at.targets += len(batch.targets)
            if at.step % recipe.validate_every == 0 or at.step == recipe.steps:
                validation = _validate(model, task, valid, device)
                if validation < at.best_validation:
                    at.best_validation, at.best_step, at.waiting = validation, at.step, 0
                    best = _weights(model)
                else:
                    at.waiting += 1
                    at.scale /= 4
            progress(at.step, at.best_validation)
            if at.step == recipe.steps or at.waiting == recipe.patience:
                break
            if checkpoint and checkpoint.due():
                elapsed = at.seconds + time.monotonic() - began
                checkpoint.save(
                    {
                        "at": asdict(replace(at, seconds=elapsed)),
                        "state": detach(state),
                        "best": best,
                        "model": model.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "random": _random_state(),
                    }
                )

    model.load_state_dict(best)
    stopped: Literal["budget", "patience"] = "budget" if at.step == recipe.steps else "patience"
    seconds = at.seconds + time.monotonic() - began
    return Trained(at.step, at.targets, at.best_step, at.best_validation, stopped, seconds)


def _endless(
    task: Task,
    model: SequenceModel,
    recipe: Recipe,
    k_train: int | Literal["full"],
    seed: int,
    at: _Progress,
) -> Iterator[Batch]:
    """Give batches, epoch after epoch, from where `at` stands."""
    segment: int | None = None if k_train == "full" else k_train
    overlap = 0
    if not model.stateful:
        # The receptive field bounds the context already; a segment is then only the part that is
        # learned from at once, as large as a recurrent model's so that all see the same targets.
        overlap = max((model.receptive_field or 1) - 1, 0)
        segment = segment or max(overlap, SEGMENT_WITHOUT_STATE)
    while True:
        order = torch.Generator().manual_seed(FIRST_STREAM + (seed << 20) + at.epoch)
        epoch = batches(task.train(seed, at.epoch), recipe.batch, segment, overlap, order)
        yield from islice(epoch, at.batch, None)
        at.epoch += 1
        at.batch = 0


def _step(
    model: SequenceModel,
    loss: Loss,
    batch: Batch,
    state: State,
    optimizer: torch.optim.Optimizer,
    clip: float,
    device: str,
) -> tuple[float | None, State]:
    """Learn from one batch; give its mean loss (None without targets) and the state behind it."""
    if len(batch.targets) == 0:
        if not model.stateful:
            return None, None
        with torch.no_grad():
            return None, model.hidden(batch.inputs.to(device), state)[1]
    optimizer.zero_grad(set_to_none=True)
    features, state = model.hidden(batch.inputs.to(device), state)
    chosen = features[batch.rows.to(device), batch.columns.to(device)]  # (m, H)
    mean = _backward(model, loss, chosen, batch.targets.to(device))
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    model.constrain()
    return mean, state


def _backward(model: SequenceModel, loss: Loss, features: Tensor, targets: Tensor) -> float:
    """Backpropagate the mean loss, the readout in chunks: memory stays bounded for any vocabulary.

    Each chunk's gradient reaches the features' copy; the model behind them is entered once.
    """
    leaf = features.detach().requires_grad_()
    width = model.readout(leaf[:1].detach()).shape[-1]
    total = 0.0
    for rows in torch.arange(len(targets), device=targets.device).split(max(READOUT // width, 1)):
        part = loss(model.readout(leaf[rows]), targets[rows]).sum() / len(targets)
        part.backward()
        total += part.item()
    if leaf.grad is not None:
        features.backward(leaf.grad)
    return total


def _validate(model: SequenceModel, task: Task, valid: Split, device: str) -> float:
    model.eval()
    return float(full_scores(model, task, valid, device=device).losses.mean())


def _weights(model: SequenceModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _random_state() -> list[Tensor]:
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def _set_random_state(states: list[Tensor]) -> None:
    cpu, *gpus = (state.cpu() for state in states)
    torch.set_rng_state(cpu)
    torch.cuda.set_rng_state_all(gpus)


def _optimizer(model: SequenceModel, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=recipe.learning_rate)
    return torch.optim.Adam(model.parameters(), lr=recipe.learning_rate, fused=True)


def _set_learning_rate(optimizer: Any, recipe: Recipe, at: _Progress) -> None:
    scale = {
        "constant": 1.0,
        "cosine": 0.5 * (1 + math.cos(math.pi * at.step / recipe.steps)),
        "plateau": at.scale,
    }[recipe.schedule]
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * scale
