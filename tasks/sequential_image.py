"""Images pixel by pixel: read one grey value after another, then name the class.

After Le, Jaitly & Hinton 2015 (arXiv 1504.00941, section 4.2). An image of n pixels is one
sequence of n inputs, each a grey value from 0 to 1 (its byte divided by that of white, 255 or 16),
row by row from the top left. The target is one of ten classes, predicted once, at the last pixel;
loss: cross-entropy in nats, and the share of images whose largest output is the class's (accuracy).
With context k a model reads the k latest pixels, the end of the image; k = n is all of it.

Sets: ``sequential-image/mnist`` and ``sequential-image/fashion-mnist``, 784 pixels, 55,000 training
images, the last 5,000 of the official 60,000 for validation, the official 10,000 for the test; and
``sequential-image/digits``, the 1,797 images of 64 pixels that scikit-learn installs, in their
order 1,097, 200 and 500. Pixels are not normalised or augmented, and every epoch has the same ones.

Chance: the classes' frequencies among training images, close to ln 10. The optimum is unknown.
"""

from collections.abc import Mapping
from functools import cache, cached_property
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from seqmem.tasks.data.image_sets import CLASSES, IMAGE_SETS, Images
from seqmem.tasks.losses import CrossEntropy
from seqmem.tasks.parameters import check_names
from seqmem.tasks.task import Features, Split, Task

__all__ = ["SequentialImage"]

Part = Literal["train", "valid", "test"]


class SequentialImage(Task):
    """``sequential-image/mnist``, ``…/fashion-mnist`` or ``…/digits``."""

    version: ClassVar[int] = 1
    block_name: ClassVar[str] = "image"

    def __init__(self, variant: str) -> None:
        """Take the name of a set; the data are read when they are first needed."""
        self.id = f"sequential-image/{variant}"
        self.variant = variant
        self.inputs = Features(1)
        self.outputs = CLASSES
        self.loss = CrossEntropy(unit="nats per image", accuracy=True)
        self.longest_context = IMAGE_SETS[variant].side ** 2

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "SequentialImage":
        """Return the task of an id, the name of whose set is under the key "variant".

        Raises:
            InputError: there are other parameters.
        """
        check_names(parameters, ("variant",), "sequential-image/fashion-mnist")
        return cls(parameters["variant"])

    @cached_property
    def _images(self) -> dict[Part, Images]:
        return IMAGE_SETS[self.variant].load()

    def places(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the order in which pixels are read: (n,) places in the row-by-row order."""
        return np.arange(self.longest_context)

    def train(self, seed: int, epoch: int) -> Split:
        """Return the training images, the same for every seed and epoch.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        return self._split("train")

    def split(self, name: Literal["valid", "test"]) -> Split:
        """Return validation or test images.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        return self._split(name)

    @cache  # noqa: B019 - a task lives as long as the run
    def constant(self) -> Tensor:
        """Return log frequencies of the classes in training."""
        counts = np.bincount(self._images["train"].labels, minlength=CLASSES)
        return torch.from_numpy(np.log(counts / counts.sum())).float()

    def initial_outputs(self) -> Tensor:
        """Return log frequencies."""
        return self.constant()

    @cache  # noqa: B019 - a task lives as long as the run
    def chance(self) -> float:
        """Return the loss of the training frequencies on the test images."""
        return float(-self.constant().double()[self._split("test").targets].mean())

    @cache  # noqa: B019 - a task lives as long as the run
    def _split(self, part: Part) -> Split:
        images = self._images[part]
        count = len(images.labels)
        pixels = images.pixels.reshape(count, -1)[:, self.places()]  # (count, n) in reading order
        grey = pixels.astype(np.float32) / np.float32(IMAGE_SETS[self.variant].white)
        starts = torch.arange(count + 1) * self.longest_context
        return Split(
            inputs=torch.from_numpy(grey.reshape(-1, 1)),
            starts=starts,
            positions=starts[1:] - 1,
            targets=torch.from_numpy(images.labels.astype(np.int64)),
            blocks=torch.arange(count),
        )
