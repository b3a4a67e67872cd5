"""Whether outputs agree: what is compared, the tolerance, and at which positions.

What is compared is what is scored: log-probabilities, log-odds or values, clamped where the loss
would hardly differ. So a class that is never a target (masked with a score of −1e9) makes no other
difference look small. Features show where outputs can differ at all; outputs are computed at the
positions whose features differ most.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqmem.measuring.arrays import Indices
from seqmem.measuring.gate.outputs import OutputReader, WindowFeatures
from seqmem.measuring.gate.report import Check
from seqmem.tasks.losses import Bernoulli, CrossEntropy
from seqmem.tasks.task import Split

__all__ = ["Comparisons", "WindowPair", "tolerance_for"]

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


class WindowPair(NamedTuple):
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


@dataclass(frozen=True)
class _Positions:
    """The n positions at which pairs of windows are compared.

    Attributes:
        left: the features of the batch of each pair's left window.
        right: those of the right window's.
        pair: (n,) which pair it is.
        position: (n,) the position in the window.
        in_left: (n,) its index into the features of all windows on the left.
        in_right: (n,) its index on the right.
        differ: (n,) by how much the features differ, relative to each feature's scale.
    """

    left: WindowFeatures
    right: WindowFeatures
    pair: Indices
    position: Indices
    in_left: Indices
    in_right: Indices
    differ: Tensor


class Comparisons:
    """Compares outputs, and records for each check the largest difference.

    Attributes:
        scale: the largest absolute value of what is scored, on unchanged windows; at least one nat
            or the targets' scale, for outputs that are all near zero.
    """

    def __init__(self, reader: OutputReader, split: Split, rng: np.random.Generator) -> None:
        """Start without comparisons.

        Args:
            reader: computes outputs from features.
            split: holds the targets.
            rng: chooses random positions, in addition to those that differ most.
        """
        self._reader, self._split, self._rng = reader, split, rng
        self._found: dict[str, list[tuple[int, float, str]]] = {}  # count, difference, example
        self.scale = 1.0
        if not isinstance(reader.task.loss, CrossEntropy | Bernoulli):
            self.scale = max(float(split.targets.float().abs().max()), 1e-30)

    def measure_scale(self, features: Tensor) -> None:
        """Update the scale from features (n, H) of unchanged windows."""
        self.scale = max(self.scale, float(self._scored(features).abs().max()))

    def compare(
        self,
        name: str,
        left: WindowFeatures,
        right: WindowFeatures,
        pairs: Sequence[WindowPair],
    ) -> None:
        """Compare for a check: every position by its features, some by their outputs."""
        positions = _positions(left, right, pairs)
        count = len(positions.pair)
        if count == 0:
            return
        difference, index = self._largest(positions, np.arange(count))
        allowed = tolerance_for(name, self._reader.dtypes) * self.scale
        example = (
            f"{pairs[positions.pair[index]].description} changed output "
            f"{positions.position[index]} by {difference:.2g} (allowed {allowed:.1g})"
        )
        self._found.setdefault(name, []).append((count, difference, example))

    def checks(self) -> Iterable[Check]:
        """Return the results, one check for each name that compared anything."""
        for name, found in self._found.items():
            compared = sum(count for count, _, _ in found)
            _, difference, example = max(found, key=itemgetter(1))
            tolerance, relative = tolerance_for(name, self._reader.dtypes), difference / self.scale
            passed = relative <= tolerance
            yield Check(name, passed, tolerance, relative, compared, None if passed else example)

    def measured_context(
        self, copies: Iterable[tuple[WindowFeatures, Sequence[WindowPair]]]
    ) -> tuple[int | None, int]:
        """Return how many of the latest inputs determine an output, to the tolerance.

        Found by bisection.

        Args:
            copies: pairs of windows of one batch whose inputs up to and including position `first`
                of the pair differ, and no later ones.

        Returns:
            the smallest number such that no output with as many unchanged latest inputs differs by
            more than the tolerance, None if there is no such number; and the largest number tried.
        """
        compared = []  # positions, and how many inputs up to each are unchanged
        for features, pairs in copies:
            positions = _positions(features, features, pairs)
            first = np.array([pair.first for pair in pairs])
            compared.append((positions, positions.position - first[positions.pair]))
        longest = max((int(unchanged.max()) for _, unchanged in compared), default=0)
        allowed = tolerance_for("context", self._reader.dtypes) * self.scale

        def differs(least: int) -> bool:
            return any(
                self._largest(positions, chosen)[0] > allowed
                for positions, unchanged in compared
                if len(chosen := np.flatnonzero(unchanged >= least))
            )

        if longest == 0 or differs(longest):
            return None, longest
        fewer = range(longest - 1, -1, -1)
        return longest - bisect_left(fewer, True, key=differs), longest

    def _largest(self, positions: _Positions, chosen: Indices) -> tuple[float, int]:
        """Return the largest difference of outputs at chosen positions, and its index."""
        most = min(max(NUMBERS // self._reader.task.outputs, FEWEST), MOST)
        differ = positions.differ[torch.from_numpy(chosen).to(positions.differ.device)]
        top = differ.topk(min(most, len(chosen))).indices.cpu().numpy()
        some = self._rng.integers(0, len(chosen), min(AT_RANDOM, len(chosen)))
        read = chosen[np.unique(np.concatenate([top, some]))]
        one = self._scored(positions.left.at(positions.in_left[read]))
        # In two parts, so that a readout that mixes its rows is found as well.
        parts = [part for part in np.array_split(positions.in_right[read], 2) if len(part)]
        other = torch.cat([self._scored(positions.right.at(part)) for part in parts])
        difference = (one - other).abs().amax(-1)
        worst = int(difference.argmax())
        return float(difference[worst]), int(read[worst])

    def _scored(self, features: Tensor) -> Tensor:
        """Turn features (n, H) into what is scored, clamped, (n, outputs)."""
        outputs, loss = self._reader.outputs(features), self._reader.task.loss
        if isinstance(loss, CrossEntropy):
            return F.log_softmax(outputs, -1).clamp(min=FLOOR)
        if isinstance(loss, Bernoulli):
            return outputs.clamp(FLOOR, -FLOOR)
        low, high = float(self._split.targets.min()), float(self._split.targets.max())
        far = 10 * (high - low)
        return outputs.clamp(low - far, high + far)


def _positions(
    left: WindowFeatures, right: WindowFeatures, pairs: Sequence[WindowPair]
) -> _Positions:
    """List the positions that pairs have in common, and by how much features differ there."""
    columns, column_left, column_right = np.intersect1d(
        left.columns.numpy(), right.columns.numpy(), return_indices=True
    )
    row_left, row_right, first, end = np.array([p[:4] for p in pairs], np.int64).reshape(-1, 4).T
    pair, at = np.nonzero((columns >= first[:, None]) & (columns < end[:, None]))
    in_left = row_left[pair] * len(left.columns) + column_left[at]
    in_right = row_right[pair] * len(right.columns) + column_right[at]
    differ = torch.zeros(len(pair), device=left.features.device)
    if width := left.features.shape[-1]:
        scale = left.largest.clamp(min=torch.finfo(left.largest.dtype).tiny)
        size = max(NUMBERS // width, 1)
        for part in (slice(begin, begin + size) for begin in range(0, len(pair), size)):
            these, those = left.at(in_left[part]), right.at(in_right[part])
            apart = (these - those).abs() if these.is_floating_point() else these != those
            differ[part] = (apart / scale).amax(-1)
    return _Positions(left, right, pair, columns[at], in_left, in_right, differ)
