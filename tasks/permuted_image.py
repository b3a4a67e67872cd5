"""Images pixel by pixel in a random order, the same for all images.

As sequential-image, but the pixels are read in one fixed random order (Le, Jaitly & Hinton 2015,
arXiv 1504.00941, section 4.2), so that neighbours of a pixel are anywhere in the sequence and no
k latest pixels are a part of the picture. The order is that of the sha256 of the texts
``permuted-image/SEED/PLACE``, both written as decimal numbers, where PLACE counts the pixels row by
row from 0: the pixel whose hash is smallest is read first. It differs from the orders drawn by
other authors; scores vary a little with it.
"""

import hashlib
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from seqmem.tasks.parameters import check_names, integer
from seqmem.tasks.sequential_image import SequentialImage

__all__ = ["PermutedImage"]


class PermutedImage(SequentialImage):
    """``permuted-image/mnist,seed=0`` and so on, with the sets of sequential-image."""

    version: ClassVar[int] = 1

    def __init__(self, variant: str, seed: int) -> None:
        """Take the name of a set and the seed of the order."""
        super().__init__(variant)
        self.id = f"permuted-image/{variant},seed={seed}"
        self.seed = seed

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "PermutedImage":
        """Return the task of an id, the name of whose set is under the key "variant".

        Raises:
            InputError: the seed is missing or not within 0 … 999,999, or there are other
                parameters.
        """
        check_names(parameters, ("variant", "seed"), "permuted-image/fashion-mnist,seed=0")
        return cls(parameters["variant"], integer("seed", parameters["seed"], 0, 999_999))

    def places(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Return the order in which pixels are read: (n,) places in the row-by-row order."""
        texts = (f"permuted-image/{self.seed}/{place}" for place in range(self.longest_context))
        hashes = [hashlib.sha256(text.encode()).digest() for text in texts]
        return np.array(sorted(range(len(hashes)), key=hashes.__getitem__))
