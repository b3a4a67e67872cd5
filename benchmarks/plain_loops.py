"""Reimplementations of two published training loops, as the reference of seqmem's training time.

They perform the published computations in the published order. Words: the word language model among
PyTorch's examples (github.com/pytorch/examples). Copy memory: the experiment of Bai, Kolter &
Koltun 2018 (github.com/locuslab/TCN).
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from seqmem.tasks.model import SequenceModel, State, detach

__all__ = ["PlainCopyLoop", "PlainLSTM", "PlainTCN", "PlainWordLoop"]


class PlainLSTM(SequenceModel):
    """Embedding, LSTM, decoder over all words, time before batch.

    `hidden` and `readout` are not used in training: seqmem measures the trained model with them.
    """

    stateful = True

    def __init__(self, words: int, size: int, layers: int, dropout: float) -> None:
        """Create a model; embeddings have the size of the state."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, size)
        self.layers = nn.LSTM(size, size, layers, dropout=dropout)
        self.decoder = nn.Linear(size, words)

    def read(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """(L, B) ids -> (L, B, size), and the state after them."""
        features, state = self.layers(self.dropout(self.encoder(inputs)), state)
        return self.dropout(features), state

    def log_probabilities(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """(L, B) ids -> (L · B, words), and the state after them."""
        features, state = self.read(inputs, state)
        return F.log_softmax(self.decoder(features).flatten(0, 1), dim=1), state

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L) ids -> (B, L, size), and the state after them."""
        features, state = self.read(inputs.t(), state)
        return features.transpose(0, 1), state

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, size) -> (…, words)."""
        outputs: Tensor = self.decoder(hidden)
        return outputs


class PlainWordLoop:
    """Log-probabilities of all words at all positions, negative log-likelihood, plain descent."""

    def __init__(
        self,
        model: PlainLSTM,
        ids: Tensor,
        *,
        batch: int,
        segment: int,
        first: int,
        learning_rate: float,
        clip: float,
    ) -> None:
        """Arrange the stream in lanes and set the state to zeros.

        Args:
            model: on its device.
            ids: (N,) the training text.
            batch: lanes side by side.
            segment: inputs of each lane in one step.
            first: inputs of each lane in the first step.
            learning_rate: of every step.
            clip: largest norm of all gradients.
        """
        self._model, self._rate, self._clip = model, learning_rate, clip
        device = model.decoder.weight.device
        length = len(ids) // batch
        # (T, B), on the device from the start, as the published loop has it
        stream = ids[: length * batch].view(batch, length).t().contiguous()
        self._stream = stream.long().to(device)
        self._segment, self._next = segment, first
        self._begin = 0
        layers, size = model.layers.num_layers, model.layers.hidden_size
        self._state: State = tuple(torch.zeros(layers, batch, size, device=device) for _ in "hc")
        self._criterion = nn.NLLLoss()

    def run(self, steps: int) -> list[float]:
        """Take some steps; return their losses."""
        self._model.train()
        return [self._step() for _ in range(steps)]

    def _step(self) -> float:
        begin, end = self._begin, self._begin + self._next
        self._begin, self._next = end, self._segment
        inputs, targets = self._stream[begin:end], self._stream[begin + 1 : end + 1].reshape(-1)
        self._model.zero_grad()
        scores, self._state = self._model.log_probabilities(inputs, detach(self._state))
        loss: Tensor = self._criterion(scores, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), self._clip)
        for parameter in self._model.parameters():
            assert parameter.grad is not None
            parameter.data.add_(parameter.grad, alpha=-self._rate)
        return loss.item()


class PlainTCN(nn.Module):
    """Residual blocks of dilated convolutions on one float channel, and a linear readout."""

    def __init__(self, outputs: int, channels: int, kernel: int, levels: int) -> None:
        """Create a model."""
        super().__init__()
        entering = [1] + [channels] * (levels - 1)
        self.blocks = nn.Sequential(
            *(
                _PaddedBlock(width, channels, kernel, 2**level, dropout=0.0)
                for level, width in enumerate(entering)
            )
        )
        self.linear = nn.Linear(channels, outputs)
        nn.init.normal_(self.linear.weight, std=0.01)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 1, L) floats -> (B, L, outputs)."""
        outputs: Tensor = self.linear(self.blocks(inputs).transpose(1, 2))
        return outputs


class _PaddedBlock(nn.Module):
    """Two weight-normalised convolutions, padded at both ends and cut at the end."""

    def __init__(
        self, width: int, channels: int, kernel: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        padding = (kernel - 1) * dilation
        layers: list[nn.Module] = []
        for entering in (width, channels):
            convolution = nn.Conv1d(entering, channels, kernel, padding=padding, dilation=dilation)
            layers += [weight_norm(convolution), _Cut(padding), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.match: nn.Module = nn.Identity()
        if width != channels:
            self.match = nn.Conv1d(width, channels, 1)
            nn.init.normal_(self.match.weight, std=0.01)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, width, L) -> (B, channels, L)."""
        return F.relu(self.layers(inputs) + self.match(inputs))


class _Cut(nn.Module):
    """Removes the last steps, which come from the padding at the end."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, channels, L) -> (B, channels, L − steps)."""
        return inputs[:, :, : -self._steps].contiguous()


class PlainCopyLoop:
    """Cross-entropy at all positions, accuracy, RMSprop; clipping before the backward pass."""

    def __init__(
        self,
        model: PlainTCN,
        batches: Iterator[tuple[Tensor, Tensor]],
        *,
        learning_rate: float,
        clip: float,
    ) -> None:
        """Create a loop.

        Args:
            model: on its device.
            batches: inputs (B, L) as floats and targets (B, L), on the device.
            learning_rate: of every step.
            clip: largest norm of all gradients.
        """
        self._model, self._batches, self._clip = model, batches, clip
        self._optimizer = torch.optim.RMSprop(model.parameters(), lr=learning_rate)
        self._criterion = nn.CrossEntropyLoss()
        self.correct = 0

    def run(self, steps: int) -> list[float]:
        """Take some steps; return their losses."""
        self._model.train()
        return [self._step() for _ in range(steps)]

    def _step(self) -> float:
        inputs, targets = next(self._batches)
        self._optimizer.zero_grad()
        outputs = self._model(inputs.unsqueeze(1).contiguous()).flatten(0, 1)  # (B · L, outputs)
        loss: Tensor = self._criterion(outputs, targets.reshape(-1))
        self.correct += int((outputs.detach().argmax(1) == targets.reshape(-1)).sum())
        # Before the backward pass, as published: without effect.
        nn.utils.clip_grad_norm_(self._model.parameters(), self._clip)
        loss.backward()
        self._optimizer.step()
        return loss.item()
