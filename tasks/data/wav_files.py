"""WAV files: the samples of one channel as numbers from −1 to 1.

Uncompressed integers of 8 to 64 bits and floats of 32 and 64 bits are read, by SciPy. A file is
read whole or not at all: one that ends before its samples do is an error, as is a second channel.
"""

import struct
import warnings
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile

from seqmem.errors import InputError
from seqmem.files import require_regular

__all__ = ["read_wav"]

PLAIN = (1, 3, 0xFFFE)  # PCM, IEEE float, and WAVE_FORMAT_EXTENSIBLE, which is either
HIGHEST = 768_000  # samples a second, of any recorder: a header with more is damaged

Samples = npt.NDArray[np.float64]


def read_wav(path: Path) -> tuple[Samples, int]:
    """Return the samples of a WAV file, (n,) from −1 to 1, and how many there are in a second.

    Raises:
        InputError: it cannot be read, is no WAV file, is empty, truncated or damaged, has several
            channels, or a sample that is no number from −1 to 1.
    """
    try:
        require_regular(path)
        with path.open("rb") as file:
            _check_chunks(path, file)
            file.seek(0)
            rate, values = _read(path, file)
    except OSError as error:
        problem = error.strerror or error
        raise InputError(f"{path} cannot be read: {problem}; give another file") from None
    if values.ndim > 1:
        raise InputError(
            f"{path}: has {values.shape[1]} channels; mix it down to one, for example with "
            "ffmpeg -i IN.wav -ac 1 OUT.wav"
        )
    if not 0 < rate <= HIGHEST:
        raise InputError(f"{path}: {rate:,} samples a second; the file is damaged, get it again")
    return _scaled(path, values), rate


def _check_chunks(path: Path, file: IO[bytes]) -> None:
    """Check that a file is RIFF WAVE and has all the samples that it announces.

    A file is a header of 12 bytes, then chunks: a name, the number of bytes, and these, padded to
    an even number (Microsoft & IBM 1991, Multimedia Programming Interface and Data Specifications
    1.0).

    Raises:
        InputError: it is not, or has not.
    """
    size = file.seek(0, 2)
    if size == 0:
        raise InputError(f"{path} is empty; give a recording")
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        raise InputError(
            f"{path}: is not a WAV file; convert it, for example with ffmpeg -i {path.name} OUT.wav"
        )
    at, block, found = len(head), 1, False
    whole = 8 + struct.unpack("<I", head[4:8])[0]  # the length that the header announces
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        at += 8
        if name == b"fmt " and len(form := file.read(16)) == 16:
            kind, channels, block, bits = struct.unpack("<HH8xHH", form)
            if kind in PLAIN and block != channels * -(-bits // 8):
                raise InputError(
                    f"{path}: {channels} channels of {bits} bits do not make samples of {block} "
                    "bytes; the file is damaged, get it again"
                )
        if name == b"data":
            if found:
                raise InputError(f"{path}: has samples in several places; convert it to plain WAV")
            found = True
            if length == 0:
                raise InputError(f"{path}: has no samples; give a recording")
            if at + length > size:
                raise InputError(
                    f"{path}: is truncated, {size - at:,} of {length:,} bytes of samples; get it "
                    "again"
                )
            if at + length > whole:
                raise InputError(
                    f"{path}: its header announces {whole:,} bytes, its samples end after "
                    f"{at + length:,}; the file is damaged, get it again"
                )
            if length % (block or 1):
                raise InputError(
                    f"{path}: {length:,} bytes of samples of {block} bytes each; the file is "
                    "damaged, get it again"
                )
        at += length + length % 2
    if not found:
        raise InputError(
            f"{path}: is truncated or damaged, there are no samples in it; get it again"
        )


def _read(path: Path, file: IO[bytes]) -> tuple[int, npt.NDArray[np.generic]]:
    """Return what SciPy reads.

    Raises:
        InputError: it cannot.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", wavfile.WavFileWarning)
            # Chunks of notes and pictures, in files of many programs.
            warnings.filterwarnings("ignore", "Chunk .*not understood", wavfile.WavFileWarning)
            rate, values = wavfile.read(file)
    except OSError:
        raise
    except Exception as error:  # of a damaged header it raises many kinds
        problem = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path}: is damaged, or compressed ({problem}); get it again, or convert it to "
            "uncompressed WAV"
        ) from None
    return int(rate), values


def _scaled(path: Path, values: npt.NDArray[np.generic]) -> Samples:
    """Return samples of any type as numbers from −1 to 1: integers divided by their range.

    Raises:
        InputError: a float is not from −1 to 1.
    """
    if values.dtype.kind == "u":  # of 8 bits, around 128
        return (values.astype(np.float64) - 128) / 128
    if values.dtype.kind == "i":
        return values.astype(np.float64) / 2.0 ** (8 * values.dtype.itemsize - 1)
    samples = values.astype(np.float64)
    wrong = np.flatnonzero(~(np.abs(samples) <= 1))
    if len(wrong):
        raise InputError(
            f"{path}: sample {wrong[0] + 1:,} is {samples[wrong[0]]:g}; those of a WAV file of "
            "floats are from −1 to 1, scale them"
        )
    return samples
