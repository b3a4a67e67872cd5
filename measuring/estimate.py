"""Adaptive sampling: how many windows to score at each context length, and the estimates.

A pilot sample at every k measures the spread that the control variates leave; the sample size
follows from it, from what a sample may have missed, and from the requested precision. Where there
are fewer distinct windows, or they are cheap, all are scored, and their losses become a control
variate for longer windows. Samples grow until every interval is narrow enough; only spreads and the
largest differences decide that, never a mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.part_errors import PartErrors
from seqmem.measuring.reference import Reference
from seqmem.measuring.sampling import PILOT, Tail, regress, size_needed
from seqmem.measuring.scoring import Scores, is_out_of_memory
from seqmem.measuring.window_scores import WindowScores
from seqmem.measuring.windows import DistinctWindowFinder

__all__ = ["AdaptiveSampling", "Estimate", "Method", "of_reference"]

Method = Literal["all", "sample", "agrees with full", "receptive field", "no longer sequence"]

# Control variates besides the reference: the longest shorter windows of which all were scored.
CONTROLS = 2
# All windows are scored up to the longest context length for which that takes, in total, no more
# steps than a pilot of windows of 1,024 inputs: a sample would save little, and miss what is rare.
CHEAP = 1024 * PILOT
# No interval of a sample is narrower than this share of the requested precision: differences of one
# target in a thousand, as large at every k, may be missed at this k and at the next shorter one.
FINEST = 0.05


@dataclass(frozen=True)
class Estimate:
    """The loss at one context length.

    Attributes:
        method: "all": every distinct window was scored; "sample": some were. In the other three
            cases nothing had to be scored, as the loss equals that of a larger context: features
            agreed with the full context's at a shorter k, k exceeds the receptive field, or no
            sequence is longer.
        n: number of targets whose loss at k is known; N unless sampled.
        half_width: half the 95 % interval of the mean over the split's N targets, with `unseen`; 0
            if all losses are known.
        losses: (N,) float64; if sampled, values whose mean over any group estimates the group's
            mean loss.
        correct: (N,) likewise, whether the largest output is the target's; None for losses
            without accuracy.
        steps: model steps spent on windows of this length.
        unseen: how much targets that a sample missed may add to the mean (see sampling.Tail), which
            the spread of the losses does not show.
        parts: the sampling errors of means over parts of the targets; None if all losses are known.
    """

    method: Method
    n: int
    half_width: float
    losses: Floats
    correct: Floats | None
    steps: int
    unseen: float = 0.0
    parts: PartErrors | None = None


def of_reference(
    reference: Reference,
    method: Method,
    n: int | None = None,
    unseen: float = 0.0,
    parts: PartErrors | None = None,
) -> Estimate:
    """Return the reference pass's losses as the estimate at a context length."""
    scores = reference.scores
    correct = None if scores.correct is None else scores.correct.astype(float)
    n = n or len(scores.losses)
    return Estimate(method, n, unseen, scores.losses, correct, 0, unseen, parts)


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
        self._tails: dict[int, Tail] = {}
        steps = np.cumsum([k * windows.size(k) for k in self._contexts])
        cheap = int(np.searchsorted(steps, CHEAP, side="right"))
        self._cheap = self._contexts[cheap - 1] if cheap else 0  # up to this k all are scored
        self._agrees: int | None = None  # from this k on windows equal the reference
        self.failures: dict[int, str] = {}

    def run(self) -> None:
        """Score as many windows as the precision requires."""
        if self._precision is not None:
            self._pilot()
        finder = DistinctWindowFinder(self._windows.scorer.split)
        searched: set[int] = set()
        while True:
            for k in self._open():
                if k not in searched:
                    self._score_distinct(k, finder)
                    searched.add(k)
            self._check_agreement()
            needed = {k: self._needed(k) for k in self._open()}
            parts = {k: slice(self._size(k), n) for k, n in needed.items() if n > self._size(k)}
            if parts:
                self._score(parts)
            elif searched.issuperset(needed):
                return

    def estimate(self, k: int, steps: int) -> Estimate:
        """Return the estimate at a context length.

        Args:
            k: a context length that is not in `failures`.
            steps: model steps spent on it.
        """
        reference = self._reference
        if k not in self._scores:
            assert self._agrees is not None
            n, unseen = self._size(self._agrees), self._disagreement(self._agrees)
            return of_reference(
                reference, "agrees with full", n, unseen, self._disagreement_of_parts(self._agrees)
            )
        scores = self._scores[k]
        losses, error = self._fill(k, reference.scores.losses, scores.losses, self._controls(k))
        correct = None
        if scores.correct is not None and reference.scores.correct is not None:
            before = reference.scores.correct.astype(float)
            correct, _ = self._fill(k, before, scores.correct.astype(float), [before])
        if self._complete(k):
            return Estimate("all", len(losses), 0.0, losses, correct, steps)
        unseen = self._unseen(k) * self._windows.size(k) / len(losses)
        # No mean is more precise than float32 arithmetic.
        rounding = float(np.finfo(np.float32).eps) * abs(float(losses.mean()))
        least = max(rounding, FINEST * (self._precision or 0.0))
        half = max(math.hypot(error, unseen), least)
        n, parts = len(scores.losses), self._part_errors(k)
        return Estimate("sample", n, half, losses, correct, steps, unseen, parts)

    def scored(self) -> dict[int, tuple[Indices, Floats]]:
        """Return the targets whose windows were scored at each k, and their losses."""
        return {
            k: (self._windows.order(k)[: len(scores.losses)], scores.losses)
            for k, scores in sorted(self._scores.items())
            if k not in self.failures
        }

    def _pilot(self) -> None:
        """Score a small sample at every k, up to the k from which windows equal the reference."""
        pilots = {k: slice(PILOT) for k in self._contexts}
        # Without state, agreement at one k does not imply agreement at longer ones.
        stateful = self._windows.scorer.model.stateful
        self._score(pilots, self._reference if stateful else None)
        self._agrees = max(self._scores, default=None)
        self._check_agreement()

    def _check_agreement(self) -> None:
        """Score pilots of longer windows after all if some may differ from the reference."""
        agrees, precision = self._agrees, self._precision
        if agrees is None or precision is None or self._disagreement(agrees) <= precision:
            return
        self._agrees = None
        longer = [k for k in self._contexts if k > agrees and k not in self.failures]
        self._score({k: slice(PILOT) for k in longer})

    def _disagreement(self, k: int) -> float:
        """Return the largest difference that is likely between the means at k and at full."""
        found = self.estimate(k, 0)
        difference = float(found.losses.mean() - self._reference.scores.losses.mean())
        return abs(difference) + found.half_width

    def _disagreement_of_parts(self, k: int) -> PartErrors:
        """Return what `_disagreement` is, for parts."""
        shift = self.estimate(k, 0).losses - self._reference.scores.losses
        return replace(self._part_errors(k), shift=shift)

    def _part_errors(self, k: int) -> PartErrors:
        """Return the sampling errors of means over parts of the targets."""
        targets = self._windows.order(k)[: self._size(k)]
        fit = regress(self._scores[k].losses, targets, self._controls(k))
        nearest = self._nearest(k)
        others = self._windows.order(nearest)[: self._size(nearest)]
        differences = self._scores[nearest].losses - self._reference.scores.losses[others]
        population = self._windows.size(k)
        return PartErrors(targets, fit.residuals, population, others, differences)

    def _unseen(self, k: int) -> float:
        """Return how much targets that the sample at k missed may add to its population's mean."""
        return self._tail(k).unseen(self._size(k), self._windows.size(k))

    def _tail(self, k: int) -> Tail:
        """Return the differences from the reference at the second next shorter k measured.

        Those at k are assumed to be smaller, or rarer. At the next shorter one they may be so rare
        that its sample missed them too. At the shortest k they are its own.
        """
        nearest = self._nearest(k)
        size = self._size(nearest)
        if nearest not in self._tails or self._tails[nearest].size != size:
            known = self._reference.scores.losses[self._windows.order(nearest)[:size]]
            self._tails[nearest] = Tail(self._scores[nearest].losses - known)
        return self._tails[nearest]

    def _nearest(self, k: int) -> int:
        """Return the second next shorter k measured, else the next shorter one, else k."""
        return min(sorted(known for known in self._scores if known < k)[-2:], default=k)

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

    def _score_distinct(self, k: int, finder: DistinctWindowFinder) -> None:
        """Score all distinct windows of k inputs if that takes fewer than the precision does."""
        chosen = self._windows.population(k)
        found = finder.find(chosen, k)
        if len(found.first) < self._needed(k) * (1.0 if self._precision is not None else 0.5):
            scores = self._windows.scorer.windows(chosen, k, distinct=found).scores()
            self._scores.pop(k, None)
            self._add(k, scores.take(np.searchsorted(chosen, self._windows.order(k))))

    def _needed(self, k: int) -> int:
        """Return how many targets to score at k, counting those scored already."""
        population, size = self._windows.size(k), self._size(k)
        if self._precision is None or k <= self._cheap:
            return population
        allowed = self._precision * len(self._reference.scores.losses) / population
        fit = regress(self._scores[k].losses, self._windows.order(k)[:size], self._controls(k))
        if math.hypot(fit.half_width(population), self._unseen(k)) <= allowed:
            return size
        needed = max(size_needed(fit.spread, self._tail(k), population, allowed), size + PILOT)
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
