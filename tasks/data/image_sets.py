"""Sets of labelled images of ten classes: MNIST, Fashion-MNIST, and scikit-learn's digits.

MNIST (LeCun, Bottou, Bengio & Haffner 1998) and Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv
1708.07747) are four IDX files each, in the folder ``mnist`` or ``fashion-mnist`` of the data
directory (``--data-dir`` or SEQMEM_DATA), plain, .gz or .xz: 60,000 training and 10,000 test
images of 28 × 28 bytes. The last 5,000 training images are the validation split.

The digits are one file that scikit-learn installs, ``digits.csv.gz``: the 1,797 images of 8 × 8
values from 0 to 16 of the test set of "Optical Recognition of Handwritten Digits" (Alpaydin &
Kaynak 1998, UCI Machine Learning Repository). A file of this name in the folder ``digits`` of the
data directory is read first. There are no official splits: the first 1,097 images train, the next
200 validate, the last 500 test.

Sizes and the sha256 of the content are compared with those of expected.toml.
"""

import hashlib
import importlib.util
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from seqmem.errors import InputError
from seqmem.tasks.data.idx_files import read_idx
from seqmem.tasks.data.sources import Located, Source, compare_facts, expected_content
from seqmem.tasks.data.text_files import find_file, read_lines

__all__ = [
    "CLASSES",
    "DIGITS",
    "FASHION_MNIST",
    "IMAGE_SETS",
    "MNIST",
    "DigitImages",
    "IdxImages",
    "ImageSource",
    "Images",
]

