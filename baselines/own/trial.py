"""A trial of a user's model on two short sequences, before it is trained or measured."""

import torch
from torch import Tensor

from seqmem.baselines.own.errors import one_line_errors
from seqmem.baselines.own.outputs import are_probabilities, main_tensor
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task, Tokens

__all__ = ["try_out"]


@torch.no_grad()
def try_out(model: SequenceModel, task: Task, text: str) -> str | None:
    """Read two short sequences; return a warning, if there is one.

    Args:
        model: the model; put into evaluation mode.
        task: the task.
        text: the model as the user wrote it, for messages.

    Raises:
        InputError: the model cannot be called, or returns something else than outputs.
    """
    source = torch.Generator().manual_seed(0)
    inputs: Tensor
    if isinstance(task.inputs, Tokens):
        inputs = torch.randint(0, task.inputs.vocabulary, (2, 3), generator=source).int()
    else:
        inputs = torch.rand(2, 3, task.inputs.dimension, generator=source)
    place = next(model.parameters(), inputs)
    inputs = inputs.to(place.device)
    model.eval()
    with one_line_errors(text, f"called with inputs {tuple(inputs.shape)} it"):
        features, state = model.hidden(inputs)
        if model.stateful:  # what it returned is what it takes
            features, _ = model.hidden(inputs, state)
        outputs = model.readout(features)
        main_tensor(outputs, (2, 3, task.outputs), type(model).__name__)
    if isinstance(task.loss, CrossEntropy) and are_probabilities(outputs):
        return (
            f"model '{text}' seems to return probabilities (a softmax): seqmem takes scores and "
            "applies the softmax itself; return what goes into yours"
        )
    return None
