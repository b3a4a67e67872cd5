"""Scoring windows: the random order of targets at each context length, and their scores.

At every k there is one random order of the targets with more than k inputs available; a sample is
the first part of that order, so that a larger sample extends a smaller one. (For a target with k
inputs or fewer a window equals the reference pass.) There are two ways to choose the order:

* **by target:** each target has one random number for all k; each window is read on its own.
* **by start:** each position of the text has one random number, and the target at context k is the
  k-th from there. A window of 2k inputs then continues a window of k inputs that is already read:
  the model continues from its state, which saves half of the steps or more. It needs a target at
  every position and a model with state; what the model has read is always a window, and never
  includes the target.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.measuring.reference import Reference
from seqmem.measuring.scoring import (
    Scores,
    Sink,
    for_model,
    in_batches,
    is_out_of_memory,
    most_steps,
    pass_steps,
    read_at,
)
from seqmem.measuring.windows import DistinctWindows, window_inputs
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split, Task

__all__ = ["ByStart", "ByTarget", "Scorer", "WindowScores", "is_dense"]

Features = Mapping[int, Tensor]  # target -> its features, (H,), in the reference pass

# Windows in one batch: at least this many for efficient matrix products, and at most.
ROWS = {"cpu": (64, 1024), "cuda": (64, 16384)}
# Features count as equal if they differ by no more than this, relative to the largest one: float32
# has seven digits, of which sums in another order cost one or two.
ROUNDING = 1e-5


def _agree(sink: Sink, targets: Indices, reference: Reference) -> bool:
    """Return whether features and losses of all these targets equal those of the reference pass."""
    losses = reference.scores.losses[targets]
    return (
        0 < len(targets) == sink.compared
        and sink.deviation <= ROUNDING
        and bool(np.allclose(sink.scores().losses, losses, rtol=ROUNDING, atol=ROUNDING))
    )


def is_dense(split: Split) -> bool:
    """Return whether every input has a target."""
    return len(split.positions) == len(split.inputs)


@dataclass(frozen=True)
class Scorer:
    """A model, the targets on which it is scored, and where it runs.

    Attributes:
        model: in evaluation mode, on the device.
        task: the task, which defines outputs and loss.
        split: sequences and targets.
        device: where the model runs.
        progress: called with k and the model steps just spent on it.
    """

    model: SequenceModel
    task: Task
    split: Split
    device: str
    progress: Callable[[int, int], object]

    def sink(self, size: int, reference: Features | None) -> Sink:
        """Return a collector of scores."""
        return Sink(self.model, self.task, self.split, size, reference)

    def read(
        self, inputs: Tensor, rows: Tensor, columns: Tensor, state: State, k: int
    ) -> tuple[Tensor, State]:
        """Read inputs; return features (m, H) at m positions and the state; count steps for k."""
        inputs = for_model(inputs, self.model, self.device)
        features, state = read_at(self.model, inputs, rows, columns, state)
        self.progress(k, inputs.shape[0] * inputs.shape[1])
        return features, state

    def last(self, inputs: Tensor, state: State, k: int) -> tuple[Tensor, State]:
        """Read inputs; return features (B, H) at the end of each row, and the state."""
        rows = torch.arange(len(inputs))
        return self.read(inputs, rows, torch.full_like(rows, inputs.shape[1] - 1), state, k)

    def last_of_long(self, index: Tensor, state: State, k: int) -> tuple[Tensor, State]:
        """Read inputs at indices (B, L) in pieces that fit; return what `last` does.

        For a model with state. Where memory runs out, pieces are halved.
        """
        last = torch.empty(0)

        def piece(steps: Tensor) -> None:
            nonlocal last, state
            inputs = self.split.inputs[index[:, steps]]
            if int(steps[-1]) == index.shape[1] - 1:
                last, state = self.last(inputs, state, k)
            else:  # features that nobody needs may be large
                none = torch.empty(0, dtype=torch.int64)
                _, state = self.read(inputs, none, none, state, k)

        most = max(pass_steps(self.device, self.model) // len(index), 1)
        in_batches(torch.arange(index.shape[1]), most, piece)
        return last, state

    def rows(self, steps: int) -> int:
        """Return how many windows of this many steps to read at once."""
        low, high = ROWS[torch.device(self.device).type]
        fit = max(most_steps(self.device, self.model) // steps, 1)
        return min(max(pass_steps(self.device, self.model) // steps, low), high, fit)

    def windows(
        self,
        targets: Indices,
        k: int,
        reference: Features | None = None,
        distinct: DistinctWindows | None = None,
    ) -> Sink:
        """Score targets from windows of k inputs, each read on its own.

        Equal windows are read once.

        Args:
            targets: (m,) indices, each with k inputs available.
            k: the window length.
            reference: features to compare with.
            distinct: which of the windows are equal; None: they count as different.
        """
        sink = self.sink(len(targets), reference)
        distinct = distinct or DistinctWindows(targets, np.arange(len(targets)))
        # Targets, those of one window together.
        members = np.argsort(distinct.window, kind="stable")
        bounds = np.searchsorted(distinct.window[members], np.arange(len(distinct.first) + 1))

        def batch(windows: Tensor) -> None:
            first = torch.from_numpy(distinct.first[windows.numpy()])
            last, _ = self.last(window_inputs(self.split, first, k), None, k)
            begin, end = int(windows[0]), int(windows[-1]) + 1
            places = members[bounds[begin] : bounds[end]]
            rows = torch.from_numpy(distinct.window[places] - begin)
            sink.score(last, torch.from_numpy(targets[places]), places, rows)

        in_batches(torch.arange(len(distinct.first)), self.rows(k), batch)
        return sink


class WindowScores(ABC):
    """Scores samples of windows, each the first part of a random order."""

    def __init__(self, scorer: Scorer, seed: int) -> None:
        """Take the scorer, and the seed of the order."""
        self.scorer = scorer
        self.available = scorer.split.available.numpy()
        self._ascending = np.sort(self.available)
        self.rng = np.random.default_rng(seed)

    def population(self, k: int) -> Indices:
        """Return the targets with more than k inputs available, ascending."""
        return np.flatnonzero(self.available > k)

    def size(self, k: int) -> int:
        """Return the number of targets with more than k inputs available."""
        return len(self._ascending) - int(np.searchsorted(self._ascending, k, side="right"))

    @abstractmethod
    def order(self, k: int) -> Indices:
        """Return the same targets in the order in which they are sampled."""

    @abstractmethod
    def score(
        self, wanted: Mapping[int, slice], reference: Reference | None = None
    ) -> dict[int, Scores]:
        """Score parts of the orders.

        Args:
            wanted: k -> which part of its order.
            reference: the reference pass, to stop at the first k that agrees with it; for models
                with state.

        Returns:
            k -> scores, ascending. If at some k the features and losses of all these targets
            agree with the reference's, longer windows would as well: that k is the last.
        """


class ByTarget(WindowScores):
    """Each window read on its own: for any model and any targets."""

    def __init__(self, scorer: Scorer, seed: int) -> None:
        """Draw a random number for each target."""
        super().__init__(scorer, seed)
        self._numbers = self.rng.permutation(len(scorer.split))

    def order(self, k: int) -> Indices:
        """Return the targets with more than k inputs in the order of their random numbers."""
        return self._numbers[self.available[self._numbers] > k]

    def score(
        self, wanted: Mapping[int, slice], reference: Reference | None = None
    ) -> dict[int, Scores]:
        """Score parts of the orders; see WindowScores."""
        scores: dict[int, Scores] = {}
        for k in sorted(wanted):
            targets = self.order(k)[wanted[k]]
            sink = self.scorer.windows(
                targets, k, None if reference is None else reference.features
            )
            scores[k] = sink.scores()
            if reference is not None and _agree(sink, targets, reference):
                break
        return scores


class ByStart(WindowScores):
    """Windows that grow: for splits with a target at every position.

    A model with state continues from one k to the next. A model without state (with `every_k`)
    reads the longest window once, and its features at the k-th position are those of k inputs,
    provided that it is causal.
    """

    def __init__(self, scorer: Scorer, seed: int) -> None:
        """Draw a random number for each position."""
        super().__init__(scorer, seed)
        self._numbers = self.rng.permutation(len(scorer.split.inputs))
        lengths = scorer.split.starts.diff().numpy()
        self._remaining = np.repeat(lengths, lengths) - self.available + 1

    def starts(self, k: int) -> Indices:
        """Return where windows of k inputs begin, in the order of their random numbers.

        Not at the beginning of a sequence: such a window equals the reference pass.
        """
        fits = (self._remaining >= k) & (self.available > 1)
        starts: Indices = self._numbers[fits[self._numbers]]
        return starts

    def order(self, k: int) -> Indices:
        """Return the targets with more than k inputs in the order of their windows' starts."""
        targets: Indices = self.starts(k) + (k - 1)
        return targets

    def score(
        self, wanted: Mapping[int, slice], reference: Reference | None = None
    ) -> dict[int, Scores]:
        """Score parts of the orders; see WindowScores."""
        rows = self.scorer.rows(1 if self.scorer.model.stateful else max(wanted, default=1))
        if reference is not None:
            rows = max(rows, sum(part.stop for part in wanted.values()))  # a pilot, in one batch
        while True:
            try:
                return self._score(wanted, reference, rows)
            except (MemoryError, RuntimeError) as error:
                if rows == 1 or not is_out_of_memory(error):
                    raise
                rows //= 2

    def _score(
        self, wanted: Mapping[int, slice], reference: Reference | None, rows: int
    ) -> dict[int, Scores]:
        parts = {k: _Part(self.starts(k)[wanted[k]]) for k in sorted(wanted)}
        features = None if reference is None else reference.features
        sinks = {k: self.scorer.sink(len(part.starts), features) for k, part in parts.items()}
        groups = list(self._groups(parts, rows))
        for group in groups:
            if not self.scorer.model.stateful:
                for starts, final in group:
                    self._read_once(starts, final, parts, sinks)
                continue
            windows = [_GrowingWindows(self.scorer, starts, final) for starts, final in group]
            for k, part in parts.items():
                for window in windows:
                    if window.final >= k:
                        last = window.grow(k)  # (B, H)
                        row, places = part.find(window.starts)
                        targets = torch.from_numpy(window.starts[row] + (k - 1))
                        sinks[k].score(last[torch.from_numpy(row)], targets, places)
                if reference is None or len(groups) > 1:
                    continue
                if _agree(sinks[k], part.starts + (k - 1), reference):
                    return {length: sinks[length].scores() for length in parts if length <= k}
        return {k: sink.scores() for k, sink in sinks.items()}

    def _read_once(
        self, starts: Indices, final: int, parts: Mapping[int, "_Part"], sinks: Mapping[int, Sink]
    ) -> None:
        """Read windows of the longest length, and score from them what is requested at every k."""

        def batch(chosen: Tensor) -> None:
            own = starts[chosen.numpy()]
            found = {k: part.find(own) for k, part in parts.items() if k <= final}
            rows = np.concatenate([row for row, _ in found.values()])
            lengths = np.repeat([*found], [len(row) for row, _ in found.values()])
            inputs = self.scorer.split.inputs[torch.from_numpy(own)[:, None] + torch.arange(final)]
            features, _ = self.scorer.read(
                inputs, torch.from_numpy(rows), torch.from_numpy(lengths - 1), None, final
            )
            begin = 0
            for k, (row, places) in found.items():
                part = features[begin : begin + len(row)]
                sinks[k].score(part, torch.from_numpy(own[row] + (k - 1)), places)
                begin += len(row)

        in_batches(torch.arange(len(starts)), self.scorer.rows(final), batch)

    def _groups(
        self, parts: Mapping[int, "_Part"], rows: int
    ) -> Iterator[list[tuple[Indices, int]]]:
        """Yield starts and the length to which they grow, as many as are read in one batch."""
        finals = np.zeros(len(self._numbers), np.int64)  # the longest k requested of each start
        for k, part in parts.items():
            finals[part.starts] = k
        group: list[tuple[Indices, int]] = []
        room = rows
        for final in np.unique(finals[finals > 0])[::-1].tolist():
            starts = np.flatnonzero(finals == final)
            while len(starts) > 0:
                group.append((starts[:room], final))
                starts, room = starts[room:], room - len(group[-1][0])
                if room == 0:
                    yield group
                    group, room = [], rows
        if group:
            yield group


class _Part:
    """Some starts of one k, and where each of their scores is stored."""

    def __init__(self, starts: Indices) -> None:
        self.starts = starts
        self._order = np.argsort(starts)
        self._sorted = starts[self._order]

    def find(self, starts: Indices) -> tuple[Indices, Indices]:
        """Return which of these starts are in this part, and their places in it."""
        if len(self.starts) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        place = np.searchsorted(self._sorted, starts).clip(max=len(self._sorted) - 1)
        rows = np.flatnonzero(self._sorted[place] == starts)
        return rows, self._order[place[rows]]


class _GrowingWindows:
    """A batch of windows of equal length that grows, for a model with state."""

    def __init__(self, scorer: Scorer, starts: Indices, final: int) -> None:
        self.starts, self.final = starts, final
        self._scorer = scorer
        self._begin = torch.from_numpy(starts)
        self._state: State = None
        self._length = 0

    def grow(self, k: int) -> Tensor:
        """Return the features at the end of windows of k inputs: (B, H)."""
        index = self._begin[:, None] + torch.arange(self._length, k)
        last, self._state = self._scorer.last_of_long(index, self._state, k)
        self._length = k
        return last
