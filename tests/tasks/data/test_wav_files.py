"""WAV files: every format, and every way in which one may be wrong."""

import os
import re
import struct
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from seqmem.errors import InputError
from seqmem.tasks.data.wav_files import read_wav
from seqmem.tests.sounds import tone, write_wav

SAMPLES = tone(440, 0.01)
each_file = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
def test_integers_of_every_size(tmp_path: Path, bits: int) -> None:
    path = write_wav(tmp_path / "a.wav", SAMPLES, 11_025, bits=bits)
    found, rate = read_wav(path)
    assert rate == 11_025
    np.testing.assert_allclose(found, SAMPLES, atol=2.0 ** (2 - bits))


def test_the_largest_integers_are_within_one(tmp_path: Path) -> None:
    wavfile.write(tmp_path / "a.wav", 8000, np.array([-32768, 0, 16384, 32767], np.int16))
    assert read_wav(tmp_path / "a.wav")[0].tolist() == [-1, 0, 0.5, 32767 / 32768]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_are_as_they_are(tmp_path: Path, kind: type) -> None:
    wavfile.write(tmp_path / "a.wav", 8000, SAMPLES.astype(kind))
    assert np.array_equal(read_wav(tmp_path / "a.wav")[0], SAMPLES.astype(kind))


def test_chunks_of_other_programs_are_no_samples(tmp_path: Path) -> None:
    """Notes before and after the samples are skipped, and are no reason for a warning."""
    whole = write_wav(tmp_path / "a.wav", SAMPLES).read_bytes()
    note = b"note" + struct.pack("<I", 3) + b"abc\0"  # padded to an even number
    body = whole[12:36] + note + whole[36:] + note
    (tmp_path / "b.wav").write_bytes(
        b"RIFF" + struct.pack("<I", len(body) + 4) + whole[8:12] + body
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_wav(tmp_path / "b.wav")[0]
    assert np.array_equal(found, read_wav(tmp_path / "a.wav")[0])


def header(
    kind: int = 1,
    channels: int = 1,
    rate: int = 8000,
    bits: int = 16,
    length: int = 8,
    size: int | None = None,
) -> bytes:
    """Return a file of so many bytes of samples with this header."""
    size = bits // 8 if size is None else size
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * size, size, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
    body += struct.pack("<I", length) + bytes(length)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "a.wav is empty; give a recording"),
        (b"ID3\x03" + bytes(60), "is not a WAV file; convert it, for example with ffmpeg"),
        (b"RIFF" + bytes(60), "is not a WAV file"),
        (header()[:36], "is truncated or damaged, there are no samples"),
        (header()[:40] + bytes(4), "has no samples; give a recording"),
        (header()[:-3], "is truncated, 5 of 8 bytes of samples; get it again"),
        (header(length=7), "7 bytes of samples of 2 bytes each; the file is damaged"),
        (header(bits=24), "8 bytes of samples of 3 bytes each"),
        (header(kind=7), "is damaged, or compressed (Unknown wave file format: MULAW"),
        (header(channels=0), "0 channels of 16 bits do not make samples of 2 bytes"),
        (header(bits=0), "is damaged, or compressed"),
        (header(size=4), "1 channels of 16 bits do not make samples of 4 bytes"),
        (header() + b"data" + struct.pack("<I", 4) + bytes(4), "samples in several places"),
        (b"RIFF" + bytes(4) + header()[8:], "announces 8 bytes, its samples end after 52"),
        (header(rate=0), "0 samples a second; the file is damaged"),
        (header(rate=900_000), "900,000 samples a second; the file is damaged"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        read_wav(tmp_path / "a.wav")
    assert str(tmp_path / "a.wav") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_channels_are_not_mixed_in_silence(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", SAMPLES[:200], channels=2)
    with pytest.raises(InputError, match=r"a\.wav: has 2 channels; mix it down to one"):
        read_wav(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -32768])
def test_floats_beyond_one(tmp_path: Path, value: float) -> None:
    wavfile.write(tmp_path / "a.wav", 8000, np.array([0.1, value, 0.2], np.float32))
    with pytest.raises(InputError, match=r"a\.wav: sample 2 is .* from −1 to 1, scale them"):
        read_wav(tmp_path / "a.wav")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_wav(tmp_path / "a.wav")
    os.mkfifo(tmp_path / "b.wav")
    with pytest.raises(InputError, match="cannot be read: not a regular file"):
        read_wav(tmp_path / "b.wav")


def test_a_file_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    whole = write_wav(tmp_path / "a.wav", SAMPLES[:40]).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b.wav").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"b\.wav"):
            read_wav(tmp_path / "b.wav")


@each_file
@given(place=st.integers(0, 43), value=st.integers(0, 255))
def test_a_damaged_header_is_an_error_or_another_sound(
    tmp_path: Path, place: int, value: int
) -> None:
    whole = bytearray(write_wav(tmp_path / "a.wav", SAMPLES[:40]).read_bytes())
    whole[place] = value
    (tmp_path / "b.wav").write_bytes(whole)
    with suppress(InputError):
        samples, rate = read_wav(tmp_path / "b.wav")
        assert np.abs(samples).max() <= 1
        assert rate > 0
