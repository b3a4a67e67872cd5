"""The shards of the One Billion Word benchmark: names, files, and the official checksums.

Chelba et al. 2013 (arXiv 1312.3005). The benchmark is 100 shards of shuffled sentences, 1 to 99 of
them for training; shard 0 is cut into 50 held-out ones, the first of which is its test set. In the
data directory they are in ``lm1b`` (or in folders below it, as unpacked from the archive) under
their own names, plain or with .txt, .gz, .xz.

The md5 of a shard's text is compared with the official one. Five are in this file; the others are
read from the benchmark's file of checksums, ``README.corpus_generation_checkpoints``, if it is in
the shards' folder. Without it the others are accepted unchecked, and `seqmem data` says so.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from seqmem.errors import InputError
from seqmem.tasks.data.sources import Located, Source, data_directory
from seqmem.tasks.data.text_files import COMPRESSED, read_lines

__all__ = [
    "CHECKSUM_FILE",
    "HELD_OUT_10_TO_13",
    "LM1B",
    "SHARDS",
    "Lm1b",
    "Shard",
    "ShardCheck",
    "find_shards",
]

CHECKSUM_FILE = "README.corpus_generation_checkpoints"

# The smallest and the largest number of a shard.
SHARDS: Mapping[str, tuple[int, int]] = MappingProxyType({"heldout": (0, 49), "train": (1, 99)})


@dataclass(frozen=True, order=True)
class Shard:
    """One file of the benchmark: "heldout" or "train", and its number."""

    part: Literal["heldout", "train"]
    number: int

    @property
    def name(self) -> str:
        """The benchmark's name of the file."""
        if self.part == "heldout":
            return f"news.en.heldout-{self.number:05}-of-00050"
        return f"news.en-{self.number:05}-of-00100"


# The shards of the slice heldout-10-13, without the test set.
HELD_OUT_10_TO_13 = tuple(Shard("heldout", number) for number in (10, 11, 12, 13))

_OFFICIAL: Mapping[Shard, str] = MappingProxyType(
    {
        Shard("heldout", 0): "ce1e84fb6d856ced56ba2c551104f6ac",
        Shard("heldout", 10): "36b9b690341bfb89239d9c656cce8c5a",
        Shard("heldout", 11): "13b0479e328f0d4ea7274845eff37e2c",
        Shard("heldout", 12): "f140e0524571c2b550e7896394b360e3",
        Shard("heldout", 13): "62fb44371855e100c3ad8efadb385517",
    }
)


@dataclass(frozen=True)
class Lm1b(Source):
    """The benchmark as a data set: its shards in the data directory."""

    @property
    def how_to_get(self) -> str:
        """How to get the shards."""
        return (
            "1-billion-word-language-modeling-benchmark-r13output.tar.gz from "
            f"http://www.statmt.org/lm-benchmark/, unpacked into DIR/{self.name}; "
            f"{Shard('heldout', 0).name} and 00010 to 00013 are enough for the suite; "
            "give --data-dir DIR"
        )

    def locate(self) -> Located:
        """Search for the shards of the slice heldout-10-13."""
        directory = data_directory()
        if directory is None:
            problem = "no data directory is given (--data-dir or SEQMEM_DATA)"
            return Located("the data directory", None, problem)
        where = str(directory / self.name)
        files = {shard.name: path for shard, path in _all_here(directory / self.name)}
        try:
            find_shards((Shard("heldout", 0), *HELD_OUT_10_TO_13))
        except InputError as error:
            return Located(where, files or None, str(error))
        return Located(where, files, "")

    def check(self) -> str | None:
        """Compare every shard that is available with its official checksum.

        Raises:
            InputError: one is damaged or altered.
        """
        directory = data_directory()
        unknown = []
        here = _all_here(directory / self.name) if directory else []
        for shard, path in here:
            verify = ShardCheck(shard, path)
            for line in read_lines(path):
                verify.add(line)
            verify.finish()
            if verify.official is None:
                unknown.append(shard.name)
        notes = [self.locate().problem] if self.locate().problem else []
        if unknown:
            notes.append(
                f"{len(unknown)} not checked, no checksum known ({', '.join(unknown[:3])}"
                f"{', …' if len(unknown) > 3 else ''}): put {CHECKSUM_FILE} into their folder"
            )
        return "; ".join(notes) or None


