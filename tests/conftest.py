import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqmem.baselines.training import recipes
from seqmem.tasks.data import python_files
from seqmem.tests.command import Command


@pytest.fixture(autouse=True)
def global_random_state_is_left_alone() -> Iterator[None]:
    """Nothing in the suite may draw from, or seed, the global generator."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache out of the tests, and the tests out of the user's cache."""
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def environment_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--data-dir` sets SEQMEM_DATA for its process, which here is that of all tests."""
    # Set and not only looked at: so it is put back, or taken away again, at the end.
    monkeypatch.setenv("SEQMEM_DATA", os.environ.get("SEQMEM_DATA", ""))


@pytest.fixture(autouse=True)
def width_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have the width of the terminal, which is no part of a test."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def data() -> Path:
    """The real data sets; tests that need them are skipped where they are not."""
    directory = os.environ.get("SEQMEM_DATA")
    if not directory:
        pytest.skip("needs real data: set SEQMEM_DATA to the folder that holds the corpora")
    return Path(directory)


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, and an empty cache beside it."""
    directory = tmp_path / "data"
    directory.mkdir()
    monkeypatch.setenv("SEQMEM_DATA", str(directory))
    monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / "cache"))
    return directory


@pytest.fixture
def seqmem_(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """The command, in an empty folder, without real data, and with trainings of a few steps."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEQMEM_DATA", raising=False)
    monkeypatch.setattr(python_files, "_folder", lambda: tmp_path / "no-python")
    short = {
        key: replace(recipe, steps=6, validate_every=3, options={"hidden": 4})
        for key, recipe in recipes._RECIPES.items()
    }
    monkeypatch.setattr(recipes, "_RECIPES", short)
    return Command(capsys, monkeypatch)
