"""The files of a Hugging Face model: which they are, that they are data, and their hashes.

Names, links and first bytes are looked at here; contents are read in the model's own process, which
sees these files alone. A folder is refused if its weights would run code (a pickle), or if a file
is not in it: a link may lead from a snapshot of the hub's cache to the same model's files only.
"""

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from seqmem.errors import InputError
from seqmem.submissions.file_kinds import check_kind
from seqmem.submissions.own_files import file_sha256

__all__ = ["DOWNLOADED", "TOKENIZERS", "ModelFolder", "find_files"]

# The files of tokenizers; a folder needs at least one.
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
)
# The files of a model: no code, no pickles.
WEIGHTS = ("model*.safetensors",)
DOWNLOADED = (
    "config.json",
    *WEIGHTS,
    "model.safetensors.index.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *TOKENIZERS,
)
INDEX = "model.safetensors.index.json"
# Weights in other formats, by the ends of their names.
OTHERS = {
    ".bin": "a pickle, which can run code",
    ".pt": "a pickle, which can run code",
    ".pth": "a pickle, which can run code",
    ".gguf": "in the format GGUF of llama.cpp",
    ".h5": "in TensorFlow's format",
    ".msgpack": "in Flax's format",
}


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder and the files in it that belong to the model.

    Attributes:
        given: the model as the user named it.
        path: the folder.
        files: what a model's process may read, in order of their names.
        revision: the commit on the hub; None for a folder of the user.
    """

    given: str
    path: Path
    files: tuple[Path, ...]
    revision: str | None = None

    @cached_property
    def settings_sha256(self) -> str:
        """The hash of the files with the model's settings and its tokenizer."""
        return _sha256(path for path in self.files if not path.name.startswith("model"))

    @cached_property
    def weights_sha256(self) -> str:
        """The hash of the files with its weights."""
        return _sha256(path for path in self.files if path.suffix == ".safetensors")


def find_files(path: Path, given: str, revision: str | None = None) -> ModelFolder:
    """Return a model's folder after a check of its files' names, links and first bytes.

    Args:
        path: the folder.
        given: the model as the user named it.
        revision: the commit on the hub; None for a folder of the user.

    Raises:
        InputError: a file is missing, in another format, or outside of the folder.
    """
    path = path.resolve()
    try:
        present = {entry.name: entry for entry in path.iterdir()}
    except OSError as error:
        raise InputError(f"{given}: the folder cannot be read ({error.strerror})") from None
    _check_names(set(present), given)
    files = [present[name] for name in sorted(present) if any(fnmatch(name, p) for p in DOWNLOADED)]
    inside = path.parent.parent if path.parent.name == "snapshots" else path
    for file in files:
        _check_place(file, inside, given)
        check_kind(file, given)
    return ModelFolder(given, path, tuple(files), revision)


def _check_names(names: set[str], given: str) -> None:
    if "config.json" not in names:
        raise InputError(
            f"{given}: there is no config.json; name a folder that save_pretrained wrote"
        )
    if "adapter_config.json" in names:
        raise InputError(
            f"{given}: it is an adapter to another model; merge the two (merge_and_unload) and "
            "save the whole"
        )
    if not names & {"model.safetensors", INDEX}:
        others = sorted(name for name in names if Path(name).suffix in OTHERS)
        what = "there are no weights (model.safetensors)"
        if others:
            what = f"{others[0]} is {OTHERS[Path(others[0]).suffix]}"
        raise InputError(
            f"{given}: {what}; save the model as safetensors, with save_pretrained(..., "
            "safe_serialization=True)"
        )
    if not names & {*TOKENIZERS}:
        raise InputError(
            f"{given}: there is no tokenizer ({TOKENIZERS[0]}), without which text cannot be "
            "measured; save it into the folder with tokenizer.save_pretrained"
        )


def _check_place(file: Path, inside: Path, given: str) -> None:
    """Check that a file is a regular file, inside a folder."""
    try:
        target = file.resolve(strict=True)
        regular = stat.S_ISREG(target.stat().st_mode)
    except (OSError, RuntimeError):  # a link to nothing, or to itself
        raise InputError(
            f"{given}: {file.name} is a link to no file; save the model again"
        ) from None
    if not target.is_relative_to(inside):
        raise InputError(
            f"{given}: {file.name} is a link to a file outside of the folder; copy the file there"
        )
    if not regular:
        raise InputError(f"{given}: {file.name} is not a regular file; save the model again")


def _sha256(files: Iterable[Path]) -> str:
    """Return the hash of the names and contents of files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + file_sha256(path))
    return digest.hexdigest()
