"""Published parallel texts: their files and their expected content.

The Bible is looked up in the folder ``translation`` of the data directory, as
``bible-es-en.train.tsv`` and so on, Multi30k in ``multi30k-de-en``, under the names of its
repository, source and target in a file each; plain, .gz or .xz.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from seqmem.errors import InputError
from seqmem.tasks.data.parallel_text import Pair, read_pairs
from seqmem.tasks.data.sources import (
    Located,
    Source,
    compare_facts,
    data_directory,
    expected_content,
)
from seqmem.tasks.data.text_files import find_file

__all__ = ["BIBLE", "MULTI30K", "PARALLEL_TEXTS", "ParallelSource"]

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class ParallelSource(Source):
    """A parallel text of three splits.

    Its expected content, in expected.toml, is the number of pairs of each split, and the sha256 of
    all lines ``source TAB target LF``.

    Attributes:
        place: its folder in the data directory.
        files: by split, the names of one file with tabs, or of those of the source and the target.
        otherwise: how else to get the files, or how they were made.
    """

    place: str
    files: Mapping[str, tuple[str, ...]]
    otherwise: str

    @property
    def folder(self) -> Path | None:
        """Its folder in the data directory; None if no data directory is given."""
        directory = data_directory()
        return None if directory is None else directory / self.place

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        names = ", ".join(name for names in self.files.values() for name in names)
        put = f"put {names} (also .xz or .gz) into DIR/{self.place} and give --data-dir DIR"
        return f"{put}; {self.otherwise}"

    def locate(self) -> Located:
        """Search for the files on this machine, without reading them."""
        where = str(self.folder or "no data directory is given")
        try:
            found = self.find()
        except InputError as error:
            return Located(where, None, str(error))
        return Located(where, {path.name: path for paths in found.values() for path in paths}, "")

    def find(self) -> dict[str, tuple[Path, ...]]:
        """Return the file or files of each split.

        Raises:
            InputError: one does not exist, or no data directory is given.
        """
        if self.folder is None:
            raise InputError(f"{self.name}: no data directory is given; {self.how_to_get}")
        return {split: tuple(map(self._find, names)) for split, names in self.files.items()}

    def _find(self, name: str) -> Path:
        assert self.folder is not None
        path = find_file(self.folder, [name])
        if path is None:
            raise InputError(f"{self.name}: {name} is not in {self.folder}; {self.how_to_get}")
        return path

    def pairs(self, split: str) -> Iterator[Pair]:
        """Yield the pairs of a split; after the last one, compare their number and hash.

        Raises:
            InputError: a line is not a pair, or the content is not the expected one.
        """
        paths = self.find()[split]
        digest, count = hashlib.sha256(), 0
        for pair in read_pairs(paths):
            digest.update(f"{pair.source}\t{pair.target}\n".encode())
            count += 1
            yield pair
        found = {"pairs": count, "sha256": digest.hexdigest()}
        expected = expected_content("translation")[self.name][split]
        compare_facts(" and ".join(map(str, paths)), found, expected)

    def check(self) -> None:
        """Read and check every split.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        for split in self.files:
            for _ in self.pairs(split):
                pass


BIBLE = ParallelSource(
    name="bible-es-en",
    title="the Bible in Spanish (Reina-Valera 1909) and English (World English Bible), verse by "
    "verse",
    licence="public domain",
    place="translation",
    files={split: (f"bible-es-en.{split}.tsv",) for split in SPLITS},
    otherwise="docs/data.md says how they are made",
)
MULTI30K = ParallelSource(
    name="multi30k-de-en",
    title="Multi30k: captions of photographs in German and English (Elliott et al. 2016, "
    "doi:10.18653/v1/W16-3210); test 2016",
    licence="for non-commercial research and education, derived from Flickr30k",
    place="multi30k-de-en",
    files={
        split: (f"{name}.de", f"{name}.en")
        for split, name in zip(SPLITS, ("train", "val", "test_2016_flickr"), strict=True)
    },
    otherwise="or `seqmem data fetch multi30k-de-en`",
)
PARALLEL_TEXTS: Mapping[str, ParallelSource] = MappingProxyType(
    {text.name: text for text in (BIBLE, MULTI30K)}
)
