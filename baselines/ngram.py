"""The n-gram language model with modified Kneser-Ney smoothing, from sorted arrays.

For WikiText-2 (two million words) and n = 5 counting takes a few seconds and a few hundred
megabytes; both grow a little faster than the number of words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqmem.baselines.options import Count
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import InputSpec, Split, Task, Tokens

__all__ = ["KneserNey"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# The discounts that KenLM (Heafield et al. 2013, "Scalable modified Kneser-Ney language model
# estimation", ACL) uses where they cannot be estimated from the counts of counts.
FALLBACK = (0.5, 1.0, 1.5)


class KneserNey(SequenceModel):
    """Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3).

    The formula is in `_fit_ngrams`. With order 1 the model predicts discounted word frequencies.

    A window of fewer than n − 1 words uses the lower order that it fills. At such k the curve
    shows how this model predicts from less context, not how a model of that order would; `k_train`
    selects the latter.

    Contexts are numbered: 0 is the empty one, followed by those of one word, of two, … A context
    is encoded by the number of its suffix and its first word, as number × vocabulary + word.
    `keys` holds these codes in ascending order; a context's number is its index there.

    Attributes:
        receptive_field: n − 1.
        keys: (contexts,) the codes; −1 for the empty context.
        log_backoff: (contexts,) log γ, the weight of the shorter context; 0 for the empty context.
        begins: (contexts + 1,) the index of each context's first word in `words`; the empty
            context has no words there, because `unigram` holds all of them.
        words: (n-grams,) words seen after contexts.
        log_probs: (n-grams,) log p(word | context), lower orders included.
        unigram: (vocabulary,) log p(word).
    """

    float32_only = True  # shorter floats are too coarse for log-probabilities
    next_token_only = True
    reads_training_data = True  # see ClosedForm

    keys: Tensor
    log_backoff: Tensor
    begins: Tensor
    words: Tensor
    log_probs: Tensor
    unigram: Tensor

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
        tables = _fit_ngrams(task.train(seed, 0), self.vocabulary, self.order)
        for name, table in tables.items():
            setattr(self, name, torch.from_numpy(table))

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


@dataclass(frozen=True)
class _Counts:
    """The distinct n-grams of one order.

    Attributes:
        pairs: (e,) the context's number × vocabulary + word, ascending.
        counts: (e,) occurrences at the highest order, distinct preceding words at lower orders.
        lower: (e,) the index of each n-gram without its first word in the next lower order.
    """

    pairs: Ints
    counts: Ints
    lower: Ints


def _fit_ngrams(split: Split, vocabulary: int, order: int) -> Mapping[str, npt.NDArray[np.generic]]:
    """Return the tables of a model from n-gram counts, interpolated from the lowest order upwards.

    With h the last j words and h′ the last j − 1 of them,

        p(w | h) = (c(hw) − D(c(hw))) / c(h·) + γ(h) p(w | h′),

    where γ(h) normalises the distribution, D has three values for counts of 1, 2 and more,
    estimated for each order, and unigrams are interpolated with the uniform distribution. At the
    highest order c counts occurrences; at lower orders it counts the distinct words seen before
    hw. At the start of a sequence, where no word precedes hw, it counts occurrences, as is usual
    for n-grams that begin with ``<s>``.

    Args:
        split: the training data; targets are the next inputs.
        vocabulary: number of words, whether they occur or not.
        order: n, the largest number of words in an n-gram.
    """
    counted, keys = _count(split, vocabulary, order)
    probs: Floats = np.full(1, 1 / vocabulary)  # of the lower order, at first uniform
    tables, backoffs = [], []
    for counts in counted:
        number = counts.pairs // vocabulary
        first = number[0]  # contexts of one length have consecutive numbers
        total = np.bincount(number - first, counts.counts)
        discount = _discounts(counts.counts)[np.minimum(counts.counts, 3)]
        backoff = np.bincount(number - first, discount) / total
        discounted = (counts.counts - discount) / total[number - first]
        probs = discounted + backoff[number - first] * probs[counts.lower]
        tables.append(probs)
        backoffs.append(backoff)
    unigram = np.full(vocabulary, backoffs[0][0] / vocabulary)
    unigram[counted[0].pairs] = tables[0]
    pairs = np.concatenate([np.zeros(0, np.int64), *(counts.pairs for counts in counted[1:])])
    logarithms = {
        "log_backoff": np.concatenate([np.ones(1), *backoffs[1:]]),
        "log_probs": np.concatenate([np.zeros(0), *tables[1:]]),
        "unigram": unigram,
    }
    return {
        "keys": keys,
        "begins": np.searchsorted(pairs, np.arange(len(keys) + 1) * vocabulary),
        "words": (pairs % vocabulary).astype(np.int32),
        **{name: np.log(value).astype(np.float32) for name, value in logarithms.items()},
    }


def _count(split: Split, vocabulary: int, order: int) -> tuple[list[_Counts], Ints]:
    """Return the counts for contexts of 0, 1, … n − 1 words, and the codes of all contexts.

    Orders that exceed the longest sequence are omitted.
    """
    inputs, positions = split.inputs.numpy(), split.positions.numpy()
    targets = split.targets.numpy().astype(np.int64)
    available = split.available.numpy()
    order = min(order, int(available.max()) + 1)
    length = np.minimum(available, order - 1)  # of each target's longest context
    numbers = [np.zeros(len(targets), np.int64)]  # by context length; 0: the sequence is too short
    keys = [np.full(1, -1, np.int64)]
    first = 1
    for lag in range(order - 1):
        reaches = length > lag
        key = numbers[-1][reaches] * vocabulary + inputs[positions[reaches] - lag]
        found, inverse = np.unique(key, return_inverse=True)
        number = np.zeros_like(targets)
        number[reaches] = first + inverse
        numbers.append(number)
        keys.append(found)
        first += len(found)
    all_keys = np.concatenate(keys)

    counted: list[_Counts] = []
    pairs = np.zeros(0, np.int64)  # of the next higher order
    for longest in reversed(range(order)):
        # A target counts at the order of its longest context; at each lower order, every distinct
        # n-gram of the next higher one counts once.
        own = length == longest
        fully = numbers[longest][own] * vocabulary + targets[own]
        once = all_keys[pairs // vocabulary] // vocabulary * vocabulary + pairs % vocabulary
        pairs, inverse, counts = np.unique(
            np.concatenate([fully, once]), return_inverse=True, return_counts=True
        )
        if counted:
            above = counted[-1]
            counted[-1] = _Counts(above.pairs, above.counts, inverse[len(fully) :])
        counted.append(_Counts(pairs, counts, np.zeros(len(pairs), np.int64)))
    return counted[::-1], all_keys


def _discounts(counts: Ints) -> Floats:
    """Return D for counts of 0, 1, 2 and more: (4,) (Chen & Goodman 1999, section 3).

    `FALLBACK` is used if a count from 1 to 4 never occurs, or if a discount is not above 0 and
    below its count.
    """
    n1, n2, n3, n4 = (int((counts == i).sum()) for i in range(1, 5))
    estimates = FALLBACK
    if n1 and n2 and n3 and n4:
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < discount < count for count, discount in enumerate(found, 1)):
            estimates = found
    return np.array([0.0, *estimates])
