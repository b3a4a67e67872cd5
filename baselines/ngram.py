"""The n-gram model: counts of what followed the last n − 1 words, smoothed by those of fewer."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.kneser_ney import estimate
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec, Task, Tokens

__all__ = ["KneserNey"]


class KneserNey(SequenceModel):
    """Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3).

    `seqmem.baselines.kneser_ney` has the formula. With order 1 these are the words' own
    frequencies, discounted.

    A window that is shorter than n − 1 gets the distribution of the order that it fills: below
    n − 1 the curve shows what the model knows with less, not a model made for less, which is what
    `k_train` gives.

    Attributes:
        receptive_field: n − 1.
    """

    float32_only = True  # probabilities need their digits
    next_token_only = True
    reads_training_data = True  # see ClosedForm

    # An `Estimate`, probabilities as their logarithms.
    keys: Tensor  # (contexts,) int64
    log_backoff: Tensor  # (contexts,)
    begins: Tensor  # (contexts + 1,) int64
    words: Tensor  # (n-grams,) int32
    log_probs: Tensor  # (n-grams,)
    unigram: Tensor  # (vocabulary,)

    def __init__(
        self,
        inputs: InputSpec,
        outputs: int,
        *,
        context: int,
        covers: bool = True,
        order: int = 5,
    ) -> None:
        """Take what comes in, how many outputs go out, and the order.

        Args:
            inputs: must be ids.
            outputs: as many as there are ids.
            context: the most inputs to condition on.
            covers: not looked at; `order` bounds the context either way.
            order: n of the n-grams, at most: with less context it is context + 1.

        Raises:
            ValueError: inputs and outputs are not ids of one vocabulary.
        """
        super().__init__()
        if inputs != Tokens(outputs):
            raise ValueError("n-grams need ids as inputs, and as many outputs as there are ids")
        self.order = min(order, context + 1)
        self.receptive_field = self.order - 1
        self.vocabulary = outputs
        # Until it has counted, every word is as likely as any other.
        self.register_buffer("keys", torch.full((1,), -1))
        self.register_buffer("log_backoff", torch.zeros(1))
        self.register_buffer("begins", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("words", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("log_probs", torch.zeros(0))
        self.register_buffer("unigram", torch.full((outputs,), 1 / outputs).log())
        self.register_load_state_dict_pre_hook(_take_sizes)  # type: ignore[no-untyped-call]

    def fit(self, task: Task, seed: int) -> None:
        """Count the n-grams of the training data's first epoch.

        Raises:
            InputError: the task has no training data.
        """
        model = estimate(task.train(seed, 0), self.vocabulary, self.order)
        self.keys = torch.from_numpy(model.keys)
        self.begins = torch.from_numpy(model.begins)
        self.words = torch.from_numpy(model.words)
        self.log_backoff = torch.from_numpy(np.log(model.backoff)).float()
        self.log_probs = torch.from_numpy(np.log(model.probs)).float()
        self.unigram = torch.from_numpy(np.log(model.unigram)).float()

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L) ids -> (B, L, n − 1) the latest ids, oldest first, −1 before the start."""
        length = self.order - 1
        if length == 0:
            return inputs.new_zeros((*inputs.shape, 0), dtype=torch.int64), None
        return F.pad(inputs.long(), (length - 1, 0), value=-1).unfold(1, length, 1), None

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, n − 1) ids -> (…, vocabulary) log-probabilities."""
        numbers = self._numbers(hidden.flatten(0, -2))  # (m, n − 1)
        # What all longer contexts leave to the one of j words, j = 0 … n − 1: (m, n)
        backoff = self.log_backoff[numbers].double().flip(1).cumsum(1).flip(1)
        left = F.pad(backoff, (0, 1)).float()
        outputs = self.unigram + left[:, :1]  # (m, vocabulary)
        row_begins = torch.arange(len(outputs), device=outputs.device) * self.vocabulary
        for length in range(1, self.order):
            # A word seen after a context was seen after its last words too, so that each longer
            # context replaces what the shorter ones gave to its words.
            number = numbers[:, length - 1]
            begin = self.begins[number]
            count = self.begins[number + 1] - begin
            entry = torch.arange(int(count.sum()), device=outputs.device)
            entry += (begin - (count.cumsum(0) - count)).repeat_interleave(count)
            place = row_begins.repeat_interleave(count) + self.words.index_select(0, entry)
            log_prob = self.log_probs.index_select(0, entry)
            log_prob += left[:, length].repeat_interleave(count)
            outputs.view(-1).index_copy_(0, place, log_prob)
        return outputs.reshape(*hidden.shape[:-1], self.vocabulary)

    def state_size(self, context: int) -> int:
        """Count the ids before the current one that the next step needs."""
        return min(max(self.order - 2, 0), context)

    def _numbers(self, contexts: Tensor) -> Tensor:
        """(m, n − 1) ids -> (m, n − 1) the numbers of the last 1, 2, … of them; 0: never seen."""
        if self.order == 1:
            return contexts
        numbers = []
        number = torch.zeros_like(contexts[:, 0])
        known = torch.ones_like(number, dtype=torch.bool)
        for lag in range(1, self.order):
            word = contexts[:, -lag]
            key = torch.where(known & (word >= 0), number * self.vocabulary + word, -1)
            place = torch.searchsorted(self.keys, key).clamp(max=len(self.keys) - 1)
            number = torch.where(self.keys[place] == key, place, 0)
            known = number > 0
            numbers.append(number)
        return torch.stack(numbers, 1)


def _take_sizes(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Let a model that has counted nothing take the tables of one that has."""
    for name, buffer in module.named_buffers(recurse=False):
        saved = state_dict.get(prefix + name)
        if saved is not None and name != "unigram":  # the vocabulary must be the same
            setattr(module, name, buffer.new_empty(saved.shape))
