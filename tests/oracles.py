"""Models that reach the optimum of a synthetic task, and one that looks ahead."""

import torch
from torch import Tensor, nn

from seqmem.tasks.hidden_markov import SYMBOLS, TOPICS, HiddenMarkov

CERTAIN = 100.0  # a score so far above the others that the rest have probability zero


class CopyOracle(nn.Module):
    """Recalls a symbol that is in the window, and otherwise guesses uniformly.

    The number of delimiters so far determines which symbol is due; the last symbol is the tenth.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        batch, length = inputs.shape
        position = torch.arange(length).expand(batch, -1)
        is_symbol = (inputs >= 1) & (inputs <= 8)
        tenth = torch.where(is_symbol, position, -1).cummax(1).values
        due = (inputs == 9).cumsum(1) - 2
        place = tenth - 9 + due
        recalling = inputs == 9
        known = recalling & (due >= 0) & (tenth >= 0) & (place >= 0)
        scores = torch.full((batch, length, 10), -CERTAIN)
        scores[..., 1:9] = torch.where(recalling[..., None], 0.0, -CERTAIN)
        scores[..., 0] = torch.where(recalling, -CERTAIN, 0.0)
        symbol = inputs.long().gather(1, place.clamp(min=0))
        certain = nn.functional.one_hot(symbol, 10).float() * CERTAIN
        return torch.where(known[..., None], certain, scores)


class AddingOracle(nn.Module):
    """Returns the sum of the visible marked numbers, plus ½ for each marker not seen."""

    def forward(self, inputs: Tensor) -> Tensor:
        value, marker = inputs.unbind(-1)
        return ((value * marker).cumsum(1) + (2 - marker.cumsum(1)) / 2)[..., None]


class MarkovOracle(nn.Module):
    """The forward algorithm, one symbol at a time."""

    def __init__(self, task: HiddenMarkov) -> None:
        super().__init__()
        self.emission = torch.from_numpy(task.emission)
        self.transition = torch.from_numpy(task.transition)

    def forward(self, inputs: Tensor) -> Tensor:
        belief = torch.full((len(inputs), TOPICS), 1 / TOPICS, dtype=torch.float64)
        outputs = []
        for symbol in inputs.T.long():
            belief = belief * self.emission[:, symbol].T
            belief = belief / belief.sum(1, keepdim=True) @ self.transition
            outputs.append((belief @ self.emission).log().float())
        scores = torch.stack(outputs, 1)
        assert scores.shape[-1] == SYMBOLS
        return scores


class Peeking(nn.Module):
    """Returns the next input as its output: a model that looks ahead."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        following = torch.cat([inputs[:, 1:], torch.zeros_like(inputs[:, :1])], 1)
        return nn.functional.one_hot(following.long(), self.outputs).float() * CERTAIN
