import os
from pathlib import Path

import pytest


@pytest.fixture
def data() -> Path:
    """The real data sets; tests that need them are skipped where they are not."""
    directory = os.environ.get("SEQMEM_DATA")
    if not directory:
        pytest.skip("needs real corpora: set SEQMEM_DATA to a folder that holds them")
    return Path(directory)


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and an empty cache beside it."""
    directory = tmp_path / "data"
    directory.mkdir()
    monkeypatch.setenv("SEQMEM_DATA", str(directory))
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "cache"))
    return directory
