"""A linear readout in closed form: ridge regression of a task's targets on a model's features.

With one-hot rows for ids, targets y and features x of the training data have means ȳ and x̄, and

    W = (C + λ v I)⁻¹ S,   C = mean of (x − x̄)(x − x̄)ᵀ,   S = mean of (x − x̄)(y − ȳ)ᵀ,

where v is the mean variance of a feature. For a squared error this is the readout itself. Ridge
outputs are no distribution, however: they may be negative. As in one Newton step of logistic
regression from the best constant, they are taken as changes of its scores: outputs are

    task.constant() + s Wᵀ (x − x̄).

λ, of `RIDGES`, and the number s have the least loss on validation data: for every λ, s is found by
Newton's method, since the loss is convex in it. s = 0 is chance, so that the readout is not worse
than that there, whatever the loss. Full logistic regression would fit better, but has no closed
form, and with ten thousands of words takes hours.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqmem.baselines.training.batches import batches
from seqmem.tasks.losses import CrossEntropy, Loss
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split, Task

__all__ = ["RIDGES", "ridge_readout"]

# With smaller ones, outputs are differences of such large numbers that 32 bits have too few digits.
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MOST_READ = 1 << 21  # targets of training
LANES, VALIDATION_LANES, SEGMENT = 128, 16, 256  # inputs read at once
FEWEST, MOST_VALIDATED = 256, 8192  # targets
OUTPUTS = 1 << 26  # of all validation targets, which bound their number
CHUNK = 1 << 22  # outputs whose loss is computed at once
NEWTON = 50  # steps at most; a handful are usual


@torch.inference_mode(False)  # the scale is found with derivatives
@torch.no_grad()
def ridge_readout(model: SequenceModel, task: Task, seed: int) -> tuple[Tensor, Tensor]:
    """Return the weights (outputs, H) and bias (outputs,) of a readout.

    Args:
        model: its features are those of `hidden`.
        task: fitted to the first 2²¹ targets of its training data's first epoch.
        seed: of that epoch and of the order of its sequences.

    Raises:
        InputError: the task has no training data.
    """
    moments = _moments(model, task, seed)
    variances, axes = torch.linalg.eigh(moments.covariance)
    crossed = axes.T @ moments.crossed  # (H, outputs)
    wanted = min(max(OUTPUTS // task.outputs, FEWEST), MOST_VALIDATED)
    validation = list(_read(model, task.split("valid").prefix(wanted), VALIDATION_LANES, seed))
    features = torch.cat([part for part, _ in validation]) - moments.mean.float()
    targets = torch.cat([part for _, part in validation])
    constant = task.constant()
    smallest = torch.finfo(torch.float64).tiny  # features may not vary at all
    least, best = math.inf, crossed
    for ridge in RIDGES:
        damped = variances.clamp(min=0) + ridge * variances.mean() + smallest
        weight = axes @ (crossed / damped[:, None])  # (H, outputs)
        scale, loss = _scale(task.loss, constant, features @ weight.float(), targets)
        if loss < least:
            least, best = loss, scale * weight
    return best.T.float(), (constant - moments.mean @ best).float()


@dataclass(frozen=True)
class _Moments:
    """Means over the training data, of float64.

    Attributes:
        mean: (H,) of the features.
        covariance: (H, H) of the features.
        crossed: (H, outputs) covariance of features and targets.
    """

    mean: Tensor
    covariance: Tensor
    crossed: Tensor


def _moments(model: SequenceModel, task: Task, seed: int) -> _Moments:
    count, ids = 0, isinstance(task.loss, CrossEntropy)
    total = squares = torch.zeros((), dtype=torch.float64)
    of_targets = torch.zeros(task.outputs, dtype=torch.float64)
    crossed: Tensor | None = None
    for part, targets in _read(model, task.train(seed, 0), LANES, seed):
        features = part.double()
        if crossed is None:
            crossed = features.new_zeros(task.outputs, features.shape[1])
        count += len(features)
        total = total + features.sum(0)
        squares = squares + features.T @ features
        if ids:
            crossed.index_add_(0, targets.long(), features)
            of_targets += torch.bincount(targets.long(), minlength=task.outputs)
        else:
            values = targets.double().view(len(targets), -1)
            crossed += values.T @ features
            of_targets += values.sum(0)
        if count >= MOST_READ:
            break
    assert crossed is not None  # a task without training data has raised an error
    mean = total / count
    return _Moments(
        mean,
        squares / count - mean.outer(mean),
        crossed.T / count - mean.outer(of_targets / count),
    )


def _read(
    model: SequenceModel, split: Split, lanes: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features (m, H) and their targets."""
    state: State = None
    for batch in batches(split, lanes, SEGMENT, 0, torch.Generator().manual_seed(seed)):
        features, state = model.hidden(batch.inputs, None if batch.fresh else state)
        if len(batch.targets):
            yield features[batch.rows, batch.columns], batch.targets


def _scale(loss: Loss, constant: Tensor, changes: Tensor, targets: Tensor) -> tuple[float, float]:
    """Return the s with the least mean loss of constant + s changes, and that loss.

    Args:
        loss: convex in the outputs.
        constant: (outputs,).
        changes: (m, outputs).
        targets: (m,) or (m, D).
    """
    rows = max(CHUNK // changes.shape[1], 1)

    @torch.enable_grad()
    def derivatives(at: float) -> Tensor:
        """Return the mean loss, and its first and second derivative."""
        total = torch.zeros(3, dtype=torch.float64)
        for part, wanted in zip(changes.split(rows), targets.split(rows), strict=True):
            scale = torch.tensor(at, requires_grad=True)
            value = loss(constant + scale * part, wanted).double().sum()
            (slope,) = torch.autograd.grad(value, scale, create_graph=True)
            (bend,) = torch.autograd.grad(slope, scale)
            total += torch.stack([value, slope.double(), bend.double()]).detach()
        return total / len(targets)

    scale, (value, slope, bend) = 0.0, derivatives(0.0).tolist()
    for _ in range(NEWTON):
        if not bend > 0:
            break
        step = -slope / bend
        then = derivatives(scale + step).tolist()
        while not then[0] <= value and abs(step) > 1e-6:  # too far, where the loss is no parabola
            step /= 2
            then = derivatives(scale + step).tolist()
        if not then[0] < value - 1e-7 * abs(value):
            break
        scale, (value, slope, bend) = scale + step, then
    return scale, value
