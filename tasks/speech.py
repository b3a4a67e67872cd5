"""Speech: predict the next sample of a reader's voice.

``speech/ljspeech`` are the clips of LJ Speech (Ito & Johnson 2017) that are on the machine, any
number of the 13,100, resampled to 8,000 samples a second (``speech/ljspeech,rate=16000``: 16,000)
and companded to 256 levels by the µ-law, as in WaveNet (van den Oord et al. 2016, arXiv 1609.03499,
section 2.2). What is a sequence, and how it is scored: `seqmem.tasks.next_sample`; which clips
train, validate and test: `seqmem.tasks.data.speech_clips`. Context lengths go to one second.

Clips differ in number from machine to machine. The data hash of a record covers all of them, so
that only scores on the same clips are compared. All 13,100 are some 690 million samples, each of
which takes about 20 bytes of memory in training.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays
from seqmem.tasks.data.sound import pack_parts, read_codes
from seqmem.tasks.data.speech_clips import LJSPEECH
from seqmem.tasks.data.text_files import file_digest
from seqmem.tasks.next_sample import RATES, NextSample, read_rate

__all__ = ["Speech"]

EXAMPLE = "speech/ljspeech,rate=16000"


class Speech(NextSample):
    """``speech/ljspeech[,rate=8000|16000]``."""

    version: ClassVar[int] = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "Speech":
        """Return the task of an id, whose variant is already checked.

        Raises:
            InputError: the rate is another one, or there are other parameters.
        """
        options = {name: text for name, text in parameters.items() if name != "variant"}
        rate = read_rate(options, EXAMPLE)
        written = "" if rate == min(RATES) else f",rate={rate}"
        return cls(f"speech/{parameters['variant']}{written}", rate)

    @cached_property
    def arrays(self) -> Arrays:
        """The clips.

        Raises:
            InputError: one is damaged, or none is there.
        """
        parts = LJSPEECH.find()
        names = [(path.stem, file_digest(path)) for part in parts.values() for path in part]
        key = cache_key(["speech", str(self.rate), *(item for pair in names for item in pair)])
        return cached_arrays(
            "speech",
            key,
            lambda: pack_parts(
                {
                    part: [(path, read_codes(path, self.rate)) for path in paths]
                    for part, paths in parts.items()
                }
            ),
        )
