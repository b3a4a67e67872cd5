"""The training loop for any task, any model and any k_train; it resumes from a checkpoint.

Random numbers (weights, dropout, order) depend only on the seed, and the global generator is
restored afterwards. A resumed run restores generator, optimiser, carried state and position in the
data, and ends with the same weights as an uninterrupted one.
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
from seqmem.baselines.training.learner import Learner
from seqmem.baselines.training.process import denormals_flushed
from seqmem.baselines.training.process_group import SINGLE_PROCESS, ProcessGroup
from seqmem.baselines.training.recipes import Recipe
from seqmem.errors import CellError, DivergedError, NotFiniteError
from seqmem.measuring.reference import full_scores
from seqmem.tasks.model import SequenceModel, State, detach
from seqmem.tasks.task import Split, Task

__all__ = ["ClosedForm", "Trained", "seeded", "train"]

READOUT = 1 << 23  # outputs computed at once in validation: bounds its memory
SEGMENT_WITHOUT_STATE = 64  # inputs scored at once by a model without state
VALIDATED_SEGMENTS = 8  # of training in each sequence that is cut from a stream in validation
WINDOWS = {"cpu": 1 << 14, "cuda": 1 << 17}  # inputs of one pass over windows: bounds its memory
# Training has diverged when a loss is this many times chance. Clipped training never recovers from
# such a loss, and float32 overflows soon after.
EXPLODED = 1e6
LAST = 10  # losses that are checked together, and reported if training diverges
FIRST_STREAM = 10_000  # separates the seeds of the data order from those of dropout


@runtime_checkable
class ClosedForm(Protocol):
    """A model that is computed from the task instead of trained.

    Attributes:
        reads_training_data: whether the task must have training data.
    """

    reads_training_data: bool

    def fit(self, task: Task, seed: int) -> None:
        """Set the weights; those that depend on training data depend on the seed."""


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        steps: optimiser steps taken.
        targets: targets learned from; repeated ones count each time.
        best_step: the step with the best weights, which the model has now.
        best_validation: their validation loss.
        stopped: "budget" or "patience".
        seconds: duration, summed over all resumed runs.
    """

    steps: int
    targets: int
    best_step: int
    best_validation: float
    stopped: Literal["budget", "patience"]
    seconds: float


