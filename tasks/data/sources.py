"""Where data sets are looked up, and what they must contain.

The data directory is given by the user: ``--data-dir`` or SEQMEM_DATA. Each data set is in the
folder of its name.
"""

import os
import tempfile
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from seqmem.errors import InputError
from seqmem.files import expand_user

__all__ = [
    "Facts",
    "Located",
    "Source",
    "cache_directory",
    "compare_facts",
    "data_directory",
    "expected_content",
]

Facts = Mapping[str, Any]  # counts and hashes of a content, by name; see expected.toml


@dataclass(frozen=True)
class Located:
    """The result of the search for a data set.

    Attributes:
        where: the folder, or the repository on the hub.
        files: the files found, by name; None if too few for any measurement.
        problem: what is missing, and how to get it; empty if nothing is.
        variants: the problem of each variant of a family that has its own files; a missing file
            is no problem of the other variants.
    """

    where: str
    files: Mapping[str, Path] | None
    problem: str
    variants: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source(ABC):
    """A data set that can be located and checked.

    Attributes:
        name: its folder in the data directory.
        title: its full name, with the paper.
        licence: the licence of its content.
    """

    name: str
    title: str
    licence: str

    @property
    @abstractmethod
    def how_to_get(self) -> str:
        """How to get the data."""

    @property
    def folder(self) -> Path | None:
        """Its folder in the data directory; None if no data directory is given."""
        directory = data_directory()
        return None if directory is None else directory / self.name

    @abstractmethod
    def locate(self) -> Located:
        """Search for the files on this machine, without reading them."""

    @abstractmethod
    def check(self) -> str | None:
        """Read the files found and compare counts and hashes with the expected ones.

        Returns:
            what could not be checked or is not available, if anything.

        Raises:
            InputError: a file is missing, damaged or altered.
        """


def data_directory() -> Path | None:
    """Return the user's data directory: SEQMEM_DATA; None if it is unset or empty."""
    text = os.environ.get("SEQMEM_DATA")
    return expand_user(text) if text else None


def cache_directory() -> Path:
    """Return the folder of caches: SEQMEM_CACHE, or the default of the system.

    A user without a home folder has one that is deleted at the end of this process.
    """
    if given := os.environ.get("SEQMEM_CACHE"):
        return expand_user(given)
    try:
        usual = Path(platformdirs.user_cache_dir("seqmem"))
    except RuntimeError:  # there is no home folder
        return Path(_own_folder().name)
    return usual if usual.is_absolute() else Path(_own_folder().name)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="seqmem-", ignore_cleanup_errors=True)


def expected_content(name: str) -> dict[str, Any]:
    """Return a table of expected.toml."""
    text = Path(__file__).with_name("expected.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)[name]
    return table


def compare_facts(where: str, found: Facts, expected: Facts) -> None:
    """Compare counts and hashes with the expected ones, in the order of the latter.

    Raises:
        InputError: one differs.
    """
    for name, right in expected.items():
        value = found[name]
        if value == right:
            continue
        if isinstance(right, int):
            difference = f"{value:,} {name}, expected {right:,}; the file is truncated or altered"
        else:
            difference = (
                f"sha256 of the content is {value[:16]}…, expected {right[:16]}…; "
                "the file is altered"
            )
        raise InputError(f"{where}: {difference}, get it again (see `seqmem data`)")
