"""Adaptive sampling: how many windows to score at each context length, and the estimates.

A pilot sample at every k measures the spread that the control variates leave; the sample size
follows from it and from the requested precision. Where there are fewer distinct windows, all are
scored, and their losses become a control variate for longer windows. Samples grow until every
interval is narrow enough; only spreads decide that, never a mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seqmem.measuring.arrays import Floats
from seqmem.measuring.reference import Reference
from seqmem.measuring.sampling import PILOT, regress, size_needed, size_to_see
from seqmem.measuring.scoring import Scores, is_out_of_memory
from seqmem.measuring.window_scores import WindowScores
from seqmem.measuring.windows import DistinctWindowFinder

__all__ = ["AdaptiveSampling", "Estimate", "Method", "of_reference"]

Method = Literal["all", "sample", "agrees with full", "receptive field", "no longer sequence"]

# Control variates besides the reference: the longest shorter windows of which all were scored.
CONTROLS = 2


@dataclass(frozen=True)
class Estimate:
    """The loss at one context length.

    Attributes:
        method: "all": every distinct window was scored; "sample": some were. In the other three
            cases nothing had to be scored, as the loss equals that of a larger context: features
            agreed with the full context's at a shorter k, k exceeds the receptive field, or no
            sequence is longer.
        n: number of targets whose loss at k is known; N unless sampled.
        half_width: half the 95 % interval of the mean over the split's N targets; 0 if all losses
            are known.
        losses: (N,) float64; if sampled, values whose mean over any group estimates the group's
            mean loss.
        correct: (N,) likewise, whether the largest output is the target's; None for losses
            without accuracy.
        steps: model steps spent on windows of this length.
    """

    method: Method
    n: int
    half_width: float
    losses: Floats
    correct: Floats | None
    steps: int


def of_reference(
    reference: Reference, method: Method, n: int | None = None, half_width: float = 0.0
) -> Estimate:
    """Return the reference pass's losses as the estimate at a context length."""
    scores = reference.scores
    correct = None if scores.correct is None else scores.correct.astype(float)
    return Estimate(method, n or len(scores.losses), half_width, scores.losses, correct, 0)


