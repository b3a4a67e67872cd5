"""What of the far context a model uses: its loss where far inputs are shuffled, older, or missing.

A window holds the k latest inputs of a target. Its latest n stay as they are; those before are
replaced, as by O'Connor & Andreas 2021 (arXiv 2106.08367), who also train their Transformers on
such text. Here a model was trained on text as it is: inputs unlike any that it has seen may cost it
more than what they lack is worth.

All windows are of the same targets, so that differences are paired. Shuffles and places are drawn
for each target, from the seed alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from seqmem.errors import InputError, NotFiniteError
from seqmem.leaderboard.record import MeanOf
from seqmem.leaderboard.statistics.intervals import block_mean, group_blocks
from seqmem.measuring.arrays import Floats, Indices
from seqmem.measuring.scoring import Sink, for_model, in_batches, pass_steps, read_at
from seqmem.measuring.summary import GROUPS
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.model import SequenceModel
from seqmem.tasks.task import Task

__all__ = ["ABLATIONS", "Ablated", "Ablation", "Ablations", "ablate"]

Ablation = Literal["sentences", "shuffle", "older", "nothing"]
ABLATIONS: Mapping[Ablation, str] = MappingProxyType(
    {
        "sentences": "its sentences in random order",
        "shuffle": "its inputs in random order",
        "older": "as many inputs from an earlier place",
        "nothing": "nothing: the nearest inputs alone",
    }
)
assert set(ABLATIONS) == set(get_args(Ablation))

LONGEST = 512  # inputs of a window, unless another number is asked for
ENDS = (".", "!", "?", "\n")  # of sentences, beside a task's own ends of lines


@dataclass(frozen=True)
class Ablated:
    """The loss with one kind of far context.

    Attributes:
        beyond: how many of the latest inputs stay as they are.
        kind: what is in place of the inputs before them.
        loss: the mean loss.
        excess: the mean loss minus that of whole windows, paired, with its 95 % interval.
        share: excess relative to that of "nothing", with its 95 % interval: 0 where the ablation
            costs nothing, 1 where it costs as much as having no far context. None where far context
            is not worth anything.
    """

    beyond: int
    kind: Ablation
    loss: float
    excess: MeanOf
    share: MeanOf | None


@dataclass(frozen=True)
class Ablations:
    """What of the far context a model uses on a task's test split.

    Attributes:
        task: the task's id.
        unit: of losses.
        k: inputs of a whole window.
        targets: how many were scored.
        whole: the mean loss with whole windows.
        found: by how many inputs stay, and by kind.
    """

    task: str
    unit: str
    k: int
    targets: int
    whole: MeanOf
    found: tuple[Ablated, ...]


def ablate(
    model: SequenceModel,
    task: Task,
    *,
    beyond: Sequence[int],
    kinds: Sequence[Ablation] | None = None,
    k: int | None = None,
    targets: int = 2000,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[str], object] = lambda line: None,
) -> Ablations:
    """Score targets with whole windows, and with ablated ones.

    Args:
        model: the model, in evaluation mode.
        task: the task; targets are drawn from those of its test split that have 2 k inputs.
        beyond: how many of the latest inputs stay as they are, each less than k.
        kinds: what replaces the others; None: whatever the task has.
        k: inputs of a window; None: the longest useful context of the task, at most `LONGEST`.
        targets: how many are scored; all, if there are fewer.
        seed: of the targets, and of what is drawn for each.
        device: where the model runs.
        progress: called with a line for each kind.

    Raises:
        InputError: a number is out of range, or the task has no such targets or sentences.
        NotFiniteError: outputs are not finite.
    """
    k = k or min(task.longest_context, LONGEST)
    split = task.split("test")
    _check(task, beyond, k, split.available.numpy())
    source = np.random.default_rng([seed, k])
    able = np.flatnonzero(split.available.numpy() >= 2 * k)
    chosen = np.sort(source.choice(able, min(targets, len(able)), replace=False))
    windows = _Windows(task, chosen, k)
    asked = {*(kinds or windows.kinds()), "nothing"}
    groups = group_blocks(split.blocks.numpy()[chosen], GROUPS)

    def losses(index: Indices) -> Floats:
        return _losses(model, task, chosen, index, device)

    model.to(device)
    whole = losses(windows.index)
    found = []
    for near in dict.fromkeys(beyond):
        worth = losses(windows.index[:, k - near :]) - whole  # with nothing beyond
        for kind in (each for each in ABLATIONS if each in asked):
            progress(f"{kind} beyond {near:,} of {k:,} inputs, {len(chosen):,} targets")
            index = None if kind == "nothing" else windows.ablated(kind, near, [seed, k, near])
            excess = worth if index is None else losses(index) - whole
            found.append(
                Ablated(
                    near,
                    kind,
                    float((whole + excess).mean()),
                    _mean(excess, groups),
                    _ratio(excess, worth, groups),
                )
            )
    return Ablations(task.id, task.loss.unit, k, len(chosen), _mean(whole, groups), tuple(found))


def _check(task: Task, beyond: Sequence[int], k: int, available: Indices) -> None:
    """Raise InputError if windows cannot be made so."""
    if not beyond or not all(0 < near < k for near in beyond):
        raise InputError(
            f"beyond {', '.join(map(str, beyond))}: of a window of k = {k:,} inputs at least 1 and "
            f"fewer than all stay as they are; --beyond 8,32 leaves the latest 8, and the latest 32"
        )
    longest = int(available.max())
    if longest < 2 * k:
        raise InputError(
            f"k = {k:,}: an ablated target needs {2 * k:,} inputs before it, so that there is an "
            f"older text, and in {task.id} none has more than {longest:,}; "
            + (f"use --k {longest // 2:,} or less" if longest > 3 else "use another task")
        )


class _Windows:
    """The windows of some targets, as indices of inputs: what is shuffled are places."""

    def __init__(self, task: Task, chosen: Indices, k: int) -> None:
        split = task.split("test")
        self._task, self._inputs = task, split.inputs.numpy()
        self._latest = split.positions.numpy()[chosen]  # (m,)
        self._first = self._latest + 1 - split.available.numpy()[chosen]  # of the sequence
        self.index: Indices = self._latest[:, None] + np.arange(1 - k, 1)  # (m, k)

    def kinds(self) -> list[Ablation]:
        """Return what far inputs can be replaced by."""
        return [kind for kind in ABLATIONS if kind != "sentences" or self._ends.any()]

    def ablated(self, kind: Ablation, near: int, seed: Sequence[int]) -> Indices:
        """Return the windows with all but the `near` latest inputs replaced, (m, k).

        Raises:
            InputError: the task has no sentences, which are asked for.
        """
        source = np.random.default_rng([*seed, list(ABLATIONS).index(kind)])
        far, kept = self.index[:, :-near], self.index[:, -near:]
        if kind == "shuffle":
            far = source.permuted(far, axis=1)
        elif kind == "older":
            # Of all places of the sequence that end before the window begins.
            k, size = self.index.shape[1], far.shape[1]
            begins = source.integers(self._first, self._latest + 2 - k - size)
            far = begins[:, None] + np.arange(size)
        else:
            if not self._ends.any():
                raise InputError(
                    f"--ablate sentences: {self._task.id} has no ends of sentences, which are . ! "
                    "? or ends of lines; leave it out"
                )
            far = np.stack([_shuffled_pieces(row, self._ends[row], source) for row in far])
        return np.concatenate([far, kept], axis=1)

    @cached_property
    def _ends(self) -> npt.NDArray[np.bool_]:
        """Which inputs end a sentence, (N,)."""
        ids: list[int] = []
        if isinstance(self._task, LanguageTask):
            ends = {*ENDS, *self._task.line_ends}
            ids = [i for i, word in enumerate(self._task.words) if word in ends]
        return np.isin(self._inputs, ids) if ids else np.zeros(len(self._inputs), np.bool_)


def _shuffled_pieces(
    places: Indices, ends: npt.NDArray[np.bool_], source: np.random.Generator
) -> Indices:
    """Return places in pieces, each up to an end, the pieces in random order."""
    pieces = np.split(places, np.flatnonzero(ends[:-1]) + 1)
    return np.concatenate([pieces[i] for i in source.permutation(len(pieces))])


@torch.inference_mode()
def _losses(
    model: SequenceModel, task: Task, chosen: Indices, index: Indices, device: str
) -> Floats:
    """Return the loss of each chosen target after the inputs at its indices: (m,), (m, L)."""
    split = task.split("test")
    sink = Sink(model, task, split, len(chosen))
    targets, places = torch.from_numpy(chosen), torch.from_numpy(index)
    last = index.shape[1] - 1

    def read(rows: torch.Tensor) -> None:
        inputs = for_model(split.inputs[places[rows]], model, device)
        at = torch.arange(len(rows))
        features, _ = read_at(model, inputs, at, torch.full_like(at, last), None)
        sink.score(features, targets[rows], rows.numpy())

    in_batches(torch.arange(len(chosen)), max(pass_steps(device, model) // (last + 1), 1), read)
    losses = sink.scores().losses
    if not np.isfinite(losses).all():
        raise NotFiniteError("the model's outputs are not finite (NaN or infinity)")
    return losses


def _mean(values: Floats, groups: Indices) -> MeanOf:
    return block_mean(np.bincount(groups, values), np.bincount(groups))


def _ratio(part: Floats, whole: Floats, groups: Indices) -> MeanOf | None:
    """Return the ratio of two paired means, its interval by linearisation; None if not above 0.

    Cochran 1977, Sampling Techniques, section 6.4: that of the mean of part − ratio · whole.
    """
    worth = _mean(whole, groups)
    if worth.interval is None or worth.interval[0] <= 0:
        return None
    ratio = float(part.mean() / whole.mean())
    error = _mean(part - ratio * whole, groups)
    assert error.standard_error is not None
    assert error.interval is not None
    half = (error.interval[1] - error.interval[0]) / 2 / worth.mean
    return MeanOf(ratio, error.standard_error / worth.mean, (ratio - half, ratio + half))
