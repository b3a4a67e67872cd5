"""Files: whole or not at all, regular ones alone, who may read them, and paths with a tilde."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqmem.baselines.training.checkpoint import Checkpoint, save_weights
from seqmem.errors import InputError
from seqmem.files import expand_user, read_file, write_bytes, write_output
from seqmem.leaderboard.store import write_once

WRITERS: dict[str, Callable[[Path], object]] = {
    "content": lambda path: write_bytes(path, b"x"),
    "weights": lambda path: save_weights(torch.nn.BatchNorm1d(2), path, {}),  # type: ignore[arg-type]
    "checkpoint": lambda path: Checkpoint(path, every_seconds=0).save({"step": 1}),
    "record": lambda path: write_once("{}", path.parent, path.stem),
}


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
@pytest.mark.parametrize("writer", WRITERS)
def test_files_have_the_mode_of_the_umask(writer: str, umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        for _ in range(2):  # the second replaces the first, or is put next to it
            WRITERS[writer](tmp_path / "written.json")
    finally:
        os.umask(before)
    found = {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert found == {0o666 & ~umask}
    assert not [*tmp_path.glob("*.tmp")]


def test_an_output_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "board.csv"
    write_output(path, b"first")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        write_output(path, b"second")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["board.csv"]


def test_an_output_keeps_links_and_the_umask(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "board.csv"
    link.symlink_to(tmp_path / "real" / "board.csv")
    before = os.umask(0o022)
    try:
        write_output(link, b"text")
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert (tmp_path / "real" / "board.csv").read_bytes() == b"text"
    assert link.stat().st_mode & 0o777 == 0o644
    write_output(Path("/dev/null"), b"text")
    assert not Path("/dev/null").is_file()


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert read_file(tmp_path / "link") == b"x"
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="not a regular file"):
            read_file(path)


def test_a_tilde_is_a_home_folder_or_part_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert expand_user("~/a.txt") == tmp_path / "home" / "a.txt"
    assert expand_user("~nobody-of-this-name/a.txt") == Path("~nobody-of-this-name/a.txt")
    assert expand_user("a~.txt") == Path("a~.txt")
    Path("~draft.txt").touch()
    Path("~").mkdir()
    assert expand_user("~draft.txt") == Path("~draft.txt")
    assert expand_user("~") == Path("~")
