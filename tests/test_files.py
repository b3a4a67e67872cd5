"""Files that are written whole: who may read them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from seqmem.baselines.training.checkpoint import Checkpoint, save_weights
from seqmem.files import write_bytes
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
