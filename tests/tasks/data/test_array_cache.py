import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seqmem.tasks.data.array_cache import Arrays, cache_key, cached_arrays, pack_words, unpack_words


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make() -> Arrays:
    return {"ids": np.arange(5, dtype=np.int32), "words": pack_words(("a", "<unk>", "é"))}


def never() -> Arrays:
    raise AssertionError("made again")


def test_made_once_then_mapped(cache: Path) -> None:
    cached_arrays("x", "key", make)
    again = cached_arrays("x", "key", never)
    assert isinstance(again["ids"], np.memmap)
    assert again["ids"].tolist() == [0, 1, 2, 3, 4]
    assert unpack_words(again["words"]) == ("a", "<unk>", "é")
    again["ids"][0] = 7  # does not reach the disk
    assert cached_arrays("x", "key", never)["ids"][0] == 0


def test_another_key_is_another_entry() -> None:
    cached_arrays("x", "key", make)
    with pytest.raises(AssertionError, match="made again"):
        cached_arrays("x", "other", never)
    assert cache_key(["a", "bc"]) != cache_key(["ab", "c"])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def pipe_instead(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-6]),
        flip,
        lambda file: np.save(file, np.arange(5, dtype=np.int32)[::-1]),
        Path.unlink,
        pipe_instead,
        lambda file: flip(file.with_name("sha256.json")),
        lambda file: file.with_name("sha256.json").unlink(),
        lambda file: file.with_name("sha256.json").write_text("[]"),
    ],
)
def test_a_damaged_entry_is_made_again(cache: Path, damage: Callable[[Path], object]) -> None:
    cached_arrays("x", "key", make)
    damage(next(cache.iterdir()) / "ids.npy")
    assert cached_arrays("x", "key", make)["ids"].tolist() == [0, 1, 2, 3, 4]
    cached_arrays("x", "key", never)


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "file"))
    assert cached_arrays("x", "key", make)["ids"].tolist() == [0, 1, 2, 3, 4]


TWO_AT_ONCE = """
import sys, time
import numpy as np
from seqmem.tasks.data.array_cache import cached_arrays

def slow():
    print("inside", flush=True)
    sys.stdin.readline()  # until both are inside
    return {"ids": np.arange(5, dtype=np.int32)}

print(cached_arrays("x", "key", slow)["ids"].tolist())
"""


def test_two_processes_at_once(cache: Path) -> None:
    command = [sys.executable, "-c", TWO_AT_ONCE]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
    for process in both:
        assert process.communicate("go\n", timeout=60)[0] == "[0, 1, 2, 3, 4]\n"
        assert process.returncode == 0
    assert len(list(cache.iterdir())) == 1  # and nothing half made
