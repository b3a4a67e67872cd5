"""Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3), from sorted arrays.

For WikiText-2 (two million words) and n = 5 it takes a few seconds and a few hundred megabytes;
both grow a little faster than the number of words.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.tasks.task import Split

__all__ = ["SmoothedNGrams", "fit_ngrams"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# The discounts that KenLM (Heafield et al. 2013, "Scalable modified Kneser-Ney language model
# estimation", ACL) uses where they cannot be estimated from the counts of counts.
FALLBACK = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class SmoothedNGrams:
    """An n-gram model: for each context the words seen after it, and the weight of all others.

    Contexts are numbered: 0 is the empty one, followed by those of one word, of two, … A context
    is encoded by the number of its suffix and its first word, as number × vocabulary + word.
    `keys` holds these codes in ascending order; a context's number is its index there.

    Attributes:
        keys: (contexts,) the codes; −1 for the empty context.
        backoff: (contexts,) γ, the weight of the shorter context; 1 for the empty context.
        begins: (contexts + 1,) the index of each context's first word in `words`; the empty
            context has no words there, because `unigram` holds all of them.
        words: (n-grams,) words seen after contexts.
        probs: (n-grams,) p(word | context), lower orders included.
        unigram: (vocabulary,) p(word).
    """

    keys: Ints
    backoff: Floats
    begins: Ints
    words: npt.NDArray[np.int32]
    probs: Floats
    unigram: Floats


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


def fit_ngrams(split: Split, vocabulary: int, order: int) -> SmoothedNGrams:
    """Return a model from n-gram counts, interpolated from the lowest order upwards.

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
    return SmoothedNGrams(
        keys=keys,
        backoff=np.concatenate([np.ones(1), *backoffs[1:]]),
        begins=np.searchsorted(pairs, np.arange(len(keys) + 1) * vocabulary),
        words=(pairs % vocabulary).astype(np.int32),
        probs=np.concatenate([np.zeros(0), *tables[1:]]),
        unigram=unigram,
    )


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
