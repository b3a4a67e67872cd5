"""Recordings as ids: resampled, companded by the µ-law, and in three parts.

An id is one of 256 levels of a sample. The levels are finer the quieter a sample is: x from −1 to 1
becomes f(x) = sign(x) ln(1 + µ|x|) / ln(1 + µ) with µ = 255 (ITU-T G.711; van den Oord et al. 2016,
arXiv 1609.03499, section 2.2), and f(x) the nearest of the levels 0 … 255, ⌊255 (f(x) + 1)/2 + ½⌋.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.signal import resample_poly

from seqmem.errors import InputError
from seqmem.tasks.data.array_cache import Arrays
from seqmem.tasks.data.wav_files import Samples, read_wav

__all__ = ["LEVELS", "PARTS", "Codes", "Part", "compand", "expand", "pack_parts", "read_codes"]

LEVELS = 256

Codes = npt.NDArray[np.uint8]
Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = ("train", "valid", "test")


def compand(samples: Samples) -> Codes:
    """Return the µ-law levels (n,) of samples (n,); those beyond ±1 are the highest or lowest."""
    clipped = samples.clip(-1, 1)
    mu = LEVELS - 1
    companded = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / math.log1p(mu)
    levels: Codes = np.floor(mu * (companded + 1) / 2 + 0.5).astype(np.uint8)
    return levels


def expand(codes: Codes) -> Samples:
    """Return the samples (n,) that are levels (n,) exactly: the inverse of f at each level."""
    companded = 2 * codes.astype(np.float64) / (LEVELS - 1) - 1
    samples: Samples = np.sign(companded) * (LEVELS ** np.abs(companded) - 1) / (LEVELS - 1)
    return samples


def read_codes(path: Path, rate: int) -> Codes:
    """Return a recording as ids, (n,), `rate` of them a second.

    Of a file with more samples a second, SciPy's polyphase filter removes what is above half of
    `rate` and keeps one sample of several. Where its output overshoots, it is clipped to ±1.

    Raises:
        InputError: the file cannot be read (`read_wav`), has fewer samples a second, or is so short
            that there is nothing to predict.
    """
    samples, found = read_wav(path)
    if found < rate:
        advice = "use rate=8000" if found >= 8000 else "give recordings of 8,000 or more"
        raise InputError(
            f"{path}: has {found:,} samples a second, fewer than {rate:,}, and more cannot be made "
            f"of them; {advice}"
        )
    if found > rate:
        common = math.gcd(found, rate)
        samples = resample_poly(samples, rate // common, found // common)
    if len(samples) < 2:
        raise InputError(
            f"{path}: is too short, {len(samples)} sample at {rate:,} a second, and the next one "
            "is to be predicted; leave it out"
        )
    return compand(samples)


def pack_parts(parts: Mapping[Part, Sequence[tuple[Path, Codes]]]) -> Arrays:
    """Return the recordings of three parts as arrays: the ids, and the lengths, of each part.

    Raises:
        InputError: two parts have the same recording.
    """
    seen: dict[bytes, tuple[str, Path]] = {}
    arrays: dict[str, npt.NDArray[np.uint8] | npt.NDArray[np.int64]] = {}
    for name in PARTS:
        for path, codes in parts[name]:
            content = hashlib.sha256(codes.tobytes()).digest()
            part, first = seen.setdefault(content, (name, path))
            if part != name:
                raise InputError(
                    f"{path}: has the same sound as {first}, and one would be in the {name} part, "
                    f"the other in the {part} part; keep one of them"
                )
        arrays[f"codes.{name}"] = np.concatenate([codes for _, codes in parts[name]])
        arrays[f"lengths.{name}"] = np.array([len(codes) for _, codes in parts[name]])
    return arrays
