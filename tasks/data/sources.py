"""Where data sets are looked for, whatever they hold.

The data directory is the user's: ``--data-dir`` or SEQMEM_DATA. Each data set has a folder of its
name in it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import platformdirs

__all__ = ["Located", "Source", "cache_directory", "data_directory"]


@dataclass(frozen=True)
class Located:
    """Where a data set was looked for.

    Attributes:
        where: the folder, or the place on the hub.
        files: the files found, by a name of their own; None where too few for any measurement.
        problem: what is missing of the whole, and how to get it; empty where nothing is.
        variants: the same for each variant of a family that has files of its own; a missing file
            is then no problem of the others.
    """

    where: str
    files: Mapping[str, Path] | None
    problem: str
    variants: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """A data set that can be looked for and checked.

    Attributes:
        name: its name, which is its folder in the data directory.
        title: its name in full, with the paper.
        licence: the licence of its content.
        how_to_get: what to do to have it here.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def licence(self) -> str: ...  # noqa: D102
    @property
    def how_to_get(self) -> str: ...  # noqa: D102

    def locate(self) -> Located:
        """Look for the files on this machine, without reading them."""
        ...

    def check(self) -> str | None:
        """Read the files found and hold counts and hashes against what they must be.

        Returns:
            what could not be checked or is not here, if anything.

        Raises:
            InputError: a file is missing, damaged or altered.
        """
        ...


def data_directory() -> Path | None:
    """Give the user's data directory: SEQMEM_DATA, None where it is unset or empty."""
    text = os.environ.get("SEQMEM_DATA")
    return Path(text) if text else None


def cache_directory() -> Path:
    """Give the folder for what can be computed again: SEQMEM_CACHE, or the system's place."""
    return Path(os.environ.get("SEQMEM_CACHE") or platformdirs.user_cache_dir("seqmem"))
