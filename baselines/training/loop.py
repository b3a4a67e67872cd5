"""The one training loop: any task, any model, any k_train; it can stop anywhere and go on.

Random numbers (weights, dropout, order) come from the seed alone and leave the global generator as
they found it. A resumed run takes up generator, optimiser, carried state and place in the data, and
ends with the same weights as one that was never stopped.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from seqmem.baselines.training.batches import Step, Windows, batches, window_steps
from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.denormals import denormals_flushed
from seqmem.baselines.training.learner import Learner
from seqmem.baselines.training.process_group import ALONE, Team
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import CellError, DivergedError, NotFiniteError
from seqmem.measuring.reference import full_scores
from seqmem.tasks.model import SequenceModel, State, detach
from seqmem.tasks.task import Split, Task

__all__ = ["ClosedForm", "Trained", "seeded", "train"]

READOUT = 1 << 23  # numbers that one piece of the outputs holds in validation
SEGMENT_WITHOUT_STATE = 64  # inputs scored at once by a model that carries no state
WINDOWS = {"cpu": 1 << 14, "cuda": 1 << 17}  # inputs of one pass over windows: bounds its memory
# A loss this many times chance is an explosion: no spike that clipped training recovers from comes
# near, and float32 overflows soon after.
EXPLODED = 1e6
LAST = 10  # losses kept to tell how training diverged, and looked at together
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
    losses: list[float] = field(default_factory=list)  # of the latest steps


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
    carry: bool = True,
    seed: int,
    device: str = "cpu",
    team: Team = ALONE,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, float], object] = lambda step, validation: None,
) -> Trained:
    """Train a model in place and leave it with its best weights on validation.

    Args:
        model: untrained, made under `seeded(seed)`.
        task: gives training and validation data.
        recipe: how.
        k_train: inputs of a segment, or of a window where the state is not carried.
        carry: whether recurrent models carry their state from one segment to the next; otherwise
            each target is predicted from its k_train latest inputs, read from the initial state.
            Nothing changes for models without state, or where k_train is full. What is learned
            from windows is validated on windows, everything else with the full context.
        seed: of data, order and dropout.
        device: where to train.
        team: who else trains the same model; alone unless said otherwise.
        checkpoint: kept while training, taken up if it holds anything.
        progress: called with the step and the latest best validation loss.

    Raises:
        DivergedError: the loss is not finite, or has exploded.
        CellError: the validation data cannot be scored, or a team found different checkpoints.
    """
    model.to(device)
    valid = task.split("valid").prefix(recipe.validation_targets)
    learner = Learner(model, task.loss, recipe, device, team)
    pending: list[Tensor] = []
    at = _Progress()
    state: State = None
    model.constrain()
    best = _weights(model)
    most = EXPLODED * (task.chance() or 1.0)
    window = None if carry or k_train == "full" or not model.stateful else k_train

    began = time.monotonic()
    with seeded(team.seed(seed)), denormals_flushed():
        saved = checkpoint.load(device) if checkpoint else None
        if saved is not None:
            own = saved["each"][team.rank]
            at = _Progress(**saved["at"])
            state, best = own["state"], saved["best"]
            model.load_state_dict(saved["model"])
            learner.optimizer.load_state_dict(saved["optimizer"])
            _set_random_state(own["random"], device)
        if team.from_first(lambda: at.step) != at.step:
            raise CellError("its processes found different checkpoints; the same command goes on")

        model.train()
        for step in _endless(task, model, recipe, k_train, window, seed, device, at):
            loss, state = learner.learn(team.share(step), state, taken=at.step, scale=at.scale)
            at.batch += 1
            if loss is None:  # a segment without targets moves the state on, and nothing else
                continue
            at.step += 1
            at.targets += step.targets
            pending.append(loss)
            validates = at.step % recipe.validate_every == 0 or at.step == recipe.steps
            saves = checkpoint is not None and team.from_first(checkpoint.due)
            if validates or saves or len(pending) == LAST:
                _look_at(pending, at, most)
            if validates:
                validation = team.from_first(
                    lambda: _validate(model, task, valid, window, device, at)
                )
                model.train()
                if validation < at.best_validation:
                    at.best_validation, at.best_step, at.waiting = validation, at.step, 0
                    best = _weights(model)
                else:
                    at.waiting += 1
                    at.scale /= 4
            progress(at.step, at.best_validation)
            if at.step == recipe.steps or at.waiting == recipe.patience:
                break
            if checkpoint and saves:
                elapsed = at.seconds + time.monotonic() - began
                each = team.gathered({"state": detach(state), "random": _random_state(device)})
                if team.rank == 0:
                    checkpoint.save(
                        {
                            "at": asdict(replace(at, seconds=elapsed)),
                            "best": best,
                            "model": model.state_dict(),
                            "optimizer": learner.optimizer.state_dict(),
                            "each": each,
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
    window: int | None,
    seed: int,
    device: str,
    at: _Progress,
) -> Iterator[Step]:
    """Give steps, epoch after epoch, from where `at` stands."""
    segment: int | None = None if k_train == "full" else k_train
    usual: int | None = None if recipe.k_train == "full" else recipe.k_train
    overlap = 0
    if not model.stateful:
        # The receptive field bounds the context already; a segment is then only the part that is
        # learned from at once, as large as a recurrent model's so that all see the same targets.
        # One of a small k_train would hold too few to learn from.
        overlap = max((model.receptive_field or 1) - 1, 0)
        segment = max(segment or overlap, usual or SEGMENT_WITHOUT_STATE)
    most = WINDOWS[torch.device(device).type]
    while True:
        order = torch.Generator().manual_seed(FIRST_STREAM + (seed << 20) + at.epoch)
        split = task.train(seed, at.epoch)
        epoch: Iterator[Step]
        if window is not None:
            epoch = window_steps(split, recipe.batch, usual, window, most, order)
        else:
            cut = batches(split, recipe.batch, segment, overlap, order)
            epoch = (Step(len(batch.targets), (batch,)) for batch in cut)
        yield from islice(epoch, at.batch, None)
        at.epoch += 1
        at.batch = 0


def _look_at(pending: list[Tensor], at: _Progress, most: float) -> None:
    """Move the losses of the latest steps to those kept, and see that none has exploded.

    Raises:
        DivergedError: one has.
    """
    losses = torch.stack(pending).tolist()
    pending.clear()
    for step, loss in enumerate(losses, at.step - len(losses) + 1):
        at.losses = [*at.losses[1 - LAST :], loss]
        if not loss <= most:
            what = f"over {EXPLODED:,.0f} times chance, {loss:.4g}"
            what = what if math.isfinite(loss) else str(loss)
            raise DivergedError(f"the loss is {what}", step, at.losses)


def _validate(
    model: SequenceModel,
    task: Task,
    valid: Split,
    window: int | None,
    device: str,
    at: _Progress,
) -> float:
    """Give the mean loss on windows; with the full context where `window` is None."""
    model.eval()
    try:
        if window is not None:
            return _window_loss(model, task, valid, window, device)
        return float(full_scores(model, task, valid, device=device).losses.mean())
    except NotFiniteError as error:
        raise DivergedError(f"in validation {error}", at.step, at.losses) from None


@torch.no_grad()
def _window_loss(model: SequenceModel, task: Task, split: Split, k: int, device: str) -> float:
    """Give the mean loss at context k.

    Raises:
        NotFiniteError: it is NaN or infinite.
    """
    total = 0.0
    most = WINDOWS[torch.device(device).type]
    for batch in Windows(split, torch.arange(len(split)), k, most):
        features, _ = model.hidden(batch.inputs.to(device))
        chosen = features[batch.rows.to(device), batch.columns.to(device)]  # (m, H)
        several = max(READOUT // task.outputs, 1)
        for part, targets in zip(
            chosen.split(several), batch.targets.to(device).split(several), strict=True
        ):
            total += task.loss(model.readout(part), targets).double().sum().item()
    if not math.isfinite(total):
        raise NotFiniteError("the model's outputs are not finite (NaN or infinity)")
    return total / len(split)


def _weights(model: SequenceModel) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _random_state(device: str) -> list[Tensor]:
    gpu = [torch.cuda.get_rng_state(device)] if device.startswith("cuda") else []
    return [torch.get_rng_state(), *gpu]


def _set_random_state(states: list[Tensor], device: str) -> None:
    cpu, *gpu = (state.cpu() for state in states)
    torch.set_rng_state(cpu)
    for state in gpu:
        torch.cuda.set_rng_state(state, device)
