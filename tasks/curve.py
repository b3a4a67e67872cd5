"""Measuring: every target's loss at every context length, on one fixed set of targets.

At a finite k the model is given nothing but windows of k inputs, so that a score at k cannot
depend on anything else, the target included. Where a sequence has given only a < k inputs so far,
the window holds those a. At k = full the model reads each sequence from its start, state carried.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqmem.errors import CellError
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split, Task
from seqmem.tasks.windows import window_inputs

__all__ = [
    "Context",
    "Curve",
    "Scores",
    "carried_passes",
    "expected_steps",
    "full_scores",
    "measure",
    "sample_targets",
]

Context = int | Literal["full"]

# Bounds on what one forward pass holds: model steps (but at least some windows, so that products
# of matrices stay efficient), windows, and numbers that the readout gives.
STEPS = 1 << 14
ROWS = (64, 4096)
READOUT = 1 << 22
# Sequences read side by side where state is carried.
STREAMS = 1024
# The longest sequence that a model without state or finite receptive field reads at once.
LONGEST_PASS = 1 << 16


@dataclass(frozen=True)
class Scores:
    """What became of each target at one context length.

    Attributes:
        losses: (n,) float64.
        correct: (n,) whether the largest output names the target; None for losses without that.
    """

    losses: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_] | None


@dataclass(frozen=True)
class Curve:
    """The scores of one model on one set of targets, at each context length.

    Attributes:
        scores: by finite context length, ascending, of the chosen targets.
        full: with the full context, of all N targets; None where it was not measured.
        chosen: (n,) the indices of the chosen targets, ascending; all N unless sampled.
        blocks: (N,) the block of each target, ascending.
        steps: model steps spent.
    """

    scores: dict[int, Scores]
    full: Scores | None
    chosen: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]
    steps: int

    def at(self, k: Context) -> Scores:
        """Give the scores at one context length.

        Raises:
            KeyError: it was not measured.
        """
        if k != "full":
            return self.scores[k]
        if self.full is None:
            raise KeyError(k)
        return self.full


def sample_targets(split: Split, size: int | None, seed: int = 0) -> Tensor:
    """Choose targets at random, the same for every model and k; None chooses all.

    Returns:
        (n,) indices, ascending.
    """
    if size is None or size >= len(split):
        return torch.arange(len(split))
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.sort(rng.choice(len(split), size, replace=False)))


@torch.inference_mode()
def measure(
    model: SequenceModel,
    task: Task,
    split: Split,
    contexts: Sequence[Context],
    *,
    chosen: Tensor | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda steps: None,
) -> Curve:
    """Score targets of a split at every context length, exactly.

    With the full context one pass scores every target. Windows cost k steps a target, and where
    targets are `chosen`, only these are scored from windows.

    Args:
        model: what is measured; put into evaluation mode.
        task: says what the outputs are and how they are scored.
        split: the fixed set of targets.
        contexts: positive integers and "full", in any order.
        chosen: (n,) ascending indices of the targets to score from windows; None for all.
        device: where the model runs.
        progress: called with the model steps just spent.

    Raises:
        CellError: the model's outputs have the wrong shape or are not finite.
    """
    model = model.to(device).eval()
    spent = 0

    def count(steps: int) -> None:
        nonlocal spent
        spent += steps
        progress(steps)

    finite = sorted({k for k in contexts if k != "full"})
    windowed = split if chosen is None else split.subset(chosen)
    scores = dict(_window_scores(model, task, windowed, finite, device, count))
    full = None
    if "full" in contexts:
        full = full_scores(model, task, split, device=device, progress=count)
    indices = np.arange(len(split)) if chosen is None else chosen.numpy()
    return Curve(scores, full, indices, split.blocks.numpy(), spent)


def _window_scores(
    model: SequenceModel,
    task: Task,
    split: Split,
    contexts: Sequence[int],
    device: str,
    progress: Callable[[int], object],
) -> Iterator[tuple[int, Scores]]:
    """Score every target from windows, lengths ascending: a window is never computed twice.

    A target with a inputs so far has the same window at every k ≥ a; it is scored once, at
    length a, and keeps that score.
    """
    if not contexts:
        return
    sink = _Sink(task, split)
    available = split.available
    short = available[available <= contexts[-1]].unique().tolist()
    for length in sorted({*short, *contexts}):
        asked = length in contexts
        rows = available >= length if asked else available == length
        batch = min(max(STEPS // length, ROWS[0]), ROWS[1])
        for chosen in rows.nonzero().squeeze(1).split(batch):
            if len(chosen) == 0:  # no target has so many inputs
                continue
            inputs = window_inputs(split, chosen, length).to(device)
            features, _ = model.hidden(inputs)
            _check_features(features, inputs)
            sink.score(model, features[:, -1], chosen)
            progress(inputs.shape[0] * length)
        if asked:
            yield length, sink.scores()


def expected_steps(split: Split, contexts: Sequence[Context], chosen: Tensor | None = None) -> int:
    """Count the model steps that `measure` will spend, for a progress bar; filling left out."""
    finite = [k for k in contexts if k != "full"]
    available = split.available if chosen is None else split.available[chosen]
    steps = len(split.inputs) if "full" in contexts else 0
    steps += sum(k * int((available >= k).sum()) for k in finite)
    short = available[available < max(finite, default=0)]
    return steps + int(short[~torch.isin(short, torch.tensor(finite))].sum())


@torch.inference_mode()
def full_scores(
    model: SequenceModel,
    task: Task,
    split: Split,
    *,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda steps: None,
) -> Scores:
    """Score every target with everything since the start of its sequence.

    A model with state carries it; one with a finite receptive field reads overlapping pieces,
    which gives the same; any other reads each sequence whole.

    Raises:
        CellError: outputs have the wrong shape or are not finite, or a sequence is too long for a
            model that can only read it whole.
    """
    sink = _Sink(task, split)
    field = None if model.stateful else model.receptive_field
    passes = carried_passes(split, model.stateful) if field is None else _overlapping(split, field)
    state: State = None
    for index, scored, fresh in passes:
        inputs = split.inputs[index].to(device)
        features, state = model.hidden(inputs, None if fresh else state)
        _check_features(features, inputs)
        target = torch.where(scored, split.target_at[index], -1)
        row, column = (target >= 0).nonzero(as_tuple=True)
        sink.score(model, features[row, column], target[row, column])
        progress(index.numel())
    return sink.scores()


Pass = tuple[Tensor, Tensor, bool]  # (B, L) input index, (B, L) scored here, state starts anew


def carried_passes(split: Split, stateful: bool) -> Iterator[Pass]:
    """Read sequences of like length side by side, in consecutive pieces.

    Yields:
        the indices (B, L) of the inputs to read, whether each is read for its own sequence (B, L)
        and not to fill up behind its end, and whether the state starts anew.

    Raises:
        CellError: a sequence is too long for a model that cannot read it in pieces.
    """
    lengths = split.starts.diff()
    longest = int(lengths.max())
    if not stateful and longest > LONGEST_PASS:
        raise CellError(
            f"k = full: a sequence has {longest:,} inputs, and a model that neither carries state "
            f"nor declares a receptive field reads at most {LONGEST_PASS:,} at once"
        )
    batch = STREAMS if stateful else max(STEPS // longest, 1)
    for rows in lengths.argsort(stable=True).split(batch):
        longest = int(lengths[rows].max())
        piece = max(STEPS // len(rows), 1) if stateful else longest
        for offset in range(0, longest, piece):
            step = torch.arange(offset, min(offset + piece, longest))
            # Behind a sequence's end other inputs follow; a causal model is not touched by them.
            index = (split.starts[rows, None] + step).clamp(max=len(split.inputs) - 1)
            yield index, step < lengths[rows, None], offset == 0


def _overlapping(split: Split, field: int) -> Iterator[Pass]:
    """Cut sequences into pieces that begin a receptive field before what they score."""
    overlap = max(field - 1, 0)
    piece = max(overlap, 64)
    last = len(split.inputs) - 1
    begins, reads, ends = [], [], []  # first scored, first read, end
    for start, end in zip(split.starts[:-1].tolist(), split.starts[1:].tolist(), strict=True):
        for begin in range(start, end, piece):
            begins.append(begin)
            reads.append(max(start, begin - overlap))
            ends.append(min(begin + piece, end))
    first, read, behind = (torch.tensor(values) for values in (begins, reads, ends))
    for rows in torch.arange(len(first)).split(max(STEPS // (overlap + piece), 1)):
        width = int((behind - read)[rows].max())
        position = read[rows, None] + torch.arange(width)
        scored = (position >= first[rows, None]) & (position < behind[rows, None])
        yield position.clamp(max=last), scored, True


class _Sink:
    """Reads out features in bounded chunks, and keeps each target's latest score."""

    def __init__(self, task: Task, split: Split) -> None:
        self._targets, self._loss, self._outputs = split.targets, task.loss, task.outputs
        self._losses = np.full(len(split), np.nan)
        self._correct: npt.NDArray[np.bool_] | None = None

    def score(self, model: SequenceModel, features: Tensor, chosen: Tensor) -> None:
        """Score the chosen targets (m,) from their features (m, H)."""
        for rows in torch.arange(len(chosen)).split(max(READOUT // self._outputs, 1)):
            outputs = model.readout(features[rows]).float()  # (rows, outputs)
            if outputs.shape != (len(rows), self._outputs):
                raise CellError(
                    f"the model gave {tuple(outputs.shape[1:])} outputs for each input, "
                    f"the task asks for ({self._outputs},)"
                )
            target = chosen[rows]
            targets = self._targets[target].to(outputs.device)
            losses = self._loss(outputs, targets)
            if not bool(torch.isfinite(losses).all()):
                raise CellError("the model's outputs are not finite (NaN or infinity)")
            self._losses[target.numpy()] = losses.double().cpu().numpy()
            correct = self._loss.correct(outputs, targets)
            if correct is not None:
                if self._correct is None:
                    self._correct = np.zeros(len(self._losses), bool)
                self._correct[target.numpy()] = correct.cpu().numpy()

    def scores(self) -> Scores:
        """Give a copy of what is known so far."""
        correct = None if self._correct is None else self._correct.copy()
        return Scores(self._losses.copy(), correct)


def _check_features(features: Tensor, inputs: Tensor) -> None:
    """Hold a model to one feature vector for each input.

    Raises:
        CellError: it gave something else.
    """
    if features.ndim != 3 or features.shape[:2] != inputs.shape[:2]:
        raise CellError(
            f"for inputs of shape {tuple(inputs.shape)} the model gave features of shape "
            f"{tuple(features.shape)}; the first two must be the same"
        )
