"""The reference pass: one pass that scores every target with as much context as possible.

A model with state carries it from the start of each sequence to its end. A model with a finite
receptive field reads overlapping pieces, which is equivalent. Any other model reads whole
sequences or, if they are too long, overlapping pieces: then a target has at least as much context
as the overlap but not all of it, and the losses serve as a reference and not as a score.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from seqmem.errors import CellError, NotFiniteError
from seqmem.measuring.scoring import Scores, Sink, for_model, is_out_of_memory, pass_steps, read_at
from seqmem.tasks.model import SequenceModel, State
from seqmem.tasks.task import Split, Task

__all__ = ["Reference", "carried_passes", "full_scores", "longest_pass", "read_reference"]

# Sequences read side by side where state is carried.
STREAMS = 1024
# The longest sequence that a model without state or finite receptive field reads at once, and the
# largest number of outputs for one sequence where features are the outputs (2 GiB).
LONGEST_PASS = 1 << 16
LONGEST_OUTPUTS = 1 << 29
# Length of what a piece scores, in overlaps: the longer, the less is read twice.
PIECE = 4


Pass = tuple[Tensor, Tensor, bool]  # (B, L) input index, (B, L) scored here, state is reset


@dataclass(frozen=True)
class Reference:
    """Every target's score in the reference pass.

    Attributes:
        scores: of all N targets; finite.
        is_full: whether each was scored with everything since the start of its sequence.
        features: target -> the feature vector (H,) from which it was scored, for those requested.
        steps: model steps spent.
    """

    scores: Scores
    is_full: bool
    features: dict[int, Tensor]
    steps: int


def full_scores(model: SequenceModel, task: Task, split: Split, *, device: str = "cpu") -> Scores:
    """Return every target's score with everything since the start of its sequence.

    Raises:
        CellError: outputs have the wrong shape or are not finite, or a sequence is too long for a
            model that can only read it whole.
    """
    return read_reference(model, task, split, overlap=None, device=device).scores


def longest_pass(model: SequenceModel) -> int:
    """Return how many inputs a model without state or finite receptive field reads at most."""
    return min(LONGEST_PASS, LONGEST_OUTPUTS // max(model.floats_per_step, 1))


@torch.inference_mode()
def read_reference(
    model: SequenceModel,
    task: Task,
    split: Split,
    *,
    overlap: int | None,
    keep: Tensor | None = None,
    device: str = "cpu",
    progress: Callable[[int], object] = lambda steps: None,
) -> Reference:
    """Read the whole split once; return every target's score.

    Args:
        model: the model, in evaluation mode and on the device.
        task: the task, which defines outputs and loss.
        split: sequences and targets.
        overlap: inputs read before what a piece scores, if sequences are too long to be read whole;
            None forbids overlapping pieces.
        keep: (m,) targets whose features are returned.
        device: where the model runs.
        progress: called with the model steps just spent.

    Raises:
        CellError: outputs have the wrong shape or are not finite, or a sequence is too long.
    """
    longest = int(split.starts.diff().max())
    field = None if model.stateful else model.receptive_field
    at_once = longest_pass(model)
    is_full = model.stateful or field is not None or longest <= at_once
    if not is_full and overlap is None:
        raise CellError(
            f"k = full: a sequence has {longest:,} inputs, and a model that neither carries state "
            f"nor declares a receptive field reads at most {at_once:,} at once; omit full "
            "from --k"
        )
    reach = field if is_full else overlap
    wanted = torch.zeros(len(split), dtype=torch.bool)
    if keep is not None:
        wanted[keep] = True
    most = pass_steps(device, model)

    def read(passes: Iterator[Pass]) -> Reference:
        sink = Sink(model, task, split, len(split))
        features: dict[int, Tensor] = {}
        spent = 0
        state: State = None
        for index, scored, fresh in passes:
            inputs = for_model(split.inputs[index], model, device)
            target = torch.where(scored, split.target_at[index], -1)
            row, column = (target >= 0).nonzero(as_tuple=True)
            targets = target[row, column]
            chosen, state = read_at(model, inputs, row, column, None if fresh else state)  # (m, H)
            sink.score(chosen, targets, targets.numpy())
            kept = wanted[targets].nonzero().squeeze(1)
            features.update(zip(targets[kept].tolist(), chosen[kept].cpu(), strict=True))
            spent += index.numel()
            progress(index.numel())
        if not np.isfinite(sink.scores().losses).all():
            raise NotFiniteError("the model's outputs are not finite (NaN or infinity)")
        return Reference(sink.scores(), is_full, features, spent)

    while True:
        if reach is None:
            passes = carried_passes(split, model.stateful, most)
        else:
            passes = _overlapping(split, reach, most)
        try:
            return read(passes)
        except (MemoryError, RuntimeError) as error:
            if most <= 64 or not is_out_of_memory(error):
                raise
            most //= 4  # and start again


def carried_passes(split: Split, stateful: bool, most: int) -> Iterator[Pass]:
    """Batch sequences of similar length, cut into consecutive pieces if state is carried.

    Yields:
        the indices (B, L) of the inputs to read, whether each belongs to its sequence (B, L) and is
        not padding after the end, and whether the state is reset; about `most` inputs.
    """
    lengths = split.starts.diff()
    batch = STREAMS if stateful else max(most // int(lengths.max()), 1)
    for rows in lengths.argsort(stable=True).split(batch):
        longest = int(lengths[rows].max())
        piece = max(most // len(rows), 1) if stateful else longest
        for offset in range(0, longest, piece):
            step = torch.arange(offset, min(offset + piece, longest))
            # A short sequence is padded with its last input, never with another sequence's.
            within = torch.minimum(step, lengths[rows, None] - 1)
            yield split.starts[rows, None] + within, step < lengths[rows, None], offset == 0


def _overlapping(split: Split, field: int, most: int) -> Iterator[Pass]:
    """Batch pieces of sequences that begin a receptive field before what they score."""
    overlap = max(field - 1, 0)
    piece = max(PIECE * overlap, 256)
    pieces = [
        (begin, max(start, begin - overlap), min(begin + piece, end))
        for start, end in pairwise(split.starts.tolist())
        for begin in range(start, end, piece)
    ]
    first, read, stop = torch.tensor(pieces).unbind(1)  # first scored, first read, end
    # Pieces of similar length in one batch, so that little padding is read.
    order = (stop - read).argsort(stable=True)
    longest = int((stop - read).max())
    for rows in order.split(max(most // longest, 1)):
        width = int((stop - read)[rows].max())
        position = read[rows, None] + torch.arange(width)
        scored = (position >= first[rows, None]) & (position < stop[rows, None])
        yield torch.minimum(position, stop[rows, None] - 1), scored, True
