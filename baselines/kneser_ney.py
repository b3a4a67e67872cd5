"""Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1999, section 3), from sorted arrays.

For WikiText-2 (two million words) and n = 5 it takes a few seconds and a few hundred megabytes;
both grow a little faster than the number of words.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqmem.tasks.task import Split

__all__ = ["Estimate", "estimate"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Heafield et al. 2013 ("Scalable modified Kneser-Ney language model estimation", ACL) fall back on
# these in their program where the counts of counts give no discounts.
FALLBACK = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Estimate:
    """An n-gram model: for each context the words seen after it, and what is left for others.

    Contexts are numbered: 0 is the empty one, then come those of one word, of two, … A context is
    the number of its last words and the one word before these, packed as number × vocabulary +
    word. `keys` holds the packed contexts in ascending order, so that a number is a place there.

    Attributes:
        keys: (contexts,) the packed contexts; −1 for the empty one.
        backoff: (contexts,) γ, what the words seen leave; 1 for the empty one.
        begins: (contexts + 1,) where each context's words begin; the empty one has none, as
            `unigram` holds them all.
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
    """The different n-grams whose contexts have one length.

    Attributes:
        pairs: (e,) context's number × vocabulary + word, ascending.
        counts: (e,) occurrences at the highest order, different words before it below.
        lower: (e,) the places of the same n-grams without their first words, in theirs.
    """

    pairs: Ints
    counts: Ints
    lower: Ints


def estimate(split: Split, vocabulary: int, order: int) -> Estimate:
    """Count n-grams and mix the orders, from the lowest up.

    With h the last j words and h′ the last j − 1 of them,

        p(w | h) = (c(hw) − D(c(hw))) / c(h·) + γ(h) p(w | h′),

    where γ(h) makes it sum to one, D takes one of three values for a count of 1, 2 or more,
    estimated for each order, and below the words stands the uniform distribution. At the highest
    order c counts occurrences; below, it counts the different words seen before hw. Where nothing
    can stand before hw because a sequence begins there, it counts these occurrences, as is usual
    for what begins with ``<s>``.

    Args:
        split: the training data; targets are the next inputs.
        vocabulary: how many words there are, seen or not.
        order: n, the most words of an n-gram.
    """
    counted, keys = _count(split, vocabulary, order)
    probs: Floats = np.full(1, 1 / vocabulary)  # of the order below; the uniform one has one entry
    tables, backoffs = [], []
    for counts in counted:
        number = counts.pairs // vocabulary
        first = number[0]  # contexts of one length have consecutive numbers
        total = np.bincount(number - first, counts.counts)
        discount = _discounts(counts.counts)[np.minimum(counts.counts, 3)]
        backoff = np.bincount(number - first, discount) / total
        kept = (counts.counts - discount) / total[number - first]
        probs = kept + backoff[number - first] * probs[counts.lower]
        tables.append(probs)
        backoffs.append(backoff)
    unigram = np.full(vocabulary, backoffs[0][0] / vocabulary)
    unigram[counted[0].pairs] = tables[0]
    pairs = np.concatenate([np.zeros(0, np.int64), *(counts.pairs for counts in counted[1:])])
    return Estimate(
        keys=keys,
        backoff=np.concatenate([np.ones(1), *backoffs[1:]]),
        begins=np.searchsorted(pairs, np.arange(len(keys) + 1) * vocabulary),
        words=(pairs % vocabulary).astype(np.int32),
        probs=np.concatenate([np.zeros(0), *tables[1:]]),
        unigram=unigram,
    )


def _count(split: Split, vocabulary: int, order: int) -> tuple[list[_Counts], Ints]:
    """Count n-grams with contexts of 0, 1, … n − 1 words, and number the contexts.

    Contexts that no sequence is long enough for are left out.
    """
    inputs, positions = split.inputs.numpy(), split.positions.numpy()
    targets = split.targets.numpy().astype(np.int64)
    available = split.available.numpy()
    order = min(order, int(available.max()) + 1)
    length = np.minimum(available, order - 1)  # of each target's longest context
    numbers = [np.zeros(len(targets), np.int64)]  # of each target's contexts; 0 where too short
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
    pairs = np.zeros(0, np.int64)  # of the order above
    for longest in reversed(range(order)):
        # Each target counts where its context is longest; below, each different n-gram counts once.
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
    """Estimate D for counts of 0, 1, 2 and more: (4,) (Chen & Goodman 1999, section 3).

    Where a count from 1 to 4 never occurs, or an estimate leaves nothing, or more than all, of a
    count, these are `FALLBACK`.
    """
    n1, n2, n3, n4 = (int((counts == i).sum()) for i in range(1, 5))
    estimates = FALLBACK
    if n1 and n2 and n3 and n4:
        y = n1 / (n1 + 2 * n2)
        found = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        if all(0 < discount < count for count, discount in enumerate(found, 1)):
            estimates = found
    return np.array([0.0, *estimates])
