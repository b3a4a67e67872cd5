"""Whether outputs agree: what is compared, the tolerance, and at which positions.

What is compared is what is scored: log-probabilities, log-odds or values, clamped where the loss
would hardly differ. So a class that is never a target (masked with a score of −1e9) makes no other
difference look small. Features show where outputs can differ at all; outputs are computed at the
positions whose features differ most.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.measuring.gate.outputs import OutputReader, WindowFeatures
from seqmem.measuring.gate.report import Check
from seqmem.tasks.losses import Bernoulli, CrossEntropy
from seqmem.tasks.task import Split

__all__ = ["Comparisons", "WindowPair", "as_scored", "tolerance_for"]

# Log-probabilities below this count as equal: probability 1e-13.
FLOOR = -30.0
# Outputs agree if they differ by no more than this share of their scale or, with shorter floats,
# by no more than this many units in the last place. On the suite's models other batch sizes and
# lengths changed float32 outputs by up to 5e-5 (mostly 2e-7), float16 ones by 1e-3 and bfloat16
# ones by 7e-3; models close to chaos by a few times that.
SAME, PLACES = 1e-4, 16
# Windows of one length, read together, are computed in the same way: replacing inputs that do not
# matter changed nothing at all there, and 2e-6 in convolutions by Fourier transform.
TOGETHER, SAME_TOGETHER, PLACES_TOGETHER = ("causality", "context"), 1e-5, 4
# Outputs are computed at the positions of a comparison that differ most, and at some random ones.
NUMBERS = 1 << 21
MOST, FEWEST, AT_RANDOM = 256, 16, 16


def tolerance_for(name: str, dtypes: set[torch.dtype]) -> float:
    """Return by how much outputs may differ in a check, relative to their scale.

    Args:
        name: name of the check.
        dtypes: the floating-point types in which the model computes.
    """
    same, places = (SAME_TOGETHER, PLACES_TOGETHER) if name in TOGETHER else (SAME, PLACES)
    return max([same, *(places * torch.finfo(d).eps for d in dtypes if d.itemsize < 4)])


@dataclass(frozen=True)
class WindowPair:
    """Two windows whose outputs must agree at positions `first` to `end` − 1.

    Attributes:
        left: the row of one window in its batch.
        right: the row of the other.
        first: the first position at which they must agree.
        end: the position after the last.
        description: which window it is and what was changed, for an example.
    """

    left: int
    right: int
    first: int
    end: int
    description: str


@dataclass
class _Worst:
    """The largest difference found in one check."""

    compared: int = 0
    deviation: float = 0.0  # in the unit of what is scored
    example: str | None = None


@dataclass(frozen=True)
class _Positions:
    """Positions of pairs, n of them, as indices into the features of both sides."""

    pair: Indices
    left: Indices
    right: Indices
    position: Indices
    differ: Tensor  # (n,) by how much their features differ; 0 where they are equal


def as_scored(outputs: Tensor, reader: OutputReader, split: Split) -> Tensor:
    """Turn outputs (n, outputs) into what is scored, clamped, (n, outputs)."""
    loss = reader.task.loss
    if isinstance(loss, CrossEntropy):
        return F.log_softmax(outputs, -1).clamp(min=FLOOR)
    if isinstance(loss, Bernoulli):
        return outputs.clamp(FLOOR, -FLOOR)
    low, high = float(split.targets.min()), float(split.targets.max())
    far = 10 * (high - low)
    return outputs.clamp(low - far, high + far)


def _least_scale(reader: OutputReader, split: Split) -> float:
    """Return the scale of outputs that are all near zero: one nat, or the targets' scale."""
    if isinstance(reader.task.loss, CrossEntropy | Bernoulli):
        return 1.0
    return max(float(split.targets.float().abs().max()), 1e-30)


