"""How many windows each context length needs, and what they say of the mean over all targets.

A pilot sample of every k tells the spread that the controls leave; from it follows how many windows
the precision needs. Where the distinct windows are fewer, all are scored, and the losses become a
control for longer windows. Samples grow until every interval is narrow enough; only spreads decide
that, never a mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from seqmem.measuring.reference import Reference
from seqmem.measuring.sampling import PILOT, regress, size_needed, size_to_see
from seqmem.measuring.scoring import Scores, is_out_of_memory
from seqmem.measuring.window_scores import WindowScores
from seqmem.measuring.windows import DistinctWindows

__all__ = ["Estimate", "Method", "Search", "of_reference"]

Method = Literal["all", "sample", "agrees with full", "receptive field", "no longer sequence"]
Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

# Longer windows are compared with the reference and these last ones of which all were scored.
CONTROLS = 2


@dataclass(frozen=True)
class Estimate:
    """The loss at one context length.

    Attributes:
        method: "all": every distinct window was scored; "sample": some were. In the other three
            cases nothing had to be scored, as the loss is that of a larger context: features agreed
            with the full context's at a shorter k already, the model sees no further, or no
            sequence is so long.
        n: targets whose loss at k is known; N unless sampled.
        half_width: half the 95 % interval of the mean over the split's N targets; 0 where all are
            known.
        losses: (N,) float64; where sampled, estimates whose mean over any group is an estimate of
            that group's.
        correct: (N,) likewise, of whether the largest output names the target; None for losses
            without that.
        steps: model steps spent on windows of this length.
    """

    method: Method
    n: int
    half_width: float
    losses: Values
    correct: Values | None
    steps: int


def of_reference(
    reference: Reference, method: Method, n: int | None = None, half_width: float = 0.0
) -> Estimate:
    """Give the reference pass's losses as those of a context length."""
    scores = reference.scores
    correct = None if scores.correct is None else scores.correct.astype(float)
    return Estimate(method, n or len(scores.losses), half_width, scores.losses, correct, 0)


