"""Scores of a curve computed again, each apart from everything that it must not depend on.

The curve is measured in large batches, in an order and at sizes that a model can recognise; what is
recorded might come from later inputs, from other rows, or from what its process remembers. So some
of the recorded scores are computed again, drawn when the curve is finished (`draws`):

* a window of k inputs alone or beside windows that share no input with it, shorter k first;
* a score of the reference pass from the inputs up to its target, with nothing after it, in the
  order of the position, so that all that was ever read of the sequence is its past. A model with
  state reads on from one target to the next: our own as far as few steps reach, but an untrusted
  one to the last draw of every sequence, as its state may count inputs and change what it does
  beyond any place.

A model that runs code of its own is started again before each of the two. What it has seen then
contains neither the target nor, but for shorter windows of the same place, older inputs: a
recorded score that used them comes out different, whatever made the model use them.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.curve import Scored
from seqmem.measuring.gate.draws import Draws, Level, draw_counts, levels_of
from seqmem.measuring.gate.report import Check
from seqmem.measuring.window_scores import Scorer
from seqmem.tasks.model import State
from seqmem.tasks.task import Split, Task

__all__ = ["Rescored", "rescore"]

# The share of the steps of the curve that may be spent; and of a trusted model with state, whose
# single sequences take several times as long for each step as its batches.
SHARE, WITH_STATE = 0.09, 0.03
# Recorded losses are too low on average if by more than this many standard errors of the mean
# difference, and by more than this share of the precision.
ERRORS, PART = 4.0, 0.5


@dataclass(frozen=True)
class Rescored:
    """What computing scores again found.

    Attributes:
        checks: "rescored" and "gain".
        found: k -> the gain, in the unit of the loss, above which unlawful gains are found in 99 %
            of submissions.
    """

    checks: tuple[Check, ...]
    found: Mapping[str, float]


@torch.inference_mode()
@torch.backends.cudnn.flags(enabled=True, allow_tf32=False)  # as in measuring
def rescore(
    scored: Scored,
    *,
    steps: int,
    precision: float,
    tolerance: float,
    scale: float,
    seed: int,
    restart: Callable[[], object] = lambda: None,
    untrusted: bool = False,
) -> Rescored:
    """Compute some scores of a curve again, and compare.

    Args:
        scored: the scores of the curve.
        steps: the model steps that the curve took.
        precision: the stated precision of the curve, in the unit of the loss.
        tolerance: by how much outputs may differ, relative to their scale.
        scale: the scale of the model's outputs.
        seed: seed of the draws.
        restart: starts the model in a new process, if it runs code of its own.
        untrusted: whether it may be made to score better where it is not checked. If it carries a
            state, whole sequences are read again, which takes up to one pass over the targets.

    Raises:
        CellError: the model's outputs have the wrong shape or are not finite.
    """
    scorer = replace(scored.scorer, progress=lambda k, spent: None)
    rng = np.random.default_rng([seed, 2])
    levels = levels_of(scored, _constant_losses(scorer.task, scorer.split))
    stateful = scorer.model.stateful
    allowed = (WITH_STATE if stateful and not untrusted else SHARE) * steps
    if stateful and untrusted:
        levels = [replace(level, read_on=level.k == "full") for level in levels]
    elif stateful:
        levels = [_near(level, allowed) for level in levels]
    found = []
    restart()
    for level, count in zip(levels, draw_counts(levels, precision, allowed), strict=True):
        draws = level.draw(count, rng)
        chosen = np.unique(np.concatenate([draws.uniform, draws.suspected]))
        if level.k == "full":
            restart()
            read = _continued if stateful else _prefixes
            again = read(scorer, level, chosen)
        else:
            chosen = chosen[_disjoint(scorer.split, level.targets[chosen], level.k, rng)]
            again = scorer.windows(level.targets[chosen], level.k).scores().losses
        found.append(_Found(level, draws, count, chosen, again))
    unit = scorer.task.loss.unit
    return Rescored(
        (_largest(found, tolerance, scale, unit), _mean(found, precision, unit)),
        {str(each.level.k): each.level.found(each.effective) for each in found},
    )


@dataclass(frozen=True)
class _Found:
    """Scores at one k, computed again.

    Attributes:
        level: the scores recorded at this k.
        draws: what was drawn of them.
        count: how many draws of each kind there were.
        chosen: (m,) what was computed again: indices into the level's targets, ascending.
        again: (m,) the losses.
    """

    level: Level
    draws: Draws
    count: int
    chosen: Indices
    again: Floats

    @property
    def higher(self) -> Floats:
        """(m,) By how much the losses are higher than recorded; infinite if not finite."""
        return np.nan_to_num(self.again - self.level.losses[self.chosen], nan=np.inf)

    @property
    def effective(self) -> int:
        """The number of draws by gain whose targets were computed again."""
        kept = np.isin(self.draws.suspected, self.chosen)
        return int(self.count * kept.mean()) if len(kept) else 0

    def name(self, index: int) -> str:
        """Return which score it is, for an example."""
        place = self.chosen[index]
        before = self.level.losses[place]
        return (
            f"target {self.level.targets[place]:,} at k = {self.level.k}: the loss was "
            f"{before:.4g}, and is {self.again[index]:.4g} from its {self.level.lengths[place]:,} "
            "inputs alone"
        )


def _largest(found: Sequence[_Found], tolerance: float, scale: float, unit: str) -> Check:
    """Return the check that no loss differs by more than the tolerance."""
    worst, example = 0.0, ""
    for each in found:
        if len(each.chosen) == 0:
            continue
        # Larger losses have larger rounding errors.
        relative = np.abs(each.higher) / np.maximum(scale, each.level.losses[each.chosen])
        index = int(relative.argmax())
        if relative[index] >= worst:
            worst = float(relative[index])
            allowed = tolerance * max(scale, each.level.losses[each.chosen[index]])
            example = f"{each.name(index)} (allowed difference {allowed:.2g} {unit})"
    passed = worst <= tolerance
    compared = sum(len(each.chosen) for each in found)
    deviation = worst if np.isfinite(worst) else None
    return Check("rescored", passed, tolerance, deviation, compared, None if passed else example)


def _mean(found: Sequence[_Found], precision: float, unit: str) -> Check:
    """Return the check that losses are not lower on average than when computed again."""
    worst, example, compared = 0.0, None, 0
    allowed = PART * precision
    for each in found:
        higher = each.higher[np.isin(each.chosen, each.draws.uniform)]
        higher = each.level.share * higher[np.isfinite(higher)]
        compared += len(higher)
        if len(higher) < 2:
            continue
        mean, error = float(higher.mean()), float(higher.std(ddof=1)) / math.sqrt(len(higher))
        worst = max(worst, mean)
        if mean > max(allowed, ERRORS * error):
            example = (
                f"at k = {each.level.k} losses are {mean:.4g} {unit} higher on average if computed "
                f"again, {len(higher)} of them (allowed {allowed:.2g})"
            )
    return Check("gain", example is None, allowed, worst, compared, example)


def _near(level: Level, steps: float) -> Level:
    """Return the scores that a model with state reaches in that many steps, at least one."""
    near = level.lengths <= max(steps / 2, float(level.lengths.min()))
    return replace(
        level,
        targets=level.targets[near],
        losses=level.losses[near],
        lengths=level.lengths[near],
        gains=level.gains[near],
    )


def _constant_losses(task: Task, split: Split) -> Floats:
    """Return each target's loss with the best output that depends on no input: (N,)."""
    rows = torch.zeros(len(split), dtype=torch.int64)
    losses: Floats = task.loss(task.constant()[None], split.targets, rows).double().numpy()
    return losses