@dataclass
class Comparisons:
    """Compares outputs, and records for each check the largest difference.

    Attributes:
        reader: computes outputs from features.
        split: holds the targets.
        rng: chooses random positions, in addition to those that differ most.
        scale: the largest absolute value of what is scored, on unchanged windows.
    """

    reader: OutputReader
    split: Split
    rng: np.random.Generator
    scale: float = 0.0
    _found: dict[str, _Worst] = field(default_factory=dict)

    def measure_scale(self, features: Tensor) -> None:
        """Update the scale from features (n, H) of unchanged windows."""
        scored = as_scored(self.reader.outputs(features), self.reader, self.split)
        least = _least_scale(self.reader, self.split)
        self.scale = max(self.scale, least, float(scored.abs().max()))

    def tolerance(self, name: str) -> float:
        """Return by how much outputs may differ in a check, relative to the scale."""
        return tolerance_for(name, self.reader.dtypes)

    def compare(
        self,
        name: str,
        left: WindowFeatures,
        right: WindowFeatures,
        pairs: Sequence[WindowPair],
    ) -> None:
        """Compare for a check: every position by its features, some by their outputs."""
        found = self._found.setdefault(name, _Worst())
        positions = self._positions(left, right, pairs)
        count = len(positions.pair)
        if count == 0:
            return
        found.compared += count
        difference, index = self._largest(left, right, positions, np.arange(count))
        if difference > found.deviation:
            found.deviation = difference
            pair, position = pairs[int(positions.pair[index])], int(positions.position[index])
            allowed = self.tolerance(name) * self.scale
            found.example = (
                f"{pair.description} changed output {position} by {difference:.2g} "
                f"(allowed {allowed:.1g})"
            )

    def checks(self) -> tuple[Check, ...]:
        """Return the results, one check for each name that compared anything."""
        checks = []
        for name, found in self._found.items():
            tolerance = self.tolerance(name)
            relative = found.deviation / self.scale
            passed = relative <= tolerance
            example = None if passed else found.example
            if found.compared:
                checks.append(Check(name, passed, tolerance, relative, found.compared, example))
        return tuple(checks)

    def measured_context(
        self, copies: Sequence[tuple[WindowFeatures, Sequence[WindowPair]]], longest: int
    ) -> int | None:
        """Return how many of the latest inputs determine an output, to the tolerance.

        Found by bisection.

        Args:
            copies: pairs of windows of one batch whose inputs up to and including position `first`
                of the pair differ, and no later ones.
            longest: the largest number of latest inputs that were left unchanged.

        Returns:
            the smallest number such that no output with as many unchanged latest inputs differs by
            more than the tolerance; None if an output with all of `longest` unchanged does.
        """
        compared = [(f, self._positions(f, f, pairs), pairs) for f, pairs in copies if pairs]
        allowed = self.tolerance("context") * self.scale

        def differs(unchanged: int) -> bool:
            for features, positions, pairs in compared:
                begins = np.array([pair.first for pair in pairs])
                chosen = np.flatnonzero(positions.position - begins[positions.pair] >= unchanged)
                if len(chosen) == 0:
                    continue
                if self._largest(features, features, positions, chosen)[0] > allowed:
                    return True
            return False

        if differs(longest):
            return None
        low, high = -1, longest  # differs(low) or low < 0, not differs(high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if differs(middle) else (low, middle)
        return high

    def _positions(
        self, left: WindowFeatures, right: WindowFeatures, pairs: Sequence[WindowPair]
    ) -> _Positions:
        """List the positions that pairs have in common, and by how much features differ there."""
        columns = np.intersect1d(left.columns.numpy(), right.columns.numpy())
        in_left = np.searchsorted(left.columns.numpy(), columns)
        in_right = np.searchsorted(right.columns.numpy(), columns)
        parts = []
        for number, pair in enumerate(pairs):
            begin, end = np.searchsorted(columns, [pair.first, pair.end])
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
        return _Positions(pair_of, one, other, position, _difference(left, right, one, other))

    def _largest(
        self,
        left: WindowFeatures,
        right: WindowFeatures,
        positions: _Positions,
        chosen: Indices,
    ) -> tuple[float, int]:
        """Return the largest difference of outputs at chosen positions, and its index."""
        most = min(max(NUMBERS // self.reader.task.outputs, FEWEST), MOST)
        differ = positions.differ[torch.from_numpy(chosen).to(positions.differ.device)]
        top = differ.topk(min(most, len(chosen))).indices.cpu().numpy()
        some = self.rng.integers(0, len(chosen), min(AT_RANDOM, len(chosen)))
        read = chosen[np.unique(np.concatenate([top, some]))]
        one = self._scored(left, positions.left[read])
        # In two parts, so that a readout that mixes its rows is found as well.
        half = (len(read) + 1) // 2
        parts = (read[:half], read[half:])
        other = torch.cat([self._scored(right, positions.right[p]) for p in parts if len(p)])
        difference = (one - other).abs().amax(-1)
        worst = int(difference.argmax())
        return float(difference[worst]), int(read[worst])

    def _scored(self, windows: WindowFeatures, flat: Indices) -> Tensor:
        features = windows.features.flatten(0, 1)[torch.from_numpy(flat)]
        return as_scored(self.reader.outputs(features), self.reader, self.split)


def _difference(
    left: WindowFeatures, right: WindowFeatures, one: Indices, other: Indices
) -> Tensor:
    """Return the largest difference of features, relative to each feature's scale: (n,)."""
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
