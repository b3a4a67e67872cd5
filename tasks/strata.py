"""Strata: a task's test targets divided into kinds, of which each has a curve of its own.

A mean over all targets says that context helps; its strata say where. Khandelwal et al. 2018 (arXiv
1805.04623, section 4) divide words by their frequency, Arora et al. 2023 (arXiv 2312.04927) by
whether they can be recalled from earlier text. A task offers strata; measuring only carries them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Strata", "by_frequency", "by_recurrence", "kinds_of_target", "previous"]

Whole = npt.NDArray[np.int64]

COUNTS = (10, 100, 1000, 10_000)  # the largest count of each stratum but the last
DISTANCES = (8, 64, 512)


@dataclass(frozen=True, eq=False)
class Strata:
    """The targets of a test split in strata.

    Attributes:
        by: what divides them, in one or a few words, as in "frequency".
        meaning: the same in a sentence's part, as in "how often the target occurs in training".
        labels: the name of each stratum.
        of: (n,) the stratum of each target, an index into `labels`; no stratum is empty.
    """

    by: str
    meaning: str
    labels: tuple[str, ...]
    of: Whole


def kinds_of_target(
    by: str, meaning: str, labels: Sequence[str], of: npt.NDArray[Any]
) -> tuple[Strata, ...]:
    """Return targets in strata, without empty ones; none if all targets are in one stratum.

    Args:
        by: what divides them.
        meaning: the same in a sentence's part.
        labels: the name of each stratum, empty ones included.
        of: (n,) the stratum of each target.
    """
    present, number = np.unique(of, return_inverse=True)
    if len(present) < 2:
        return ()
    named = tuple(labels[each] for each in present.tolist())
    return (Strata(by, meaning, named, number.astype(np.int64)),)


def by_frequency(counts: Whole, targets: npt.NDArray[Any]) -> tuple[Strata, ...]:
    """Return targets divided by how often they occur in training.

    Args:
        counts: (V,) how often each id occurs there.
        targets: (n,) ids.
    """
    return kinds_of_target(
        "frequency",
        "how often the target occurs in training",
        _labels(COUNTS, "times"),
        np.searchsorted(COUNTS, counts[targets]),
    )


def by_recurrence(
    distances: Whole, meaning: str = "how many inputs ago the target last occurred in its sequence"
) -> tuple[Strata, ...]:
    """Return targets divided by how many inputs ago they last occurred.

    Args:
        distances: (n,) 1 for the input at the target's own position, the latest one, so that a
            window of k inputs contains what is at most k ago; 0 if there is no earlier occurrence.
        meaning: what this is, if not exactly that.
    """
    kinds = np.where(distances > 0, np.searchsorted(DISTANCES, distances), len(DISTANCES) + 1)
    return kinds_of_target(
        "recurrence",
        meaning,
        [*_labels(DISTANCES, "ago"), "new"],
        kinds,
    )


def previous(inputs: npt.NDArray[Any], wanted: npt.NDArray[Any], until: Whole) -> Whole:
    """Return the latest place at which each id stands among the inputs: (n,); −1 if nowhere.

    Args:
        inputs: (N,) ids.
        wanted: (n,) ids.
        until: (n,) the last place that counts.
    """
    size = len(inputs)
    occurrences = np.sort(inputs.astype(np.int64) * size + np.arange(size))
    at = np.searchsorted(occurrences, wanted.astype(np.int64) * size + until, side="right") - 1
    found = occurrences[np.maximum(at, 0)]
    return np.where((at >= 0) & (found // size == wanted), found % size, -1)


def _labels(most: Sequence[int], unit: str) -> list[str]:
    """Return the names of ranges of numbers that end at these, and of what is larger."""
    begins = [bound + 1 for bound in most[:-1]]
    return [
        f"at most {most[0]:,} {unit}",
        *(f"{begin:,}–{end:,} {unit}" for begin, end in zip(begins, most[1:], strict=True)),
        f"over {most[-1]:,} {unit}",
    ]
