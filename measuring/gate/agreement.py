"""Whether two answers agree: what is compared, how far apart it may be, and where to look.

Compared is what is scored: log-probabilities, log-odds or values, floored where a loss would not
tell the difference. So a score that is never scored (a masked class at −1e9) makes nothing else
look small beside it. Features tell where answers may differ at all; of those positions the ones
that differ most are read out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.measuring.gate.outputs import Answers, Asker
from seqmem.measuring.gate.report import Check
from seqmem.tasks.losses import Bernoulli, CrossEntropy
from seqmem.tasks.task import Split

__all__ = ["Ledger", "Pair", "as_scored", "tolerance_for"]

# Log-probabilities below this are one: probability 1e-13.
FLOOR = -30.0
# Answers are the same that differ by no more than this share of their scale, or, with shorter
# floats, by no more than so many of their last places. On the suite's models other batch sizes and
# lengths moved float32 outputs by up to 5e-5 (mostly 2e-7), float16 ones by 1e-3 and bfloat16 ones
# by 7e-3; models about to be chaotic by some times that.
SAME, PLACES = 1e-4, 16
# Windows of one length, read together, are computed in the same way: replacing inputs that do not
# matter moved nothing at all there, and 2e-6 in convolutions by Fourier transform.
TOGETHER, SAME_TOGETHER, PLACES_TOGETHER = ("causality", "context"), 1e-5, 4
# Positions read out in one comparison: those that differ most, and some at random.
NUMBERS = 1 << 21
MOST, FEWEST, AT_RANDOM = 256, 16, 16

Indices = npt.NDArray[np.int64]


def tolerance_for(name: str, dtypes: set[torch.dtype]) -> float:
    """Give how far answers may be apart for a check, relative to their scale.

    Args:
        name: of the check.
        dtypes: the kinds of floats that the model computes with.
    """
    same, places = (SAME_TOGETHER, PLACES_TOGETHER) if name in TOGETHER else (SAME, PLACES)
    return max([same, *(places * torch.finfo(d).eps for d in dtypes if d.itemsize < 4)])


@dataclass(frozen=True)
class Pair:
    """Two windows whose outputs must agree from position `first` up to, but not, `last`.

    Attributes:
        left: the row of the one in its batch.
        right: the row of the other.
        first: the first position where they must.
        last: the one behind the last.
        said: what the window is and what was changed, for an example.
    """

    left: int
    right: int
    first: int
    last: int
    said: str


@dataclass
class _Tally:
    compared: int = 0
    deviation: float = 0.0  # in units of what is scored
    example: str | None = None


@dataclass(frozen=True)
class _Places:
    """Positions of pairs, n of them, as indices into both sides' answers."""

    pair: Indices
    left: Indices
    right: Indices
    position: Indices
    differ: Tensor  # (n,) how much their features differ; 0 where they are the same


def as_scored(outputs: Tensor, asker: Asker, split: Split) -> Tensor:
    """Turn outputs (n, outputs) into what is scored, floored, (n, outputs)."""
    loss = asker.task.loss
    if isinstance(loss, CrossEntropy):
        return F.log_softmax(outputs, -1).clamp(min=FLOOR)
    if isinstance(loss, Bernoulli):
        return outputs.clamp(FLOOR, -FLOOR)
    low, high = float(split.targets.min()), float(split.targets.max())
    far = 10 * (high - low)
    return outputs.clamp(low - far, high + far)


def _least_scale(asker: Asker, split: Split) -> float:
    """Give the scale of answers that are all near zero: a nat, or the targets' own."""
    if isinstance(asker.task.loss, CrossEntropy | Bernoulli):
        return 1.0
    return max(float(split.targets.float().abs().max()), 1e-30)