@dataclass
class _TrainingState:
    """The counters of a training; saved with every checkpoint."""

    step: int = 0
    targets: int = 0
    epoch: int = 0
    batch: int = 0  # batches of this epoch already used
    best_step: int = 0
    best_validation: float = math.inf
    waiting: int = 0  # validations since the best
    scale: float = 1.0  # factor of the learning rate, for the plateau schedule
    seconds: float = 0.0  # duration of earlier runs, up to their checkpoint
    losses: list[float] = field(default_factory=list)  # of the latest steps


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators; restore them at the end."""
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
    group: ProcessGroup = SINGLE_PROCESS,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int, float], object] = lambda step, validation: None,
) -> Trained:
    """Train a model in place; it ends with the weights of its best validation.

    Args:
        model: untrained, built under `seeded(seed)`.
        task: provides training and validation data.
        recipe: the hyperparameters of training.
        k_train: inputs of a segment, or of a window if the state is not carried.
        carry: whether recurrent models carry their state from one segment to the next; otherwise
            each target is predicted from its k_train latest inputs, read from the initial state.
            It makes no difference for models without state, or if k_train is full. A model that
            needs a separator is trained on windows in any case: a segment may have lost it.
            Training on windows validates on windows, all other training with the full context.
        seed: of data, order and dropout.
        device: where to train.
        group: the processes that train the same model.
        checkpoint: saved during training; training resumes from it if it exists.
        progress: called with the step and the best validation loss so far.

    Raises:
        DivergedError: the loss is not finite, or has exploded.
        CellError: the validation data cannot be scored, or the processes found different
            checkpoints.
    """
    model.to(device)
    valid = _validation_split(task, model, recipe)
    learner = Learner(model, task.loss, recipe, device, group, task.constant())
    pending: list[Tensor] = []
    at = _TrainingState()
    state: State = None
    model.constrain()
    best = _weights(model)
    limit = EXPLODED * (task.chance() or 1.0)
    windows = model.needs_separator or (model.stateful and not carry)
    window = k_train if windows and k_train != "full" else None

    began = time.monotonic()
    with seeded(group.seed(seed)), denormals_flushed():
        saved = checkpoint.load(device) if checkpoint else None
        if saved is not None:
            own = saved["each"][group.rank]
            at = _TrainingState(**saved["at"])
            state, best = own["state"], saved["best"]
            model.load_state_dict(saved["model"])
            learner.optimizer.load_state_dict(saved["optimizer"])
            _set_random_state(own["random"], device)
        if group.broadcast(lambda: at.step) != at.step:
            raise CellError("its processes found different checkpoints; the same command resumes")

        model.train()
        for step in _training_steps(task, model, recipe, k_train, window, seed, device, at):
            loss, state = learner.learn(group.share(step), state, taken=at.step, scale=at.scale)
            at.batch += 1
            if loss is None:  # a segment without targets only advances the state
                continue
            at.step += 1
            at.targets += step.targets
            pending.append(loss)
            validates = at.step % recipe.validate_every == 0 or at.step == recipe.steps
            saves = checkpoint is not None and group.broadcast(checkpoint.due)
            if validates or saves or len(pending) == LAST:
                _check_losses(pending, at, limit)
            if validates:
                validation = group.broadcast(
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
                each = group.gather({"state": detach(state), "random": _random_state(device)})
                if group.rank == 0:
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


def _validation_split(task: Task, model: SequenceModel, recipe: Recipe) -> Split:
    """Return the targets of validation.

    A stream is cut into sequences for a model that can neither carry a state through it nor bound
    how far it looks back.
    """
    valid = task.split("valid").prefix(recipe.validation_targets)
    if not task.stream or model.stateful or model.receptive_field is not None:
        return valid
    usual = SEGMENT_WITHOUT_STATE if recipe.k_train == "full" else recipe.k_train
    cuts = torch.arange(0, len(valid.inputs), VALIDATED_SEGMENTS * usual)
    return replace(valid, starts=torch.cat([cuts, valid.starts[-1:]]))


def _training_steps(
    task: Task,
    model: SequenceModel,
    recipe: Recipe,
    k_train: int | Literal["full"],
    window: int | None,
    seed: int,
    device: str,
    at: _TrainingState,
) -> Iterator[Step]:
    """Yield the steps of epoch after epoch without end, from the position of `at`."""
    segment: int | None = None if k_train == "full" else k_train
    usual: int | None = None if recipe.k_train == "full" else recipe.k_train
    overlap = 0
    whole = k_train == "full" and model.receptive_field is None and not task.stream
    if not (model.stateful or model.trained_on_segments or whole):
        # The receptive field already bounds the context, and a segment only determines how many
        # targets a step has. It is at least as long as a recurrent model's segment, so that a small
        # k_train does not reduce the number of targets.
        overlap = max((model.receptive_field or 1) - 1, 0)
        segment = max(segment or overlap, usual or SEGMENT_WITHOUT_STATE)
    most = WINDOWS[torch.device(device).type]
    while True:
        order = torch.Generator().manual_seed(FIRST_STREAM + (seed << 20) + at.epoch)
        split = task.train(seed, at.epoch)
        epoch: Iterator[Step]
        if window is not None:
            epoch = window_steps(split, recipe.batch, usual, window, most, order, recipe.pool)
        else:
            cut = batches(split, recipe.batch, segment, overlap, order, recipe.pool)
            epoch = (Step(len(batch.targets), (batch,)) for batch in cut)
        yield from islice(epoch, at.batch, None)
        at.epoch += 1
        at.batch = 0


def _check_losses(pending: list[Tensor], at: _TrainingState, limit: float) -> None:
    """Move the pending losses to `at.losses`.

    Raises:
        DivergedError: one is not finite or above the limit.
    """
    losses = torch.stack(pending).tolist()
    pending.clear()
    for step, loss in enumerate(losses, at.step - len(losses) + 1):
        at.losses = [*at.losses[1 - LAST :], loss]
        if not loss <= limit:
            problem = f"over {EXPLODED:,.0f} times chance, {loss:.4g}"
            problem = problem if math.isfinite(loss) else str(loss)
            raise DivergedError(f"the loss is {problem}", step, at.losses)


def _validate(
    model: SequenceModel,
    task: Task,
    valid: Split,
    window: int | None,
    device: str,
    at: _TrainingState,
) -> float:
    """Return the mean loss on windows, or with the full context if `window` is None."""
    model.eval()
    try:
        if window is not None:
            return _window_loss(model, task, valid, window, device)
        return float(full_scores(model, task, valid, device=device).losses.mean())
    except NotFiniteError as error:
        raise DivergedError(f"in validation {error}", at.step, at.losses) from None


@torch.no_grad()
def _window_loss(model: SequenceModel, task: Task, split: Split, k: int, device: str) -> float:
    """Return the mean loss at context k.

    Raises:
        NotFiniteError: it is NaN or infinite.
    """
    total = 0.0
    most = WINDOWS[torch.device(device).type]
    for batch in Windows(split, torch.arange(len(split)), k, most):
        features, _ = model.hidden(batch.inputs.to(device))
        chosen = features[batch.rows.to(device), batch.columns.to(device)]  # (m, H)
        rows = max(READOUT // task.outputs, 1)
        for part, targets in zip(
            chosen.split(rows), batch.targets.to(device).split(rows), strict=True
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
