"""Small generated recordings, as WAV files."""

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

RATE = 22_050
CLIPS = ("LJ001-0001", "LJ001-0002", "LJ001-0009", "LJ001-0010", "LJ002-0019", "LJ002-0020")

Floats = npt.NDArray[np.float64]


def tone(hertz: float, seconds: float, rate: int = RATE, loudness: float = 0.5) -> Floats:
    """Return a sine."""
    return loudness * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write_wav(
    path: Path, samples: Floats, rate: int = RATE, *, bits: int = 16, channels: int = 1
) -> Path:
    """Write integers of some size, with the standard library; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = np.round(samples * (2 ** (bits - 1) - 1)).astype(np.int64)
    if bits == 8:
        whole = whole + 128
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(b"".join((int(v) % 2**bits).to_bytes(bits // 8, "little") for v in whole))
    return path


def write_clips(data: Path, names: tuple[str, ...] = CLIPS, seconds: float = 0.05) -> Path:
    """Write clips with the names of LJ Speech, each of other noise; return their folder."""
    folder = data / "ljspeech" / "wavs"
    for name in names:
        number = int(name[2:5]) * 10_000 + int(name[-4:])
        noise = np.random.default_rng(number).uniform(-0.3, 0.3, round(seconds * RATE) + number % 7)
        write_wav(folder / f"{name}.wav", noise)
    return folder
