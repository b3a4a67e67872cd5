"""The memoryless reference model: one constant output, whatever the inputs."""

import torch
from torch import Tensor

from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec, Task

__all__ = ["Marginal"]


class Marginal(SequenceModel):
    """The best constant output: word frequencies (unigram), the mean, or the targets' marginal.

    Its curve is flat at the task's chance level.
    """

    receptive_field = 0
    reads_training_data = False

    def __init__(self, inputs: InputSpec, outputs: int) -> None:
        """Create a model with `outputs` outputs; it ignores the inputs."""
        super().__init__()
        self.register_buffer("constant", torch.zeros(outputs))

    def fit(self, task: Task, seed: int) -> None:
        """Set the task's best constant, which does not depend on the seed."""
        self.constant = task.constant()

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L, …) -> (B, L, 0)."""
        return torch.zeros(*inputs.shape[:2], 0, device=inputs.device), None

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, 0) -> (…, outputs)."""
        return self.constant.expand(*hidden.shape[:-1], -1)

    def state_size(self, context: int) -> int:
        """Return 0: there is no state."""
        return 0
