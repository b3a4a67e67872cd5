"""Small models and streams, and the curve of a model by brute force."""

import math

import torch
from torch import Tensor, nn

from seqmem.baselines.recurrent import LSTM, RNN
from seqmem.baselines.tcn import TCN
from seqmem.baselines.training.loop import seeded
from seqmem.baselines.transformer import Transformer
from seqmem.tasks.model import FullOutputs, SequenceModel
from seqmem.tasks.task import Context, Split, Task

CONTEXTS: list[Context] = [1, 2, 3, 5, 8, 100, "full"]


def make(kind: str, task: Task) -> SequenceModel:
    """Return a small model with random weights."""
    with seeded(7):
        if kind == "tcn":
            model: SequenceModel = TCN(task.inputs, task.outputs, context=6, hidden=5, kernel=2)
        elif kind == "transformer":
            model = Transformer(task.inputs, task.outputs, context=6, hidden=5, heads=2)
        elif kind == "wrapped":
            plain = LSTM(task.inputs, task.outputs, hidden=5)
            model = FullOutputs(nn.Sequential(plain))
        else:
            layers = {"rnn": RNN, "lstm": LSTM}[kind]
            model = layers(task.inputs, task.outputs, hidden=5, layers=2)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.6)
    return model.eval()


def brute_force(model: SequenceModel, task: Task, split: Split, k: Context) -> list[float]:
    """Return each target's loss, computed from its window alone."""
    losses = []
    starts = split.starts.tolist()
    for position, target in zip(split.positions.tolist(), split.targets, strict=True):
        start = max(s for s in starts if s <= position)
        begin = start if k == "full" else max(start, position - k + 1)
        with torch.inference_mode():
            outputs = model(split.inputs[None, begin : position + 1])[0, -1:]
        losses.append(float(task.loss(outputs, target[None])))
    return losses


def stream(ids: Tensor) -> Split:
    """Return one stream: each id is the target of the previous one."""
    length = len(ids) - 1
    return Split(
        ids[:-1], torch.tensor([0, length]), torch.arange(length), ids[1:].long(),
        torch.arange(length) // 100,
    )  # fmt: skip


class Wrong(nn.Module):
    """Breaks one rule of the contract."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = torch.zeros(*inputs.shape[:2], 10)
        if self.how == "nan":
            outputs[0, -1, 3] = math.nan
        elif self.how == "infinity":
            outputs[..., 0] = math.inf
        elif self.how == "width":
            outputs = outputs[..., :9]
        elif self.how == "length":
            outputs = outputs[:, 1:]
        elif self.how == "last":
            outputs = outputs[:, -1]
        return outputs
