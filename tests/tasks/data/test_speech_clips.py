"""The clips of LJ Speech: found, named, and each in one part."""

import random
import re
from pathlib import Path

import pytest

from seqmem.cli.listings import data_rows
from seqmem.errors import InputError
from seqmem.tasks.data.fetch import fetch_data
from seqmem.tasks.data.speech_clips import LJSPEECH, part_of
from seqmem.tests.sounds import CLIPS, RATE, tone, write_clips, write_wav


def test_the_rule_of_the_parts() -> None:
    chapter = [part_of(f"LJ001-{number:04}") for number in range(1, 33)]
    assert [i for i, part in enumerate(chapter, 1) if part == "valid"] == [9, 19, 29]
    assert [i for i, part in enumerate(chapter, 1) if part == "test"] == [10, 20, 30]
    assert {part_of(f"LJ{book:03}-{i:04}") for book in range(2, 51) for i in range(99)} == {"train"}


def test_more_clips_move_none(own_data: Path) -> None:
    names = [f"LJ{chapter:03}-{number:04}" for chapter in (1, 2) for number in range(1, 25)]
    random.Random(0).shuffle(names)
    names = list(dict.fromkeys(["LJ001-0009", "LJ001-0010", *names]))
    before: dict[str, str] = {}
    for some in (names[:30], names):
        write_clips(own_data, tuple(some), seconds=0.001)
        found = LJSPEECH.find()
        where = {path.stem: part for part, paths in found.items() for path in paths}
        assert sorted(where) == sorted(some)  # each once, and none left out
        assert before.items() <= where.items()
        before = dict(where)


def test_what_is_found(own_data: Path) -> None:
    assert "no WAV file is in" in LJSPEECH.locate().problem
    folder = write_clips(own_data)
    (folder / "README").write_text("no clip")
    located = LJSPEECH.locate()
    assert located.where == str(folder)
    assert sorted(located.files or ()) == sorted(CLIPS)
    says = LJSPEECH.check()
    assert re.match(r"6 of 13,100 clips, 0\.00 hours; no hash is expected, and .* is \w{16}…", says)
    (row,) = (row for row in data_rows() if row["data"] == "ljspeech")
    assert str(row["state"]).endswith(says)
    write_wav(folder / f"{CLIPS[0]}.wav", tone(440, 0.1))
    assert LJSPEECH.check() != says


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("LJ001-10.wav", "is not named like a clip of LJ Speech, as LJ001-0001.wav; move it"),
        ("LJ001-0003 (1).wav", "is not named like a clip"),
        ("LJ001-0003.WAV", "is not named like a clip"),
    ],
)
def test_names_of_other_files(own_data: Path, name: str, says: str) -> None:
    write_wav(write_clips(own_data) / name, tone(440, 0.1))
    with pytest.raises(InputError, match=says) as caught:
        LJSPEECH.find()
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("left", "part", "add"),
    [("0010", "test", "0010"), ("0009", "valid", "0019"), ("0001", "train", "0011")],
)
def test_a_part_without_clips(own_data: Path, left: str, part: str, add: str) -> None:
    names = tuple(f"LJ001-{number}" for number in ("0001", "0009", "0010") if number != left)
    write_clips(own_data, names)
    says = f"of 2 clips in .* none is in the {part} part; add one, as LJ001-{add}.wav"
    with pytest.raises(InputError, match=says):
        LJSPEECH.find()


def test_another_rate_is_no_clip(own_data: Path) -> None:
    folder = write_clips(own_data)
    write_wav(folder / f"{CLIPS[0]}.wav", tone(440, 0.1), 8000)
    with pytest.raises(InputError, match=f"8,000 samples a second, and a clip .* {RATE:,}"):
        LJSPEECH.check()


def test_without_a_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEQMEM_DATA")
    with pytest.raises(InputError, match="no data directory is given; download https://data"):
        LJSPEECH.find()
    with pytest.raises(InputError, match=r"cannot be downloaded by this command; .* \(2\.6 GB\)"):
        fetch_data("ljspeech")


def test_the_clips_at_hand(data: Path) -> None:
    if problem := LJSPEECH.locate().problem:
        pytest.skip(problem)
    found = LJSPEECH.find()
    assert all(found.values())
    assert len({path for paths in found.values() for path in paths}) == sum(
        map(len, found.values())
    )
