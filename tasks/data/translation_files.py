"""Published parallel texts: their files and their expected content.

They are looked up in the data directory, in the folder ``translation``: ``NAME.train.tsv`` and so
on, plain, .gz or .xz.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from seqmem.errors import InputError
from seqmem.tasks.data.parallel_text import Pair, read_pairs
from seqmem.tasks.data.sources import Facts, Located, Source, compare_facts, expected_content
from seqmem.tasks.data.text_files import find_file

__all__ = ["TRANSLATION", "ParallelSource"]


@dataclass(frozen=True)
class ParallelSource(Source):
    """Parallel texts in one folder.

    Attributes:
        texts: by name, the expected content by split: the number of pairs, and the sha256 of all
            lines ``source TAB target LF``.
    """

    texts: Mapping[str, Mapping[str, Facts]]

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        files = ", ".join(f"{name}.{{train,valid,test}}.tsv" for name in self.texts)
        return (
            f"put {files} (also .xz or .gz) into DIR/{self.name} and give --data-dir DIR; "
            "docs/data.md says how they are made"
        )

    def locate(self) -> Located:
        """Search for the files on this machine, without reading them."""
        found: dict[str, Path] = {}
        problems: dict[str, str] = {}
        for name in self.texts:
            try:
                found |= {f"{name}.{split}": path for split, path in self.find(name).items()}
                problems[name] = ""
            except InputError as error:
                problems[name] = str(error)
        where = str(self.folder or "no data directory is given")
        return Located(where, found or None, next(filter(None, problems.values()), ""), problems)

    def find(self, name: str) -> dict[str, Path]:
        """Return the file of each split of a text.

        Raises:
            InputError: one does not exist, or no data directory is given.
        """
        if self.folder is None:
            raise InputError(f"{self.name}: no data directory is given; {self.how_to_get}")
        found = {}
        for split in self.texts[name]:
            path = find_file(self.folder, [f"{name}.{split}.tsv"])
            if path is None:
                raise InputError(
                    f"{self.name}: {name}.{split}.tsv is not in {self.folder}; {self.how_to_get}"
                )
            found[split] = path
        return found

    def pairs(self, name: str, split: str) -> Iterator[Pair]:
        """Yield the pairs of a split; after the last one, compare their number and hash.

        Raises:
            InputError: a line is not a pair, or the content is not the expected one.
        """
        path = self.find(name)[split]
        digest, count = hashlib.sha256(), 0
        for pair in read_pairs((path,)):
            digest.update(f"{pair.source}\t{pair.target}\n".encode())
            count += 1
            yield pair
        found = {"pairs": count, "sha256": digest.hexdigest()}
        compare_facts(str(path), found, self.texts[name][split])

    def check(self) -> None:
        """Read and check every text.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        for name, splits in self.texts.items():
            for split in splits:
                for _ in self.pairs(name, split):
                    pass


TRANSLATION = ParallelSource(
    name="translation",
    title="the Bible in Spanish (Reina-Valera 1909) and English (World English Bible), verse by "
    "verse",
    licence="public domain",
    texts=expected_content("translation"),
)
