"""One optimiser step: forward, backward, clip, step, project; and the optimiser's schedule."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from seqmem.baselines.layers import LinearReadout
from seqmem.baselines.training.batches import Batch, Step
from seqmem.baselines.training.process_group import SINGLE_PROCESS, ProcessGroup
from seqmem.baselines.training.readout_gradient import ReadoutGradient
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks.losses import Loss
from seqmem.tasks.model import SequenceModel, State, detach

__all__ = ["Learner", "Optimizer"]


class Learner:
    """A model with its loss and optimiser.

    Attributes:
        optimizer: the optimiser; its state belongs to a checkpoint.
    """

    def __init__(
        self,
        model: SequenceModel,
        loss: Loss,
        recipe: Recipe,
        device: str,
        group: ProcessGroup = SINGLE_PROCESS,
        frequency: Tensor | None = None,
    ) -> None:
        """Create a learner.

        Args:
            model: the model, already on the device.
            loss: what it minimises.
            recipe: the hyperparameters of training.
            device: where to train.
            group: the processes that train the same model.
            frequency: (V,) increases with the frequency of a class in the training data; where the
                recipe sums only some of the classes.
        """
        self._model, self._device, self._group = model, torch.device(device), group
        self._dtype: torch.dtype = getattr(torch, recipe.dtype)
        sampled = recipe.classes and frequency is not None and (recipe.classes, frequency)
        self._readout = ReadoutGradient(model, loss, self._dtype, sampled or None)
        self.optimizer = Optimizer(model, recipe, alone=group.size == 1)

    def learn(
        self, step: Step, state: State, *, taken: int, scale: float
    ) -> tuple[Tensor | None, State]:
        """Take one optimiser step.

        Args:
            step: the number of targets of all processes, and the passes of this one.
            state: the state after the inputs of the previous step.
            taken: number of steps taken so far.
            scale: factor of the learning rate, for the plateau schedule.

        Returns:
            loss: () the mean loss; None without targets. It stays on the device, so that a GPU is
                not waited for.
            state: the state after the inputs of this step.
        """
        mean = torch.zeros((), device=self._device)
        self.optimizer.zero_grad()
        for batch in step.passes:
            state = None if batch.fresh else detach(state)
            if len(batch.inputs) == 0:  # fewer rows than processes
                continue
            if len(batch.targets) == 0:
                if self._model.stateful:
                    with torch.no_grad():
                        state = self._read(batch, state)[1]
                continue
            chosen, state = self._read(batch, state)  # (m, H)
            mean += self._readout.backward(chosen, batch.targets.to(self._device), step.targets)
        if step.targets == 0:
            return None, state
        if self._group.size > 1:
            self._group.all_reduce([mean, *self.optimizer.gradients()])
        self.optimizer.step(taken, scale)
        self._model.constrain()
        return mean, state

    def _read(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Return the features of the batch's targets (m, H), and the state after its inputs."""
        inputs = batch.inputs.to(self._device)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            if batch.dense:
                features, state = self._model.hidden(inputs, state)  # (B, L, H)
                return features.flatten(0, 1), state
            return self._model.features_at(inputs, batch.rows, batch.columns, state)


class Optimizer:
    """Adam, or plain stochastic gradient descent, with the recipe's clipping and schedule.

    On a CPU an embedding's gradient is sparse where it can be, only the rows read in this step,
    without zeros for all others to be filled and added. It can be if the embedding is tied, where
    it is added to the readout's gradient, which is there first.
    Plain gradient descent, which does not change weights without gradient, can use a sparse one of
    an untied embedding; clipping then scales the learning rate instead of every gradient. The
    resulting weights are the same, without passes over all of them.
    """

    def __init__(self, model: SequenceModel, recipe: Recipe, *, alone: bool = True) -> None:
        """Create an optimiser.

        Args:
            model: the model, already on its device.
            recipe: the hyperparameters of training.
            alone: whether no other processes train the model.
        """
        self._recipe = recipe
        self._parameters = [each for each in model.parameters() if each.requires_grad]
        on_cpu = all(parameter.device.type == "cpu" for parameter in self._parameters)
        self._sparse = recipe.optimizer == "sgd" and on_cpu and alone
        self._optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            self._optimizer = torch.optim.SGD(
                self._parameters, lr=recipe.learning_rate, foreach=not self._sparse
            )
        else:
            self._optimizer = torch.optim.Adam(
                self._parameters, lr=recipe.learning_rate, fused=True
            )
        tied = model.leave.weight if isinstance(model, LinearReadout) else None
        for module in model.modules() if on_cpu else ():
            if isinstance(module, torch.nn.Embedding):
                module.sparse = self._sparse or module.weight is tied

    def zero_grad(self) -> None:
        """Remove all gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def gradients(self) -> list[Tensor]:
        """Return the gradient of every weight; a missing one is set to zeros."""
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def step(self, step: int, scale: float) -> None:
        """Clip the gradients and take one step.

        Args:
            step: number of steps taken before.
            scale: factor of the learning rate, for the plateau schedule.
        """
        factor = {
            "constant": 1.0,
            "cosine": 0.5 * (1 + math.cos(math.pi * step / self._recipe.steps)),
            "plateau": scale,
        }[self._recipe.schedule]
        if step < (warmup := min(self._recipe.warmup, self._recipe.steps // 10)):
            factor *= (step + 1) / warmup
        rate = self._recipe.learning_rate * factor * self._clip()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()

    def _clip(self) -> float:
        """Clip the norm of all gradients; return the factor of the learning rate."""
        used = [parameter for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm([_gradient_values(parameter) for parameter in used])
        if not self._sparse:
            clip_grads_with_norm_(used, self._recipe.clip, norm)
            return 1.0
        return min(1.0, self._recipe.clip / (float(norm) + 1e-6))

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed training needs."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of an earlier run."""
        self._optimizer.load_state_dict(state)


def _gradient_values(parameter: Tensor) -> Tensor:
    """Return the values of a parameter's gradient; coalesce it if it is sparse."""
    gradient = parameter.grad
    assert gradient is not None
    if not gradient.is_sparse:
        return gradient
    parameter.grad = gradient.coalesce()
    return parameter.grad.values()
