"""One optimiser step: forward, backward, clip, step, project."""

import torch
from torch import Tensor

from seqmem.baselines.training.batches import Step
from seqmem.baselines.training.optimizer import Optimizer
from seqmem.baselines.training.process_group import SINGLE_PROCESS, ProcessGroup
from seqmem.baselines.training.readout_gradient import ReadoutGradient
from seqmem.baselines.training.recipes import Recipe
from seqmem.tasks.losses import Loss
from seqmem.tasks.model import SequenceModel, State, detach

__all__ = ["Learner"]


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
    ) -> None:
        """Create a learner.

        Args:
            model: the model, already on the device.
            loss: what it minimises.
            recipe: the hyperparameters of training.
            device: where to train.
            group: the processes that train the same model.
        """
        self._model, self._device, self._group = model, torch.device(device), group
        self._dtype: torch.dtype = getattr(torch, recipe.dtype)
        self._readout = ReadoutGradient(model, loss, self._dtype)
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
        if self._group.size > 1:
            self._group.all_reduce([mean, *self.optimizer.gradients()])
        self.optimizer.step(taken, scale)
        self._model.constrain()
        return mean, state

    def _read(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            return self._model.hidden(inputs, state)
