"""The manifest of a submission: a TOML file in which the owner describes the model.

    name = "my-lstm"              # on the board
    authors = ["A. Author"]
    reference = "arXiv:2301.00001"
    licence = "MIT"
    context = 128                 # inputs that an output depends on
    vocabulary = "words.txt"      # one word per line, in the order of the model's ids

All fields are optional. Paths are relative to the manifest.
"""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, with_config

from seqmem.errors import InputError
from seqmem.files import read_file
from seqmem.leaderboard.validation import Positive, validated
from seqmem.tasks.language import LanguageTask
from seqmem.tasks.task import Task

__all__ = ["Manifest", "check_vocabulary", "read_manifest"]

LONGEST = 500  # characters of a text


def _one_line(text: object) -> str:
    if not (isinstance(text, str) and text.isprintable() and 0 < len(text) <= LONGEST):
        raise ValueError(f"must be one line of 1 to {LONGEST} characters")
    return text


Line = Annotated[str, BeforeValidator(_one_line)]


@with_config(extra="forbid")
@dataclass(frozen=True)
class Manifest:
    """The fields of a manifest; a field that is not set is None.

    Attributes:
        name: the model's name on the board.
        authors: the authors of the model.
        reference: a paper or an address.
        licence: the model's licence.
        context: the number of the latest inputs that an output depends on.
        vocabulary: a file with one word per line.
    """

    name: Line | None = None
    authors: tuple[Line, ...] = ()
    reference: Line | None = None
    licence: Line | None = None
    context: Positive | None = None
    vocabulary: Annotated[Path, BeforeValidator(_one_line)] | None = None

    def facts(self) -> dict[str, Any]:
        """Return the fields that a record stores."""
        return {
            "authors": list(self.authors),
            "reference": self.reference,
            "licence": self.licence,
        }


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        InputError: there is no such file, or a field is unknown or invalid.
    """
    try:
        given = tomllib.loads(read_file(path).decode())
    except OSError as error:
        raise InputError(f"--manifest {path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"--manifest {path}: is not TOML ({error})") from None
    try:
        manifest = validated(Manifest, given)
    except ValueError as error:
        raise InputError(f"--manifest {path}: {error}") from None
    if manifest.vocabulary is None:
        return manifest
    return replace(manifest, vocabulary=path.parent / manifest.vocabulary)


def check_vocabulary(file: Path, task: Task) -> None:
    """Check that a model's vocabulary is the task's: the same words at the same ids.

    Raises:
        InputError: it cannot be read, or differs; the message names the first difference.
    """
    try:
        words = read_file(file).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"vocabulary {file.name}: cannot be read ({error})") from None
    if not isinstance(task, LanguageTask):
        raise InputError(f"vocabulary {file.name}: {task.id} has no words; leave it out")
    for i, (own, wanted) in enumerate(zip(words, task.words, strict=False)):
        if own != wanted:
            raise InputError(
                f"vocabulary {file.name}: line {i + 1} is {own[:40]!r}, but {task.id} has "
                f"{wanted!r}; a model must use the task's ids"
            )
    if len(words) != len(task.words):
        raise InputError(
            f"vocabulary {file.name}: it has {len(words):,} words, {task.id} has "
            f"{len(task.words):,}"
        )
