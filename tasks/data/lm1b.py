"""The shards of the One Billion Word benchmark: names, files, and the official checksums.

Chelba et al. 2013 (arXiv 1312.3005). The benchmark is 100 shards of shuffled sentences, 1 to 99 of
them for training; shard 0 is cut into 50 held-out ones, the first of which is its test set. In the
data directory they are in ``lm1b`` (or in folders below it, as unpacked from the archive) under
their own names, plain or with .txt, .gz, .xz.

The md5 of a shard's text is compared with the official one. Five are in expected.toml; the others
are read from the benchmark's file of checksums, ``README.corpus_generation_checkpoints``, if it is
in the shards' folder. Without it the others are accepted unchecked, and `seqmem data` says so.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqmem.errors import InputError
from seqmem.tasks.data.sources import Facts, Located, Source, expected_content
from seqmem.tasks.data.text_files import COMPRESSED, read_lines

__all__ = [
    "CHECKSUM_FILE",
    "HELD_OUT_10_TO_13",
    "LM1B",
    "SHARDS",
    "Lm1b",
    "Shard",
    "find_shards",
    "official_md5",
    "shard_lines",
]

CHECKSUM_FILE = "README.corpus_generation_checkpoints"

# The smallest and the largest number of a shard.
SHARDS: Mapping[str, tuple[int, int]] = {"heldout": (0, 49), "train": (1, 99)}


@dataclass(frozen=True, order=True)
class Shard:
    """One file of the benchmark: "heldout" or "train", and its number."""

    part: str
    number: int

    @property
    def name(self) -> str:
        """The benchmark's name of the file."""
        if self.part == "heldout":
            return f"news.en.heldout-{self.number:05}-of-00050"
        return f"news.en-{self.number:05}-of-00100"


# The shards of the slice heldout-10-13, without the test set.
HELD_OUT_10_TO_13 = tuple(Shard("heldout", number) for number in (10, 11, 12, 13))

_OFFICIAL: Facts = expected_content("lm1b")  # md5 by name of the shard


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

    def present(self) -> dict[Shard, Path]:
        """Return every shard below the folder, in order; of several copies the first by path."""
        endings = "|".join(re.escape(text + end) for text in (".txt", "") for end in COMPRESSED)
        pattern = re.compile(
            rf"news\.en(?:\.heldout-(?P<heldout>\d{{5}})-of-00050|-(?P<train>\d{{5}})-of-00100)"
            rf"(?:{endings})"
        )
        found: dict[Shard, Path] = {}
        for path in sorted(self.folder.rglob("news.en*")) if self.folder else ():
            match = pattern.fullmatch(path.name)
            if match and path.is_file():
                shard = Shard(part := match.lastgroup or "", int(match[part]))
                low, high = SHARDS[part]
                if low <= shard.number <= high:
                    found.setdefault(shard, path)
        return dict(sorted(found.items()))

    def locate(self) -> Located:
        """Search for the shards of the slice heldout-10-13."""
        where = str(self.folder or "the data directory")
        files = {shard.name: path for shard, path in self.present().items()}
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
        problem = self.locate().problem
        notes = [problem] if problem else []
        unknown = []
        for shard, path in self.present().items():
            for _ in shard_lines(shard, path):
                pass
            if official_md5(shard, path) is None:
                unknown.append(shard.name)
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


def find_shards(shards: Collection[Shard]) -> dict[Shard, Path]:
    """Return the files of shards in the data directory.

    Raises:
        InputError: no data directory is given, or a shard is not in it.
    """
    if LM1B.folder is None:
        raise InputError(
            "the One Billion Word benchmark needs a data directory, and none is given; "
            "give one with --data-dir or SEQMEM_DATA (`seqmem data` says how to get it)"
        )
    here = LM1B.present()
    for shard in shards:
        if shard not in here:
            raise InputError(
                f"shard {shard.name} (or .txt, .xz, .gz) is not in {LM1B.folder}; put it "
                "there, or give another directory with --data-dir or SEQMEM_DATA (`seqmem data` "
                "says how to get it)"
            )
    return {shard: here[shard] for shard in shards}


def shard_lines(shard: Shard, path: Path) -> Iterator[str]:
    r"""Yield the lines of a shard's file; after the last one, check their md5.

    Line ends count as ``\n``, as in the official files.

    Raises:
        InputError: the md5 is not the official one.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    for line in read_lines(path):
        md5.update(line.encode() + b"\n")
        yield line
    official, found = official_md5(shard, path), md5.hexdigest()
    if official not in (None, found):
        raise InputError(
            f"{path}: md5 of the text is {found}, the official one of {shard.name} is {official}; "
            "the shard is altered or truncated, get it again"
        )


def official_md5(shard: Shard, path: Path) -> str | None:
    """Return the official checksum of a shard's text; None if it is unknown.

    It is looked up in the file of checksums in the shard's folder, or above it in ``lm1b``.
    """
    if shard.name in _OFFICIAL:
        return str(_OFFICIAL[shard.name])
    for folder in path.parents:
        file = folder / CHECKSUM_FILE
        if file.is_file():
            line = rf"\s*([0-9a-f]{{32}}) [ *](?:\S*/)?{re.escape(shard.name)}\s*"
            found = [match[1] for text in read_lines(file) if (match := re.fullmatch(line, text))]
            return found[-1] if found else None
        if folder.name == LM1B.name:
            break
    return None
