"""The optimiser of a training: clipping, the learning rate's schedule, and one step."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from seqmem.baselines.layers import LinearReadout
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks.model import SequenceModel

__all__ = ["Optimizer"]


class Optimizer:
    """Adam, or plain stochastic gradient descent, with the recipe's clipping and schedule.

    Gradient descent leaves a weight without gradient alone. On a CPU an embedding that shares no
    weights then gets a sparse gradient, of the few rows read in this step, and clipping scales the
    learning rate in place of every gradient: the same weights, without passes over all of them.
    """

    def __init__(self, model: SequenceModel, recipe: Recipe, *, alone: bool = True) -> None:
        """Take the model, on its device, the recipe, and whether no others share its gradients."""
        self._recipe = recipe
        self._parameters = [each for each in model.parameters() if each.requires_grad]
        on_cpu = all(parameter.device.type == "cpu" for parameter in self._parameters)
        self._lean = recipe.optimizer == "sgd" and on_cpu and alone
        self._optimizer: torch.optim.Optimizer
        if recipe.optimizer == "sgd":
            self._optimizer = torch.optim.SGD(
                self._parameters, lr=recipe.learning_rate, foreach=not self._lean
            )
        else:
            self._optimizer = torch.optim.Adam(
                self._parameters, lr=recipe.learning_rate, fused=True
            )
        if self._lean:
            for embedding in _untied_embeddings(model):
                embedding.sparse = True

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._optimizer.zero_grad(set_to_none=True)

    def gradients(self) -> list[Tensor]:
        """Give the gradient of every weight; one that has none gets zeros."""
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return [parameter.grad for parameter in self._parameters if parameter.grad is not None]

    def step(self, step: int, scale: float) -> None:
        """Clip the gradients and take one step.

        Args:
            step: how many were taken before.
            scale: of the learning rate, for the plateau schedule.
        """
        factor = {
            "constant": 1.0,
            "cosine": 0.5 * (1 + math.cos(math.pi * step / self._recipe.steps)),
            "plateau": scale,
        }[self._recipe.schedule]
        rate = self._recipe.learning_rate * factor * self._clip()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()

    def _clip(self) -> float:
        """Bound the norm of all gradients; give what the learning rate is multiplied with."""
        used = [parameter for parameter in self._parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm([_numbers(parameter) for parameter in used])
        if not self._lean:
            clip_grads_with_norm_(used, self._recipe.clip, norm)
            return 1.0
        return min(1.0, self._recipe.clip / (float(norm) + 1e-6))

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed training needs."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up."""
        self._optimizer.load_state_dict(state)


def _numbers(parameter: Tensor) -> Tensor:
    """Give the numbers of a gradient, each once."""
    gradient = parameter.grad
    assert gradient is not None
    if not gradient.is_sparse:
        return gradient
    parameter.grad = gradient.coalesce()
    return parameter.grad.values()


def _untied_embeddings(model: SequenceModel) -> list[torch.nn.Embedding]:
    tied = model.leave.weight if isinstance(model, LinearReadout) else None
    return [
        module
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding) and module.weight is not tied
    ]
