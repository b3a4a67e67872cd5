"""A few targets of a split that are cheap to score at every k, the full context included."""

import numpy as np
import torch

from seqmem.tasks.task import Split

__all__ = ["small_sample"]

LONG = 512  # inputs of a sequence, on average, that are too many to be read for a target or two


def small_sample(split: Split, targets: int, skipped: int = 0) -> Split:
    """Return a split with a few of the targets, always the same, and the inputs before them.

    They are drawn at random from all sequences. Where sequences are long, as a corpus is one, they
    are the first ones instead: with the full context, everything before a target is read.

    Args:
        split: sequences and targets.
        targets: how many; all if there are fewer.
        skipped: targets at the start of a long sequence that are left out, if others are left:
            windows of so many inputs are then equally long, and are read together.
    """
    if len(split.inputs) > LONG * (len(split.starts) - 1):
        skipped = skipped if int(split.starts[1]) >= skipped + targets else 0
        first = split.prefix(skipped + targets)
        return first.subset(torch.arange(skipped, len(first)))
    order = np.random.default_rng(0).permutation(len(split))
    chosen = torch.from_numpy(np.sort(order[:targets]))
    of = torch.searchsorted(split.starts, split.positions[chosen], right=True) - 1
    kept, row = of.unique(return_inverse=True)  # the sequences that are read
    begins, lengths = split.starts[kept], split.starts.diff()[kept]
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    shift = begins - starts[:-1]
    inputs = torch.arange(int(starts[-1])) + shift.repeat_interleave(lengths)
    return Split(
        split.inputs[inputs],
        starts,
        split.positions[chosen] - shift[row],
        split.targets[chosen],
        split.blocks[chosen],
    )
