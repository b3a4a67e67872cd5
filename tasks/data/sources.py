"""where data sets are looked up.

The data directory is given by the user: ``--data-dir`` or SEQMEM_DATA. Each data set is in the
folder of its name.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

__all__ = ["Located", "Source", "cache_directory", "data_directory"]


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
    return Path(text) if text else None


def cache_directory() -> Path:
    """Return the folder of caches: SEQMEM_CACHE, or the default of the system."""
    return Path(os.environ.get("SEQMEM_CACHE") or platformdirs.user_cache_dir("seqmem"))
