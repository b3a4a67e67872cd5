"""What a model's file is, by its first bytes, where it is not what its name says."""

from collections.abc import Collection
from pathlib import Path

from seqmem.errors import InputError

__all__ = ["HEAD", "check_kind", "other_kind", "wrapper"]

HEAD = 256  # bytes that are enough
# First bytes -> what a file is, and the way to one that can be read.
_KINDS = {
    b"version https://git-lfs.github.com/": "a pointer of Git LFS, and not the file it points to; "
    "get that: git lfs pull",
    b"<!doctype html": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
    b"PK\x03\x04": "a zip archive, as torch.save writes it with pickles; save the model as data",
    b"\x80\x02": "a pickle, which can run code; save the model as data",
    b"\x80\x03": "a pickle, which can run code; save the model as data",
    b"\x80\x04": "a pickle, which can run code; save the model as data",
    b"\x80\x05": "a pickle, which can run code; save the model as data",
    b"\x1f\x8b": "compressed with gzip; decompress it",
    b"\xfd7zXZ\0": "compressed with xz; decompress it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; decompress it",
    b"GGUF": "in the format GGUF of llama.cpp; take the original model",
    b"\x89HDF": "in the format HDF5; convert it",
}


# What modules that wrap others put before the names of their weights.
_WRAPPERS = {"_orig_mod.": "torch.compile", "module.": "torch.nn.DataParallel"}


def wrapper(names: Collection[str]) -> str | None:
    """Return what is wrong if these names of weights are those of a module inside another."""
    for prefix, by in _WRAPPERS.items():
        if names and all(name.startswith(prefix) for name in names):
            return (
                f"the names of its weights begin with '{prefix}', as those of a module wrapped by "
                f"{by} do; save the module inside"
            )
    return None


def other_kind(head: bytes) -> str | None:
    """Return what a file is and what to do, given its first bytes; None if it may be a model's."""
    if not head:
        return "empty; download or save it again"
    start = head.lstrip()[:64]
    for first, kind in _KINDS.items():
        if head.startswith(first) or (first[:1] == b"<" and start.lower().startswith(first)):
            return kind
    return None


def check_kind(path: Path, given: str) -> None:
    """Check the first bytes of a model's file.

    Args:
        path: a regular file.
        given: the model as the user named it.

    Raises:
        InputError: it is something else than a model's file, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            kind = other_kind(file.read(HEAD))
    except OSError as error:
        raise InputError(f"{given}: {path.name} cannot be read ({error.strerror})") from None
    if kind is not None:
        raise InputError(f"{given}: {path.name} is {kind}")
