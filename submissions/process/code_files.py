"""The files that a model which is Python code can read in its own folder, and their hash.

Left out of both are folders that are no part of the model: hidden ones, such as the results, and
those of tools (``.git``, ``.venv``). So a model stays the same after its record was written into
its folder.
"""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from seqmem.submissions.process.launch import package_folders

__all__ = ["hidden_within", "sha256_of_files"]


def hidden_within(places: Iterable[Path], hidden: Iterable[Path]) -> list[Path]:
    """Return the folders inside some places that a model must not see.

    Args:
        places: the model's files and folders, resolved.
        hidden: folders that are no part of any model; one that contains the model is skipped.
    """
    needed = [Path(place).resolve() for place in (*package_folders(), sys.base_prefix)]
    hidden = [folder.resolve() for folder in hidden if folder.is_dir()]
    found = []
    for place in (place for place in places if place.is_dir()):
        found += [f for f in hidden if f != place and f.is_relative_to(place)]
        tools = [f for f in place.iterdir() if f.name.startswith(".") and f.is_dir()]
        # A tool's folder in which packages are installed is needed.
        found += [f for f in tools if not any(n.is_relative_to(f.resolve()) for n in needed)]
    return found


def sha256_of_files(places: Sequence[Path], hidden: Iterable[Path]) -> str:
    """Return the hash of the names and contents of all files in some places, as hex.

    Args:
        places: files and folders, resolved.
        hidden: folders to leave out, besides those of tools and of compiled code.
    """
    digest = hashlib.sha256()
    left_out = [folder.resolve() for folder in hidden]
    for place in places:
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            parts = file.relative_to(place).parts
            tool = len(parts) > 1 and parts[0].startswith(".")
            if tool or "__pycache__" in parts or not file.is_file():
                continue
            if any(file.is_relative_to(folder) for folder in left_out):
                continue
            digest.update("/".join(parts).encode())
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
