"""Polyphonic music: predict the next frame of piano rolls, the 88 keys independently.

The four sets of Boulanger-Lewandowski, Bengio & Vincent 2012 (arXiv 1206.6392), scored as by Bai,
Kolter & Koltun 2018 (arXiv 1803.01271): Bach's chorales (``music/jsb``), British and American folk
tunes (``music/nottingham``), orchestral music (``music/muse``), classical piano
(``music/piano``). A frame says which keys sound at one moment, 88 numbers 0 or 1. In a piece of
T frames the inputs are frames 1 … T − 1, the targets frames 2 … T: the first frame has no input
before it and is not scored.

The loss of one frame is −Σ_keys [y log p + (1 − y) log(1 − p)] in nats, and a score is its mean
over all frames of all pieces, which differs from a mean of the pieces' means. Keys are predicted
independently: models of a frame's joint distribution (RNN-RBM, RNN-NADE) reach losses that no
model can reach here, whatever its memory.

Chance: each key sounds with its frequency in the training targets. A key that never (or always)
sounds there counts as sounding (silent) in half a frame, so that no loss is infinite.
"""

from collections.abc import Mapping
from functools import cache, cached_property
from itertools import accumulate
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.data.music_files import load_rolls
from seqmem.tasks.data.piano_rolls import KEYS, Rolls
from seqmem.tasks.losses import Bernoulli
from seqmem.tasks.parameters import check_names
from seqmem.tasks.strata import Strata, kinds_of_target
from seqmem.tasks.task import Features, Split, Task

__all__ = ["PolyphonicMusic"]

# No chorale is longer than 160 frames, and few targets have 128 before them. In the other sets
# pieces have up to thousands of frames; the best convolutional network published for Nottingham
# has a receptive field of 151 (Bai et al., table 2), and no gains from longer ones are reported.
LONGEST_CONTEXT = {"jsb": 128, "nottingham": 256, "muse": 256, "piano": 256}


class PolyphonicMusic(Task):
    """``music/jsb``, ``music/nottingham``, ``music/muse`` or ``music/piano``."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "piece"

    def __init__(self, variant: str) -> None:
        """Take the short name of a set; the data are read when they are first needed."""
        self.id = f"music/{variant}"
        self.inputs = Features(KEYS)
        self.outputs = KEYS
        self.loss = Bernoulli(unit="nats per frame")
        self.longest_context = LONGEST_CONTEXT[variant]
        self.variant = variant

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "PolyphonicMusic":
        """Return the task of an id's variant, which is already checked.

        Raises:
            InputError: other parameters are given.
        """
        check_names(parameters, ("variant",), "music/jsb")
        return cls(parameters["variant"])

    @cached_property
    def rolls(self) -> Rolls:
        """The checked pieces, by split.

        Raises:
            InputError: they are missing, damaged or altered.
        """
        return load_rolls(self.variant)

    def train(self, seed: int, epoch: int) -> Split:
        """Return the training pieces, the same for every seed and epoch."""
        return self._pieces("train")

    @cache  # noqa: B019 - a task lives as long as the run
    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return the validation or test pieces."""
        return self._pieces(name)

    def constant(self) -> Tensor:
        """Return the log-odds of each key in the training targets."""
        sounding, frames = self._counts("train")
        sounding = sounding.clip(0.5, frames - 0.5)
        return torch.from_numpy(np.log(sounding / (frames - sounding))).float()

    @cache  # noqa: B019 - a task lives as long as the run
    def chance(self) -> float:
        """Return the loss of `constant` on the test split, in nats per frame."""
        log_odds = self.constant().double().numpy()
        sounding, frames = self._counts("test")
        on, off = np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)  # −log p, −log(1 − p)
        return float((sounding * on + (frames - sounding) * off).sum() / frames)

    def strata(self) -> tuple[Strata, ...]:
        """Return targets by what changes from the frame before."""
        split = self.split("test")
        before, frames = split.inputs.numpy() > 0, split.targets.numpy() > 0
        begins = (frames & ~before).any(1)
        ends = (before & ~frames).any(1)
        kinds = np.select([begins, ends], [2, 1], 0)
        labels = ("all notes held", "notes end, none begins", "notes begin")
        return kinds_of_target("change", "what changes from the frame before", labels, kinds)

    def _counts(self, name: str) -> tuple[np.ndarray, int]:
        """Return in how many of a split's targets each key sounds, (88,), and their number."""
        pieces = self.rolls[name]
        sounding = sum((piece[1:].sum(0, dtype=np.float64) for piece in pieces), np.zeros(KEYS))
        return sounding, sum(len(piece) - 1 for piece in pieces)

    def _pieces(self, name: str) -> Split:
        pieces = self.rolls[name]
        lengths = [len(piece) - 1 for piece in pieces]
        starts = torch.tensor([0, *accumulate(lengths)])
        inputs = np.concatenate([piece[:-1] for piece in pieces])  # (N, 88) uint8
        targets = np.concatenate([piece[1:] for piece in pieces])  # (N, 88) uint8
        return Split(
            inputs=torch.from_numpy(inputs).float(),
            starts=starts,
            positions=torch.arange(len(inputs)),
            targets=torch.from_numpy(targets),
            blocks=torch.repeat_interleave(torch.tensor(lengths)),
        )
