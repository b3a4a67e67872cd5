"""Measure a model that you trained yourself, with PyTorch alone.

    python examples/pytorch_model.py

The model is any module from inputs (B, L) or (B, L, D) to scores (B, L, outputs). Its training here
is a plain loop over the task's sequences; yours may be anything.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seqmem

TASK = "adding-problem/T=20"


class Net(nn.Module):
    """A GRU with a linear readout."""

    def __init__(self, dimension: int, outputs: int) -> None:
        """Create a model with random weights."""
        super().__init__()
        self.layer = nn.GRU(dimension, 32, batch_first=True)
        self.leave = nn.Linear(32, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return scores (B, L, outputs) of inputs (B, L, D)."""
        return self.leave(self.layer(inputs)[0])


def main(steps: int = 300) -> None:
    """Train, measure, print the curve, and compare it with the LSTM on the board."""
    torch.manual_seed(0)
    task = seqmem.load_task(TASK)
    data = task.train(seed=0, epoch=0)
    length = int(data.starts[1])
    inputs, targets = data.inputs.view(-1, length, 2), data.targets.view(-1)
    model = Net(2, task.outputs)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for step in range(steps):
        rows = torch.arange(64 * step, 64 * step + 64) % len(inputs)
        loss = F.mse_loss(model(inputs[rows])[:, -1, 0], targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    curve = seqmem.measure(model, task, name="my-gru")
    print(curve)
    print(curve.frame[["k", "loss", "loss_low", "loss_high", "optimum"]].to_string(index=False))
    print(seqmem.compare(curve, "lstm", k=8))


if __name__ == "__main__":
    main()
