"""The n-gram language model with modified Kneser-Ney smoothing."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.kneser_ney import fit_ngrams
from seqmem.baselines.options import Count
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec, Task, Tokens

__all__ = ["KneserNey"]


class KneserNey(SequenceModel):
    """Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3).

    The formula is in `seqmem.baselines.kneser_ney`. With order 1 the model predicts discounted
    word frequencies.

    A window of fewer than n − 1 words uses the lower order that it fills. At such k the curve
    shows how this model predicts from less context, not how a model of that order would; `k_train`
    selects the latter.

    Attributes:
        receptive_field: n − 1.
    """

    float32_only = True  # shorter floats are too coarse for log-probabilities
    next_token_only = True
    reads_training_data = True  # see ClosedForm

    # As in `SmoothedNGrams`, with logarithms of probabilities.
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
        order: Count = 5,
    ) -> None:
        """Create a model that has counted nothing and predicts all words equally.

        Args:
            inputs: must be ids.
            outputs: must equal the number of ids.
            context: the largest number of inputs to condition on.
            covers: ignored; `order` bounds the context in any case.
            order: n of the n-grams; reduced to context + 1 if that is less.

        Raises:
            ValueError: inputs and outputs are not ids of one vocabulary.
        """
        super().__init__()
        if inputs != Tokens(outputs):
            raise ValueError("n-grams need ids as inputs, and as many outputs as there are ids")
        self.order = min(order, context + 1)
        self.receptive_field = self.order - 1
        self.vocabulary = outputs
        # Before `fit` the distribution is uniform.
        self.register_buffer("keys", torch.full((1,), -1))
        self.register_buffer("log_backoff", torch.zeros(1))
        self.register_buffer("begins", torch.zeros(2, dtype=torch.int64))
        self.register_buffer("words", torch.zeros(0, dtype=torch.int32))
        self.register_buffer("log_probs", torch.zeros(0))
        self.register_buffer("unigram", torch.full((outputs,), 1 / outputs).log())
        self.register_load_state_dict_pre_hook(_resize_tables)  # type: ignore[no-untyped-call]

    def fit(self, task: Task, seed: int) -> None:
        """Count the n-grams of the training data's first epoch.

        Raises:
            InputError: the task has no training data.
        """
        ngrams = fit_ngrams(task.train(seed, 0), self.vocabulary, self.order)
        self.keys = torch.from_numpy(ngrams.keys)
        self.begins = torch.from_numpy(ngrams.begins)
        self.words = torch.from_numpy(ngrams.words)
        self.log_backoff = torch.from_numpy(np.log(ngrams.backoff)).float()
        self.log_probs = torch.from_numpy(np.log(ngrams.probs)).float()
        self.unigram = torch.from_numpy(np.log(ngrams.unigram)).float()

    def hidden(self, inputs: Tensor, state: State = None) -> tuple[Tensor, State]:
        """(B, L) ids -> (B, L, n − 1) the latest ids, oldest first, −1 before the start."""
        length = self.order - 1
        if length == 0:
            return inputs.new_zeros((*inputs.shape, 0), dtype=torch.int64), None
        return F.pad(inputs.long(), (length - 1, 0), value=-1).unfold(1, length, 1), None

    def readout(self, hidden: Tensor) -> Tensor:
        """(…, n − 1) ids -> (…, vocabulary) log-probabilities."""
        numbers = self._numbers(hidden.flatten(0, -2))  # (m, n − 1)
        # log of the weight that all longer contexts leave to the one of j words, j = 0 … n − 1:
        # (m, n)
        backoff = self.log_backoff[numbers].double().flip(1).cumsum(1).flip(1)
        left = F.pad(backoff, (0, 1)).float()
        outputs = self.unigram + left[:, :1]  # (m, vocabulary)
        row_begins = torch.arange(len(outputs), device=outputs.device) * self.vocabulary
        for length in range(1, self.order):
            # A word seen after a context was also seen after each of its suffixes, so that each
            # longer context overwrites the probabilities of its words.
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
        """Return the number of ids before the current one that the next step needs."""
        return min(max(self.order - 2, 0), context)

    def _numbers(self, contexts: Tensor) -> Tensor:
        """(m, n − 1) ids -> (m, n − 1) numbers of the contexts of 1, 2, … ids; 0: never seen."""
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


def _resize_tables(
    module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Resize the buffers of a new model to those of the saved tables before they are loaded."""
    for name, buffer in module.named_buffers(recurse=False):
        saved = state_dict.get(prefix + name)
        if saved is not None and name != "unigram":  # the vocabulary must be the same
            setattr(module, name, buffer.new_empty(saved.shape))
