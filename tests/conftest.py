import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def global_random_state_is_left_alone() -> Iterator[None]:
    """Nothing in the suite may draw from, or seed, the global generator."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    if "SEQMEM_CACHE" not in os.environ:
        folder = tmp_path_factory.getbasetemp() / "cache"
        monkeypatch.setenv("SEQMEM_CACHE", str(folder))


@pytest.fixture
def real_data() -> Path:
    """The folder of the real corpora; tests that need it are skipped without it."""
    text = os.environ.get("SEQMEM_DATA")
    if not text:
        pytest.skip("real data: set SEQMEM_DATA to the folder that holds the corpora")
    return Path(text)