LM1B = Lm1b(
    name="lm1b",
    title="One Billion Word benchmark (Chelba et al. 2013, arXiv 1312.3005)",
    licence="WMT11 news crawl: no open licence stated, for research",
)


def find_shards(shards: Iterable[Shard]) -> dict[Shard, Path]:
    """Return the files of shards in the data directory.

    Raises:
        InputError: no data directory is given, or a shard is not in it.
    """
    directory = data_directory()
    if directory is None:
        raise InputError(
            "the One Billion Word benchmark needs a data directory, and none is given; "
            "give one with --data-dir or SEQMEM_DATA (`seqmem data` says how to get it)"
        )
    here = dict(_all_here(directory / LM1B.name))
    found = {}
    for shard in shards:
        if shard not in here:
            raise InputError(
                f"shard {shard.name} (or .txt, .xz, .gz) is not in {directory / LM1B.name}; put it "
                "there, or give another directory with --data-dir or SEQMEM_DATA (`seqmem data` "
                "says how to get it)"
            )
        found[shard] = here[shard]
    return found


def _all_here(folder: Path) -> list[tuple[Shard, Path]]:
    """Return every shard below a folder, in order; of several copies the first by path."""
    endings = "|".join(re.escape(text + end) for text in (".txt", "") for end in COMPRESSED)
    pattern = re.compile(
        rf"news\.en(?:\.heldout-(?P<heldout>\d{{5}})-of-00050|-(?P<train>\d{{5}})-of-00100)"
        rf"(?:{endings})"
    )
    found: dict[Shard, Path] = {}
    for path in sorted(folder.rglob("news.en*")):
        match = pattern.fullmatch(path.name)
        if match and path.is_file():
            part: Literal["heldout", "train"] = "heldout" if match["heldout"] else "train"
            shard = Shard(part, int(match[part]))
            low, high = SHARDS[part]
            if low <= shard.number <= high:
                found.setdefault(shard, path)
    return sorted(found.items())


class ShardCheck:
    r"""Computes the md5 of a shard line by line.

    Line ends count as ``\n``, as in the official files.
    """

    def __init__(self, shard: Shard, path: Path) -> None:
        """Take the shard and its file; find its official checksum."""
        self.shard, self.path = shard, path
        self.official = _OFFICIAL.get(shard) or _listed(path).get(shard.name)
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, line: str) -> None:
        """Add the next line."""
        self._md5.update(line.encode() + b"\n")

    def finish(self) -> None:
        """Compare the checksum with the official one, after the last line.

        Raises:
            InputError: it differs.
        """
        found = self._md5.hexdigest()
        if self.official not in (None, found):
            raise InputError(
                f"{self.path}: md5 of the text is {found}, the official one of {self.shard.name} "
                f"is {self.official}; the shard is altered or truncated, get it again"
            )


def _listed(path: Path) -> dict[str, str]:
    """Return the checksums in a shard's folder, or above it in ``lm1b``: name -> md5."""
    for folder in path.parents:
        file = folder / CHECKSUM_FILE
        if file.is_file():
            return dict(_checksums(file))
        if folder.name == LM1B.name:
            break
    return {}


def _checksums(file: Path) -> Iterator[tuple[str, str]]:
    for line in read_lines(file):
        match = re.fullmatch(r"([0-9a-f]{32}) [ *](?:\S*/)?(news\.en\S+)", line.strip())
        if match:
            yield match[2], match[1]
