"""Your own recordings: predict the next sample.

``audio:GLOB`` are the WAV files that the glob matches (quote it), at least three, of one channel
each. They are resampled to 8,000 samples a second (``audio:GLOB?rate=16000``: 16,000) and companded
to 256 levels by the µ-law; what is a sequence, and how it is scored, is in
`seqmem.tasks.next_sample`. Context lengths go to one second.

Splits, by file, so that no recording is in two of them: the files are taken in order of the sha256
of their bytes, whatever their names. The first are the test part, until they have a tenth of all
samples or two minutes, whichever is less; the next the validation part, likewise; the others train.
Recordings of one voice or place may be in several parts. One more file may move others from part to
part: it makes another task, with another data hash, which covers all recordings.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from seqmem.errors import InputError
from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays
from seqmem.tasks.data.sound import Codes, Part, pack_parts, read_codes
from seqmem.tasks.data.text_files import expand, file_digest
from seqmem.tasks.next_sample import NextSample, read_rate
from seqmem.tasks.parameters import read_parameters, split_options

__all__ = ["Audio"]

EXAMPLE = "audio:GLOB?rate=16000"
HELD_OUT = 120  # seconds of each of validation and test, at most, apart from the last file
FEWEST = 3


class Audio(NextSample):
    """``audio:GLOB[?rate=8000|16000]``."""

    version: ClassVar[int] = 1

    def __init__(self, pattern: str, rate: int, given: str) -> None:
        """Take a file or glob, how many samples there are in a second, and the id's text."""
        super().__init__(f"audio:{given}", rate)
        self.pattern = pattern

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Audio":
        """Return the task of an id, whose text is under the key "text".

        Raises:
            InputError: no file is named, or an option is unknown or wrong.
        """
        given = parameters["text"]
        pattern, options = split_options(given)
        if not pattern:
            raise InputError("no file is named; write 'audio:FOLDER/*.wav'")
        return cls(pattern, read_rate(read_parameters(options, "&", EXAMPLE), EXAMPLE), given)

    @property
    def user_file(self) -> str | None:
        """The file or glob."""
        return self.pattern

    @cached_property
    def arrays(self) -> Arrays:
        """The recordings.

        Raises:
            InputError: there is none, they are too few, or one is damaged.
        """
        files = sorted((file_digest(path), path) for path in expand(self.pattern))
        if len(files) < FEWEST:
            raise InputError(
                f"{self.pattern}: too few recordings to split, {len(files)}; there are at least "
                f"{FEWEST}, each in a file of its own (cut a long one, or give a glob, audio:*.wav)"
            )
        key = cache_key(["audio", str(self.rate), *(digest for digest, _ in files)])
        paths = [path for _, path in files]
        return cached_arrays("audio", key, lambda: pack_parts(self._cut(paths)))

    def _cut(self, paths: Sequence[Path]) -> dict[Part, list[tuple[Path, Codes]]]:
        """Read files, and return those of each part.

        Raises:
            InputError: none is left to train.
        """
        waiting = [(path, read_codes(path, self.rate)) for path in paths]
        total = sum(len(codes) for _, codes in waiting)
        wanted = min(total / 10, HELD_OUT * self.rate)
        parts: dict[Part, list[tuple[Path, Codes]]] = {"train": [], "valid": [], "test": []}
        held: tuple[Part, ...] = ("test", "valid")
        for part in held:
            while waiting and sum(len(codes) for _, codes in parts[part]) < wanted:
                parts[part].append(waiting.pop(0))
        if not (waiting and parts["valid"]):
            raise InputError(
                f"{self.pattern}: too few recordings to split, {len(paths)} of which some are far "
                "longer than others; cut the long ones into several files"
            )
        parts["train"] = waiting
        return parts