def _disjoint(split: Split, targets: Indices, k: int, rng: np.random.Generator) -> Indices:
    """Return indices of targets whose windows share no input, in random order."""
    ends = split.positions.numpy()[targets] + 1
    taken = np.zeros(len(split.inputs), bool)
    kept = []
    for index in rng.permutation(len(targets)):
        window = slice(ends[index] - k, ends[index])
        if not taken[window].any():
            taken[window] = True
            kept.append(index)
    return np.array(kept, np.int64)


def _prefixes(scorer: Scorer, level: Level, chosen: Indices) -> Floats:
    """Return losses (m,) from nothing after each target's position, earlier positions first."""
    targets, lengths = level.targets[chosen], level.lengths[chosen]
    losses = np.empty(len(chosen))
    for rows in _one_of_each_sequence(scorer.split, targets, lengths):
        losses[rows] = scorer.windows(targets[rows], int(lengths[rows[0]])).scores().losses
    return losses


def _one_of_each_sequence(split: Split, targets: Indices, lengths: Indices) -> Iterator[Indices]:
    """Yield batches of windows of equal length, of different sequences, in order of position."""
    sequence = torch.searchsorted(split.starts, split.positions[targets], right=True).numpy()
    batch: list[int] = []
    for index in np.argsort(split.available.numpy()[targets], kind="stable").tolist():
        if batch and (
            lengths[index] != lengths[batch[0]] or sequence[index] in set(sequence[batch])
        ):
            yield np.array(batch)
            batch = []
        batch.append(index)
    if batch:
        yield np.array(batch)


def _continued(scorer: Scorer, level: Level, chosen: Indices) -> Floats:
    """Return losses (m,) of a model that reads on from each target to the next of its sequence."""
    split = scorer.split
    sink = scorer.sink(len(chosen), None)
    state: State = None
    begin, sequence = 0, -1
    for place, target in enumerate(level.targets[chosen].tolist()):  # ascending
        end = int(split.positions[target]) + 1
        own = int(torch.searchsorted(split.starts, end - 1, right=True))
        if own != sequence:
            begin, sequence, state = int(split.starts[own - 1]), own, None
        index = torch.arange(begin, end)[None]
        features, state = scorer.last_of_long(index, state, end - begin)
        sink.score(features, torch.tensor([target]), np.array([place]))
        begin = end
    return sink.scores().losses