class Search:
    """Scores windows until every context length is known well enough.

    Attributes:
        known: context lengths that could be measured; all, once `run` is done, but the failures.
        failures: why a context length could not be measured.
    """

    def __init__(
        self,
        windows: WindowScores,
        reference: Reference,
        contexts: Sequence[int],
        precision: float | None,
    ) -> None:
        """Take what scores windows, the reference, the k to find out about, and how precisely.

        Args:
            windows: scores any part of a random order of targets.
            reference: every target's loss with more context.
            contexts: ascending; windows of each are shorter than the longest sequence.
            precision: the largest half-width of an interval; None: every target is scored.
        """
        self._windows, self._reference, self._precision = windows, reference, precision
        self._contexts = list(contexts)
        self._scores: dict[int, Scores] = {}  # of the head of each order
        self._agrees: int | None = None  # the k from which on windows say what the reference says
        self.failures: dict[int, str] = {}

    @property
    def known(self) -> set[int]:
        """The context lengths that could be measured."""
        return set(self._contexts) - set(self.failures)

    def run(self) -> None:
        """Score what is needed."""
        if self._precision is not None:
            self._pilot()
        distinct = DistinctWindows(self._windows.scorer.split)
        wanted = {k: self._needed(k, distinct) for k in self._open()}
        while wanted := {k: n for k, n in wanted.items() if n > self._size(k)}:
            self._score({k: slice(self._size(k), n) for k, n in wanted.items()})
            wanted = {k: self._needed(k) for k in self._open()}

    def estimate(self, k: int, steps: int) -> Estimate:
        """Say what is known of a context length.

        Args:
            k: one of `known`.
            steps: model steps spent on it.
        """
        reference = self._reference
        if k not in self._scores:
            assert self._agrees is not None
            nearest = self.estimate(self._agrees, 0)
            half = max(nearest.half_width, self._unseen(self._agrees))
            return of_reference(reference, "agrees with full", nearest.n, half)
        scores = self._scores[k]
        losses, half = self._fill(k, reference.scores.losses, scores.losses, self._controls(k))
        correct = None
        if scores.correct is not None and reference.scores.correct is not None:
            before = reference.scores.correct.astype(float)
            correct, _ = self._fill(k, before, scores.correct.astype(float), [before])
        if self._complete(k):
            return Estimate("all", len(losses), 0.0, losses, correct, steps)
        # No sum is known better than the arithmetic it was made with.
        rounding = float(np.finfo(np.float32).eps) * abs(float(losses.mean()))
        n = len(scores.losses)
        return Estimate("sample", n, max(half, rounding), losses, correct, steps)

    def _pilot(self) -> None:
        """Score the same small number of targets at every k, as far as that says anything new."""
        pilots = {k: slice(PILOT) for k in self._contexts}
        # Without a state, that features agree says nothing of longer windows.
        stateful = self._windows.scorer.model.stateful
        self._score(pilots, self._reference if stateful else None)
        rest = {k: part for k, part in pilots.items() if k not in self._scores}
        rest = {k: part for k, part in rest.items() if k not in self.failures}
        last = max(self._scores, default=None)
        if not rest or last is None:
            return
        if self._precision is not None and self._unseen(last) <= self._precision:
            self._agrees = last
        else:  # what is rare may be too large to be overlooked
            self._score(rest)

    def _unseen(self, k: int) -> float:
        """Bound what targets of a kind that the sample of k missed may add to the mean.

        At most 3 in n targets are of such a kind (the rule of three), and none, it is supposed, has
        a larger difference to the reference than any at the next shorter context.
        """
        return 3 * self._largest_before(k) / max(self._size(k), 1)

    def _largest_before(self, k: int) -> float:
        """Give the largest difference to the reference at the next shorter k measured."""
        shorter = [known for known in self._scores if known < k]
        if not shorter:
            return 0.0
        scores = self._scores[max(shorter)].losses
        targets = self._windows.order(max(shorter))[: len(scores)]
        return float(np.abs(scores - self._reference.scores.losses[targets]).max())

    def _open(self) -> list[int]:
        """Give the context lengths about which more can be found out, ascending."""
        return [
            k
            for k in self._contexts
            if k not in self.failures
            and not (self._agrees is not None and k > self._agrees)
            and not self._complete(k)
        ]

    def _size(self, k: int) -> int:
        return len(self._scores[k].losses) if k in self._scores else 0

    def _complete(self, k: int) -> bool:
        return self._size(k) == self._windows.size(k)

    def _needed(self, k: int, distinct: DistinctWindows | None = None) -> int:
        """Give how many targets must be scored at k; score all right away where that is cheaper."""
        needed = self._size_for_precision(k)
        if distinct is not None:
            chosen = self._windows.population(k)
            shared = distinct.find(chosen, k)
            if len(shared.first) < needed * (1.0 if self._precision is not None else 0.5):
                scores = self._windows.scorer.windows(chosen, k, shared=shared).scores()
                places = np.searchsorted(chosen, self._windows.order(k))
                self._scores.pop(k, None)
                self._add(k, scores.take(places))
                return self._size(k)
        return needed

    def _size_for_precision(self, k: int) -> int:
        """Give how many targets must be scored at k; those that are, if they are enough."""
        population, size = self._windows.size(k), self._size(k)
        if self._precision is None:
            return population
        allowed = self._precision * len(self._reference.scores.losses) / population
        fit = regress(self._scores[k].losses, self._windows.order(k)[:size], self._controls(k))
        seen = size_to_see(self._largest_before(k), population, allowed)
        if fit.half_width(population) <= allowed and size >= seen:
            return size
        needed = max(size_needed(fit.spread, population, allowed), seen, size + PILOT)
        return population if needed > 0.9 * population else needed

    def _score(self, wanted: Mapping[int, slice], reference: Reference | None = None) -> None:
        """Score parts of the orders; a k that does not fit in memory costs only itself."""
        try:
            for k, scores in self._windows.score(wanted, reference).items():
                self._add(k, scores)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            for k in wanted:
                if len(wanted) == 1:
                    self.failures[k] = "out of memory"
                else:
                    self._score({k: wanted[k]})

    def _add(self, k: int, scores: Scores) -> None:
        """Take in scores of the next targets in the order of k."""
        if not np.isfinite(scores.losses).all():
            self.failures[k] = "the model's outputs are not finite (NaN or infinity)"
            return
        self._scores[k] = Scores.join([self._scores[k], scores]) if k in self._scores else scores

    def _controls(self, k: int) -> list[Values]:
        """Give the losses, (N,) each, that those at k are compared with."""
        complete = [known for known in sorted(self._scores) if known < k and self._complete(known)]
        known = self._reference.scores.losses
        controls = [known]
        for shorter in complete[-CONTROLS:]:
            losses = known.copy()
            losses[self._windows.order(shorter)] = self._scores[shorter].losses
            controls.append(losses)
        return controls

    def _fill(
        self, k: int, before: Values, values: Values, controls: Sequence[Values]
    ) -> tuple[Values, float]:
        """Spread a sample's values over all targets; give them, and half the mean's interval."""
        population, order = self._windows.population(k), self._windows.order(k)
        filled = before.copy()
        if len(values) == len(population):
            filled[order] = values
            return filled, 0.0
        fit = regress(values, order[: len(values)], controls)
        fit.fill(filled, population, controls)
        return filled, fit.half_width(len(population)) * len(population) / len(filled)