class AdaptiveSampling:
    """Scores windows until the estimate at every context length is precise enough.

    Attributes:
        failures: why a context length could not be measured.
    """

    def __init__(
        self,
        windows: WindowScores,
        reference: Reference,
        contexts: Sequence[int],
        precision: float | None,
    ) -> None:
        """Take the windows, the reference pass, the context lengths and the precision.

        Args:
            windows: scores any part of a random order of targets.
            reference: every target's loss with more context.
            contexts: ascending; windows of each are shorter than the longest sequence.
            precision: the largest half-width of an interval; None: every target is scored.
        """
        self._windows, self._reference, self._precision = windows, reference, precision
        self._contexts = list(contexts)
        self._scores: dict[int, Scores] = {}  # of the first targets of each order
        self._agrees: int | None = None  # from this k on windows equal the reference
        self.failures: dict[int, str] = {}

    def run(self) -> None:
        """Score as many windows as the precision requires."""
        if self._precision is not None:
            self._pilot()
        distinct = DistinctWindowFinder(self._windows.scorer.split)
        wanted = {k: self._needed(k, distinct) for k in self._open()}
        while wanted := {k: n for k, n in wanted.items() if n > self._size(k)}:
            self._score({k: slice(self._size(k), n) for k, n in wanted.items()})
            wanted = {k: self._needed(k) for k in self._open()}

    def estimate(self, k: int, steps: int) -> Estimate:
        """Return the estimate at a context length.

        Args:
            k: a context length that is not in `failures`.
            steps: model steps spent on it.
        """
        reference = self._reference
        if k not in self._scores:
            assert self._agrees is not None
            nearest = self.estimate(self._agrees, 0)
            half = max(nearest.half_width, self._missed(self._agrees))
            return of_reference(reference, "agrees with full", nearest.n, half)
        scores = self._scores[k]
        losses, half = self._fill(k, reference.scores.losses, scores.losses, self._controls(k))
        correct = None
        if scores.correct is not None and reference.scores.correct is not None:
            before = reference.scores.correct.astype(float)
            correct, _ = self._fill(k, before, scores.correct.astype(float), [before])
        if self._complete(k):
            return Estimate("all", len(losses), 0.0, losses, correct, steps)
        # No mean is more precise than float32 arithmetic.
        rounding = float(np.finfo(np.float32).eps) * abs(float(losses.mean()))
        n = len(scores.losses)
        return Estimate("sample", n, max(half, rounding), losses, correct, steps)

    def _pilot(self) -> None:
        """Score a small sample at every k, up to the k from which windows equal the reference."""
        pilots = {k: slice(PILOT) for k in self._contexts}
        # Without state, agreement at one k does not imply agreement at longer ones.
        stateful = self._windows.scorer.model.stateful
        self._score(pilots, self._reference if stateful else None)
        rest = {k: part for k, part in pilots.items() if k not in self._scores}
        rest = {k: part for k, part in rest.items() if k not in self.failures}
        last = max(self._scores, default=None)
        if not rest or last is None:
            return
        if self._precision is not None and self._missed(last) <= self._precision:
            self._agrees = last
        else:  # rare targets may have large differences that the sample missed
            self._score(rest)

    def _missed(self, k: int) -> float:
        """Bound what a kind of targets that the sample at k missed may add to the mean.

        At most 3 in n targets are of such a kind (the rule of three), and it is assumed that none
        differs more from the reference than the largest difference at the next shorter k.
        """
        return 3 * self._largest_before(k) / max(self._size(k), 1)

    def _largest_before(self, k: int) -> float:
        """Return the largest difference from the reference at the next shorter k measured."""
        shorter = [known for known in self._scores if known < k]
        if not shorter:
            return 0.0
        scores = self._scores[max(shorter)].losses
        targets = self._windows.order(max(shorter))[: len(scores)]
        return float(np.abs(scores - self._reference.scores.losses[targets]).max())

    def _open(self) -> list[int]:
        """Return the context lengths at which more windows can be scored, ascending."""
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

    def _needed(self, k: int, distinct: DistinctWindowFinder | None = None) -> int:
        """Return how many targets to score at k; score all distinct windows if that is cheaper."""
        needed = self._size_for_precision(k)
        if distinct is not None:
            chosen = self._windows.population(k)
            found = distinct.find(chosen, k)
            if len(found.first) < needed * (1.0 if self._precision is not None else 0.5):
                scores = self._windows.scorer.windows(chosen, k, distinct=found).scores()
                places = np.searchsorted(chosen, self._windows.order(k))
                self._scores.pop(k, None)
                self._add(k, scores.take(places))
                return self._size(k)
        return needed

    def _size_for_precision(self, k: int) -> int:
        """Return how many targets to score at k, counting those scored already."""
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
        """Score parts of the orders; a k that does not fit in memory fails alone."""
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
        """Append scores of the next targets in the order at k."""
        if not np.isfinite(scores.losses).all():
            self.failures[k] = "the model's outputs are not finite (NaN or infinity)"
            return
        self._scores[k] = Scores.join([self._scores[k], scores]) if k in self._scores else scores

    def _controls(self, k: int) -> list[Floats]:
        """Return the control variates at k: losses, (N,) each."""
        complete = [known for known in sorted(self._scores) if known < k and self._complete(known)]
        known = self._reference.scores.losses
        controls = [known]
        for shorter in complete[-CONTROLS:]:
            losses = known.copy()
            losses[self._windows.order(shorter)] = self._scores[shorter].losses
            controls.append(losses)
        return controls

    def _fill(
        self, k: int, before: Floats, values: Floats, controls: Sequence[Floats]
    ) -> tuple[Floats, float]:
        """Spread a sample's values over all targets; return them and the mean's half-width."""
        population, order = self._windows.population(k), self._windows.order(k)
        filled = before.copy()
        if len(values) == len(population):
            filled[order] = values
            return filled, 0.0
        fit = regress(values, order[: len(values)], controls)
        fit.fill(filled, population, controls)
        return filled, fit.half_width(len(population)) * len(population) / len(filled)
