"""Recordings as ids: the µ-law, resampling, and what is in no two parts."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqmem.errors import InputError
from seqmem.tasks.data.sound import Codes, Part, compand, expand, pack_parts, read_codes
from seqmem.tests.sounds import Floats, tone, write_wav

A, B, C = Path("a.wav"), Path("b.wav"), Path("c.wav")


def solved(levels: npt.ArrayLike) -> Floats:
    """Return the sample that is each level exactly: the formula, solved for x."""
    companded = 2 * np.asarray(levels, np.float64) / 255 - 1
    samples: Floats = np.sign(companded) * (256 ** np.abs(companded) - 1) / 255
    return samples


def test_levels_are_those_of_the_formula() -> None:
    every = np.arange(256).astype(np.uint8)
    assert np.array_equal(compand(expand(every)), every)
    np.testing.assert_allclose(expand(every), solved(every), rtol=1e-12)
    assert compand(solved(every + 0.499)[:-1]).tolist() == list(range(255))
    assert compand(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]
    assert compand(np.array([-7.0, 7.0])).tolist() == [0, 255]  # beyond the range
    # ln(1 + 255/100)/ln 256 = 0.22846, of which 255/2 are 29.13.
    assert compand(np.array([0.01, -0.01])).tolist() == [157, 98]


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50))
def test_levels_ascend_and_are_the_nearest(values: list[float]) -> None:
    samples = np.sort(np.array(values))
    codes = compand(samples)
    assert (np.diff(codes.astype(int)) >= 0).all()
    # Half a level on either side, on the companded scale.
    low, high = solved(codes - 0.5 - 1e-9), solved(codes + 0.5 + 1e-9)
    assert (low <= samples).all()
    assert (samples <= high).all()


@pytest.mark.parametrize("rate", [8_000, 16_000])
@pytest.mark.parametrize("recorded", [22_050, 44_100, 48_000])
def test_resampling_keeps_a_tone_and_removes_what_is_too_high(
    tmp_path: Path, rate: int, recorded: int
) -> None:
    kept, too_high = 1000.0, 0.65 * rate
    both = tone(kept, 0.5, recorded, 0.4) + tone(too_high, 0.5, recorded, 0.4)
    found = expand(read_codes(write_wav(tmp_path / "a.wav", both, recorded), rate))
    assert len(found) == pytest.approx(0.5 * rate, abs=1)
    middle = found[len(found) // 4 :][: rate // 4]  # whole periods
    spectrum = np.abs(np.fft.rfft(middle)) / (len(middle) / 2)
    hertz = np.fft.rfftfreq(len(middle), 1 / rate)
    assert spectrum[hertz == kept] == pytest.approx(0.4, rel=0.02)
    # Where it would be heard if samples were only left out.
    image = spectrum[np.argmin(np.abs(hertz - (rate - too_high)))]
    assert image < 0.01
    assert np.delete(spectrum, np.argmax(spectrum)).max() < 0.02  # the steps of the levels


def test_the_same_rate_is_not_resampled(tmp_path: Path) -> None:
    samples = tone(440, 0.02, 8000)
    path = write_wav(tmp_path / "a.wav", samples, 8000)
    whole = np.round(samples * 32767) / 32768
    assert np.array_equal(read_codes(path, 8000), compand(whole))


def test_too_few_samples(tmp_path: Path) -> None:
    slow = write_wav(tmp_path / "slow.wav", tone(100, 0.1, 6000), 6000)
    with pytest.raises(InputError, match=r"slow.* 6,000 samples a second, fewer than 8,000.* more"):
        read_codes(slow, 8000)
    some = write_wav(tmp_path / "some.wav", tone(100, 0.1, 8000), 8000)
    with pytest.raises(InputError, match=r"fewer than 16,000.*; use rate=8000"):
        read_codes(some, 16_000)
    short = write_wav(tmp_path / "short.wav", np.zeros(2), 44_100)
    with pytest.raises(InputError, match=r"short\.wav: is too short, 1 sample at 8,000 a second"):
        read_codes(short, 8000)


def test_no_sound_is_in_two_parts() -> None:
    one, two = np.arange(5, dtype=np.uint8), np.arange(6, dtype=np.uint8)
    parts: dict[Part, list[tuple[Path, Codes]]]
    parts = {"train": [(A, one), (B, one)], "valid": [(C, two)], "test": [(C, two[1:])]}
    packed = pack_parts(parts)  # twice in training is no cheating
    assert packed["lengths.train"].tolist() == [5, 5]
    assert packed["codes.valid"].tolist() == [0, 1, 2, 3, 4, 5]
    parts["test"] = [(C, one)]
    with pytest.raises(InputError, match=r"c\.wav: has the same sound as a\.wav.*test.*train part"):
        pack_parts(parts)
