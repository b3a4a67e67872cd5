"""LJ Speech: its clips, and which of them train, validate and test.

LJ Speech (Ito & Johnson 2017) is 13,100 clips, 24 hours, of one reader: mono WAV files of 16 bits
and 22,050 samples a second. They are looked up in the data directory (``--data-dir`` or
SEQMEM_DATA), in the folder ``ljspeech/wavs``: any number of them, under their own names, as
``LJ001-0001.wav``, chapter and number.

A clip's name alone says in which part it is: of chapter LJ001, clips whose number ends in 9
validate and those whose number ends in 0 test; all others train. So more clips never move one from
a part to another, and validation and test have at most 18 clips each, however many train. All parts
are of one reader, and neighbouring sentences are in different ones.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seqmem.errors import InputError
from seqmem.tasks.data.sound import PARTS, Part
from seqmem.tasks.data.sources import Located, Source
from seqmem.tasks.data.wav_files import read_wav

__all__ = ["LJSPEECH", "ClipSource", "part_of"]

HELD_OUT = "LJ001"  # the chapter of which some clips do not train
ENDINGS: Mapping[str, Part] = {"9": "valid", "0": "test"}
RATE = 22_050
NAME = re.compile(r"LJ\d{3}-\d{4}")
ARCHIVE = "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2"


def part_of(clip: str) -> Part:
    """Return the part that a clip is in, as ``LJ001-0010`` is in "test"."""
    return ENDINGS.get(clip[-1], "train") if clip.startswith(HELD_OUT) else "train"


@dataclass(frozen=True)
class ClipSource(Source):
    """Some clips of LJ Speech in one folder."""

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        return (
            f"download {ARCHIVE} (2.6 GB) and put its folder wavs, or some of the clips in it, "
            f"into DIR/{self.name}, so that there is DIR/{self.name}/wavs/LJ001-0010.wav; then "
            "give --data-dir DIR"
        )

    def locate(self) -> Located:
        """Search for the files on this machine, without reading them."""
        where = "no data directory is given" if self.folder is None else f"{self.folder}/wavs"
        try:
            parts = self.find()
        except InputError as error:
            return Located(where, None, str(error))
        return Located(where, {path.stem: path for part in parts.values() for path in part}, "")

    def find(self) -> dict[Part, tuple[Path, ...]]:
        """Return the clips of each part in the order of their names.

        Raises:
            InputError: there are none of a part, a file has another name than a clip, or no data
                directory is given.
        """
        if self.folder is None:
            raise InputError(f"{self.name}: no data directory is given; {self.how_to_get}")
        folder = self.folder / "wavs"
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() == ".wav")
        if not found:
            raise InputError(f"{self.name}: no WAV file is in {folder}; {self.how_to_get}")
        parts: dict[Part, list[Path]] = {part: [] for part in PARTS}
        for path in found:
            if not NAME.fullmatch(path.stem) or path.suffix != ".wav":
                raise InputError(
                    f"{path}: is not named like a clip of LJ Speech, as LJ001-0001.wav; move it "
                    f"elsewhere, and measure your own recordings with audio:GLOB"
                )
            parts[part_of(path.stem)].append(path)
        for part, paths in parts.items():
            if not paths:
                ending = next((last for last, held in ENDINGS.items() if held == part), "1")
                raise InputError(
                    f"{self.name}: of {len(found):,} clips in {folder} none is in the {part} part; "
                    f"add one, as {HELD_OUT}-001{ending}.wav: {self.how_to_get}"
                )
        return {part: tuple(paths) for part, paths in parts.items()}

    def check(self) -> str:
        """Read every clip; return how many there are, and their hash: there is no expected one.

        Raises:
            InputError: one is missing or damaged, or is not of the published form.
        """
        digest, count, samples = hashlib.sha256(), 0, 0
        for part in self.find().values():
            for path in part:
                values, rate = read_wav(path)
                if rate != RATE:
                    raise InputError(
                        f"{path}: has {rate:,} samples a second, and a clip of LJ Speech {RATE:,}; "
                        "get it again (see `seqmem data`)"
                    )
                digest.update(path.stem.encode() + values.tobytes())
                count, samples = count + 1, samples + len(values)
        hours = samples / RATE / 3600
        return (
            f"{count:,} of 13,100 clips, {hours:.2f} hours; no hash is expected, and that of these "
            f"is {digest.hexdigest()[:16]}…"
        )


LJSPEECH = ClipSource(
    name="ljspeech",
    title="LJ Speech, one reader of seven books (Ito & Johnson 2017)",
    licence="public domain",
)
