"""The source of Python's standard library, as the running Python has it.

Files: ``*.py`` below the folder ``sysconfig.get_path("stdlib")``, named by their paths in it with
forward slashes. Left out are links and empty files; what is below a folder of `LEFT_OUT` (tests,
installed packages, and packages that some distributions of Python do not install); and generated
files: those with "generated" among their first 512 bytes, in any case.

Selection, the same on every machine with the same files: paths in order of their sha256. The first
are the test part, until they have at least 100,000 bytes; the next the validation part, likewise;
of the others, as many as keep the total within 2,000,000 bytes train, up to the first that does
not. So no file is in two parts, and a file is in the same part in most versions of Python. Within a
part, files are read in order of their paths.
"""

import hashlib
import os
import platform
import sysconfig
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from seqmem.errors import InputError
from seqmem.tasks.data.sources import Located, Source
from seqmem.tasks.data.text_files import file_digest

__all__ = ["LEFT_OUT", "PYTHON_STDLIB", "Parts", "PythonSource", "select_files"]

_NOT_THE_LIBRARY = {"__pycache__", "test", "tests", "idle_test", "site-packages", "dist-packages"}
_NOT_EVERYWHERE = {"distutils", "ensurepip", "idlelib", "lib2to3", "tkinter", "turtledemo", "venv"}
LEFT_OUT = frozenset(_NOT_THE_LIBRARY | _NOT_EVERYWHERE)
HEAD = 512
HELD_OUT, TOTAL = 100_000, 2_000_000  # bytes

Parts = tuple[tuple[Path, ...], tuple[Path, ...], tuple[Path, ...]]


def _folder() -> Path:
    return Path(sysconfig.get_path("stdlib"))


@cache
def select_files(root: Path) -> Parts:
    """Return the files that train, validate and test, each in order of their paths.

    Raises:
        InputError: there are too few.
    """
    found = {path.relative_to(root).as_posix(): path for path in _files(root)}
    names = sorted(found, key=lambda name: hashlib.sha256(name.encode()).digest())
    ends = list(accumulate(found[name].stat().st_size for name in names))
    test = _count(ends, HELD_OUT)
    valid = _count(ends, ends[test - 1] + HELD_OUT) if test else 0
    last = sum(end <= TOTAL for end in ends)
    if not 0 < test < valid < last:
        raise InputError(
            f"python-stdlib: {root} has too few files of Python's source ({len(names)}): this "
            "Python is installed without them; use another Python, or a text of your own, text:FILE"
        )
    train, held, tested = names[valid:last], names[test:valid], names[:test]
    one, two, three = (
        tuple(found[name] for name in sorted(part)) for part in (train, held, tested)
    )
    return one, two, three


def _count(ends: list[int], size: int) -> int:
    """Return how many files from the first on have at least that many bytes; 0 if all have less."""
    return next((i for i, end in enumerate(ends, 1) if end >= size), 0)


def _files(root: Path) -> list[Path]:
    """Return the files of the library, in any order."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in LEFT_OUT]
        for path in (Path(folder, name) for name in names if name.endswith(".py")):
            if not path.is_symlink() and path.is_file() and _is_source(path):
                found.append(path)
    return found


def _is_source(path: Path) -> bool:
    """Return whether a file is neither empty nor generated."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    return bool(head) and b"generated" not in head.lower()


@dataclass(frozen=True)
class PythonSource(Source):
    """The library of the running Python."""

    @property
    def how_to_get(self) -> str:
        """How to get the files."""
        return "it is part of Python"

    def locate(self) -> Located:
        """Search for the files."""
        root = _folder()
        try:
            parts = select_files(root)
        except (InputError, OSError) as error:
            return Located(str(root), None, str(error))
        return Located(str(root), {str(path): path for part in parts for path in part}, "")

    def parts(self) -> Parts:
        """Return the files that train, validate and test.

        Raises:
            InputError: there are too few, or one cannot be read.
        """
        root = _folder()
        try:
            return select_files(root)
        except OSError as error:
            raise InputError(f"python-stdlib: {root} cannot be read: {error.strerror}") from None

    def check(self) -> str:
        """Return of which version of Python it is, and its hash; there is no expected one."""
        digest = hashlib.sha256()
        for part in self.parts():
            for path in part:
                digest.update(file_digest(path))
        version, found = platform.python_version(), digest.hexdigest()[:16]
        return f"no hash is expected, and that of Python {version} here is {found}…"


PYTHON_STDLIB = PythonSource(
    name="python-stdlib",
    title="source of the standard library of the Python that runs seqmem",
    licence="Python Software Foundation License 2",
)