@dataclass
class Ledger:
    """Compares answers, and keeps for each check the largest difference.

    Attributes:
        asker: reads features out.
        split: holds the targets.
        rng: chooses what is read out besides what differs most.
        scale: the largest size of what is scored, seen on windows as they are.
    """

    asker: Asker
    split: Split
    rng: np.random.Generator
    scale: float = 0.0
    _tallies: dict[str, _Tally] = field(default_factory=dict)

    def measure_scale(self, features: Tensor) -> None:
        """Take in features (n, H) of windows as they are."""
        scored = as_scored(self.asker.outputs(features), self.asker, self.split)
        least = _least_scale(self.asker, self.split)
        self.scale = max(self.scale, least, float(scored.abs().max()))

    def tolerance(self, name: str) -> float:
        """Give how far answers may be apart for a check, relative to the scale."""
        return tolerance_for(name, self.asker.dtypes)

    def compare(self, name: str, left: Answers, right: Answers, pairs: Sequence[Pair]) -> None:
        """Compare answers for a check: every position by its features, some by their outputs."""
        tally = self._tallies.setdefault(name, _Tally())
        places = self._places(left, right, pairs)
        if len(places.pair) == 0:
            return
        tally.compared += len(places.pair)
        moved, index = self._largest(left, right, places, np.arange(len(places.pair)))
        if moved > tally.deviation:
            tally.deviation = moved
            said, position = pairs[int(places.pair[index])].said, int(places.position[index])
            allowed = self.tolerance(name) * self.scale
            tally.example = f"{said} moved output {position} by {moved:.2g} (allowed {allowed:.1g})"

    def checks(self) -> tuple[Check, ...]:
        """Give what was found, one check for each name that compared something."""
        found = []
        for name, tally in self._tallies.items():
            tolerance = self.tolerance(name)
            relative = tally.deviation / self.scale
            passed = relative <= tolerance
            example = None if passed else tally.example
            if tally.compared:
                found.append(Check(name, passed, tolerance, relative, tally.compared, example))
        return tuple(found)

    def reach(self, twins: Sequence[tuple[Answers, Sequence[Pair]]], longest: int) -> int | None:
        """Find how many of the latest inputs decide an output, to the tolerance, by bisection.

        Args:
            twins: pairs of windows of one batch whose inputs up to the pair's `first` differ, that
                one among them, and no later ones.
            longest: how many were left the same at most.

        Returns:
            the smallest number such that no output with as many inputs left the same moved by
            more than is allowed; None where the last one did.
        """
        found = [(a, self._places(a, a, pairs), pairs) for a, pairs in twins if pairs]
        allowed = self.tolerance("context") * self.scale

        def moves(kept: int) -> bool:
            for answers, places, pairs in found:
                begins = np.array([pair.first for pair in pairs])
                chosen = np.flatnonzero(places.position - begins[places.pair] >= kept)
                if len(chosen) == 0:
                    continue
                if self._largest(answers, answers, places, chosen)[0] > allowed:
                    return True
            return False

        if moves(longest):
            return None
        low, high = -1, longest  # moves(low) or low < 0, not moves(high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if moves(middle) else (low, middle)
        return high

    def _places(self, left: Answers, right: Answers, pairs: Sequence[Pair]) -> _Places:
        """List the positions that pairs have in common, and how much features differ there."""
        columns = np.intersect1d(left.columns.numpy(), right.columns.numpy())
        in_left = np.searchsorted(left.columns.numpy(), columns)
        in_right = np.searchsorted(right.columns.numpy(), columns)
        parts = []
        for number, pair in enumerate(pairs):
            begin, end = np.searchsorted(columns, [pair.first, pair.last])
            parts.append(
                (
                    np.full(max(end - begin, 0), number),
                    pair.left * len(left.columns) + in_left[begin:end],
                    pair.right * len(right.columns) + in_right[begin:end],
                    columns[begin:end],
                )
            )
        none = (np.zeros(0, np.int64),) * 4
        sides = zip(none, *parts, strict=True)
        pair_of, one, other, position = (np.concatenate(side) for side in sides)
        return _Places(pair_of, one, other, position, _difference(left, right, one, other))

    def _largest(
        self, left: Answers, right: Answers, places: _Places, chosen: Indices
    ) -> tuple[float, int]:
        """Give the largest difference among chosen places, and its place."""
        most = min(max(NUMBERS // self.asker.task.outputs, FEWEST), MOST)
        differ = places.differ[torch.from_numpy(chosen).to(places.differ.device)]
        top = differ.topk(min(most, len(chosen))).indices.cpu().numpy()
        some = self.rng.integers(0, len(chosen), min(AT_RANDOM, len(chosen)))
        read = chosen[np.unique(np.concatenate([top, some]))]
        one = self._read(left, places.left[read])
        # A part at a time, so that a readout that mixes its rows is seen as well.
        half = (len(read) + 1) // 2
        parts = (read[:half], read[half:])
        other = torch.cat([self._read(right, places.right[p]) for p in parts if len(p)])
        moved = (one - other).abs().amax(-1)
        worst = int(moved.argmax())
        return float(moved[worst]), int(read[worst])

    def _read(self, answers: Answers, flat: Indices) -> Tensor:
        features = answers.features.flatten(0, 1)[torch.from_numpy(flat)]
        return as_scored(self.asker.outputs(features), self.asker, self.split)


def _difference(left: Answers, right: Answers, one: Indices, other: Indices) -> Tensor:
    """(n,) the largest difference of features, each relative to its size."""
    width = left.features.shape[-1]
    if width == 0 or len(one) == 0:
        return torch.zeros(len(one))
    scale = left.largest.clamp(min=torch.finfo(left.largest.dtype).tiny)
    a, b = left.features.flatten(0, 1), right.features.flatten(0, 1)
    parts = []
    for begin in range(0, len(one), max(NUMBERS // width, 1)):
        part = slice(begin, begin + max(NUMBERS // width, 1))
        these, those = a[torch.from_numpy(one[part])], b[torch.from_numpy(other[part])]
        apart = (these - those).abs() if a.is_floating_point() else (these != those).float()
        parts.append((apart / scale).amax(-1).float())
    return torch.cat(parts)