CLASSES = 10
Bytes = npt.NDArray[np.uint8]
Part = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        pixels: (n, rows, columns) grey values.
        labels: (n,) classes from 0 on.
    """

    pixels: Bytes
    labels: Bytes

    def part(self, begin: int, end: int) -> "Images":
        """Return the images from one place in their order to another."""
        return Images(self.pixels[begin:end], self.labels[begin:end])


@dataclass(frozen=True)
class ImageSource(Source):
    """A set of images.

    Attributes:
        side: rows, and columns, of an image.
        white: the highest grey value.
        images: how many there are in each split.
    """

    side: int
    white: int
    images: Mapping[Part, int]

    @abstractmethod
    def load(self) -> dict[Part, Images]:
        """Return the splits.

        Raises:
            InputError: a file is missing, damaged or altered.
        """

    def check(self) -> None:
        """Read and check the files.

        Raises:
            InputError: one is missing, damaged or altered.
        """
        self.load()


@dataclass(frozen=True)
class IdxImages(ImageSource):
    """A set of four IDX files with the names of MNIST's."""

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        return (
            f"`seqmem data fetch {self.name}`; or put {', '.join(_FILES)} (also .gz or .xz) into "
            f"DIR/{self.name} and give --data-dir DIR"
        )

    def locate(self) -> Located:
        """Search for the files on this machine."""
        where = str(self.folder or "no data directory is given")
        try:
            return Located(where, self.find(), "")
        except InputError as error:
            return Located(where, None, str(error))

    def find(self) -> dict[str, Path]:
        """Return the files by name.

        Raises:
            InputError: one does not exist, or no data directory is given.
        """
        get = f"get it with `seqmem data fetch {self.name} --data-dir DIR`"
        if self.folder is None:
            raise InputError(
                f"{self.name}: no data directory is given, and it is not on the hub; {get}, and "
                "give --data-dir DIR (or set SEQMEM_DATA)"
            )
        found = {}
        for name in _FILES:
            # Some copies have a full stop in place of the hyphen.
            path = find_file(self.folder, (name, name.replace("-idx", ".idx")))
            if path is None:
                raise InputError(
                    f"{self.name}: {name} (or .gz, .xz) is not in {self.folder}; {get}, or give "
                    "another directory with --data-dir or SEQMEM_DATA"
                )
            found[name] = path
        return found

    def load(self) -> dict[Part, Images]:
        """Return the splits; the last training images are those of validation.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        files, expected = self.find(), expected_content(self.name)
        both = {}
        for split, (pixels, labels) in _PAIRS.items():
            images = read_idx(files[pixels], 3)
            classes = read_idx(files[labels], 1)
            if len(images.values) != len(classes.values):
                raise InputError(
                    f"{files[pixels]} has {len(images.values):,} images, and {files[labels]} "
                    f"{len(classes.values):,} labels; one of them is altered, get them again"
                )
            for name, file, sizes in (
                (pixels, images, ("images", "rows", "columns")),
                (labels, classes, ("labels",)),
            ):
                facts = dict(zip(sizes, file.values.shape, strict=True))
                compare_facts(str(files[name]), {**facts, "sha256": file.sha256}, expected[name])
            both[split] = Images(images.values, classes.values)
        cut, end = self.images["train"], len(both["train"].labels)
        return {
            "train": both["train"].part(0, cut),
            "valid": both["train"].part(cut, end),
            "test": both["test"],
        }


@dataclass(frozen=True)
class DigitImages(ImageSource):
    """The digits of scikit-learn."""

    @property
    def how_to_get(self) -> str:
        """How to get the file."""
        return (
            f"pip install 'seqmem[images]', which installs scikit-learn; or put its {_DIGITS_FILE} "
            f"into DIR/{self.name} and give --data-dir DIR"
        )

    def locate(self) -> Located:
        """Search for the file on this machine."""
        try:
            path = self.find()
        except InputError as error:
            return Located("the folder of scikit-learn", None, str(error))
        return Located(str(path.parent), {_DIGITS_FILE: path}, "")

    def find(self) -> Path:
        """Return the file: in the data directory, else where scikit-learn has it.

        Raises:
            InputError: it is in neither.
        """
        folders = [] if self.folder is None else [self.folder]
        # Found without an import, which would take seconds and start threads.
        package = importlib.util.find_spec("sklearn")
        for place in (package and package.submodule_search_locations) or ():
            folders.append(Path(place) / "datasets" / "data")
        for folder in folders:
            if (folder / _DIGITS_FILE).is_file():
                return folder / _DIGITS_FILE
        raise InputError(f"{self.name}: scikit-learn is not installed; {self.how_to_get}")

    def load(self) -> dict[Part, Images]:
        """Return the splits.

        Raises:
            InputError: the file is missing, damaged or altered.
        """
        path = self.find()
        rows = [_numbers(path, number, line) for number, line in enumerate(read_lines(path), 1)]
        table = np.array(rows, np.uint8)  # (n, 65): the pixels row by row, then the class
        found = {"images": len(rows), "sha256": hashlib.sha256(table.tobytes()).hexdigest()}
        compare_facts(str(path), found, expected_content(self.name))
        everything = Images(table[:, :-1].reshape(-1, self.side, self.side), table[:, -1])
        parts, begin = {}, 0
        for split, count in self.images.items():
            parts[split] = everything.part(begin, begin + count)
            begin += count
        return parts


_FILES = tuple(name for name in expected_content("mnist"))
_PAIRS: Mapping[Part, tuple[str, str]] = MappingProxyType(
    {"train": (_FILES[0], _FILES[1]), "test": (_FILES[2], _FILES[3])}
)
_DIGITS_FILE = "digits.csv.gz"

MNIST = IdxImages(
    name="mnist",
    title="MNIST, handwritten digits (LeCun et al. 1998)",
    licence="none stated by its authors; often given as CC BY-SA 3.0",
    side=28,
    white=255,
    images=MappingProxyType({"train": 55_000, "valid": 5_000, "test": 10_000}),
)
FASHION_MNIST = IdxImages(
    name="fashion-mnist",
    title="Fashion-MNIST, articles of clothing (Xiao et al. 2017, arXiv 1708.07747)",
    licence="MIT",
    side=28,
    white=255,
    images=MNIST.images,
)
DIGITS = DigitImages(
    name="digits",
    title="handwritten digits of 8 × 8 values, from scikit-learn (Alpaydin & Kaynak 1998)",
    licence="CC BY 4.0",
    side=8,
    white=16,
    images=MappingProxyType({"train": 1_097, "valid": 200, "test": 500}),
)
IMAGE_SETS: Mapping[str, ImageSource] = MappingProxyType(
    {source.name: source for source in (FASHION_MNIST, MNIST, DIGITS)}
)


def _numbers(path: Path, number: int, line: str) -> list[int]:
    """Return the values of a line of digits.

    Raises:
        InputError: they are not 65 whole numbers from 0 to 16.
    """
    values = line.split(",")
    if len(values) == 65 and all(value.isdecimal() and int(value) <= 16 for value in values):
        return [int(value) for value in values]
    raise InputError(
        f"{path}, line {number}: is not 65 whole numbers from 0 to 16; the file is altered, "
        "get it again"
    )
