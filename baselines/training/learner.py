"""One optimiser step: forward, backward, clip, step, project."""

import torch
from torch import Tensor

from seqmem.baselines.training.batches import Step
from seqmem.baselines.training.optimizer import Optimizer
from seqmem.baselines.training.process_group import ALONE, Team
from seqmem.baselines.training.readout_gradient import ReadoutGradient
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks.losses import Loss
from seqmem.tasks.model import SequenceModel, State, detach

__all__ = ["Learner"]


class Learner:
    """A model and what it learns with.

    Attributes:
        optimizer: its state belongs to a checkpoint.
    """

    def __init__(
        self, model: SequenceModel, loss: Loss, recipe: Recipe, device: str, team: Team = ALONE
    ) -> None:
        """Take the model, on its device, what it minimises, the recipe, and who learns with it."""
        self._model, self._device, self._team = model, torch.device(device), team
        self._dtype: torch.dtype = getattr(torch, recipe.dtype)
        self._readout = ReadoutGradient(model, loss, self._dtype)
        self.optimizer = Optimizer(model, recipe, alone=team.size == 1)

    def learn(
        self, step: Step, state: State, *, taken: int, scale: float
    ) -> tuple[Tensor | None, State]:
        """Learn from one step.

        Args:
            step: how many targets all learn from, and the passes that predict those here.
            state: behind the inputs of the step before.
            taken: steps taken so far.
            scale: of the learning rate, for the plateau schedule.

        Returns:
            the mean loss, None without targets, and the state behind this step. The loss, (), is
            left where it was computed, so that a GPU need not be waited for.
        """
        mean = torch.zeros((), device=self._device)
        self.optimizer.zero_grad()
        for batch in step.passes:
            state = None if batch.fresh else detach(state)
            if len(batch.inputs) == 0:  # others have the few rows that there are
                continue
            inputs = batch.inputs.to(self._device)
            if len(batch.targets) == 0:
                if self._model.stateful:
                    with torch.no_grad():
                        state = self._read(inputs, state)[1]
                continue
            features, state = self._read(inputs, state)  # (B, L, H)
            if batch.dense:
                chosen = features.flatten(0, 1)  # (m, H)
            else:
                chosen = features[batch.rows.to(self._device), batch.columns.to(self._device)]
            mean += self._readout.backward(chosen, batch.targets.to(self._device), step.targets)
        if step.targets == 0:
            return None, state
        if self._team.size > 1:
            self._team.add_up([mean, *self.optimizer.gradients()])
        self.optimizer.step(taken, scale)
        self._model.constrain()
        return mean, state

    def _read(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            return self._model.hidden(inputs, state)
