"""Files: written whole or not at all, read only if regular, and paths with ``~``."""

import errno
import os
import stat
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

from seqmem.errors import InputError

__all__ = [
    "expand_user",
    "read_file",
    "require_regular",
    "require_writable",
    "temporary_file",
    "write_atomically",
    "write_bytes",
    "write_output",
]


def expand_user(text: str | Path) -> Path:
    """Return a path; ``~`` and ``~name`` are home folders if no file has that name."""
    path = Path(text)
    with suppress(RuntimeError):  # there is no such user, or no home folder
        return path if os.path.lexists(path) else path.expanduser()
    return path


def read_file(path: Path) -> bytes:
    """Return the content of a regular file: a pipe or a device may have no end.

    It takes half the time of `Path.read_bytes`, of which boards of many records consist.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a pipe does not wait
    try:
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode):
            content = os.read(handle, found.st_size)
            return content if len(content) == found.st_size else path.read_bytes()
    finally:
        os.close(handle)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def require_regular(path: Path) -> None:
    """Check that a file is a regular file.

    Raises:
        OSError: there is none, or it is something else.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def temporary_file(folder: Path) -> Path:
    """Create an empty file that others may read and write as far as the umask allows.

    Raises:
        OSError: it cannot be created.
    """
    path = folder / f"{uuid.uuid4().hex}.tmp"
    path.touch(exist_ok=False)
    return path


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file with `write`, then move it to `path`.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_file(path.parent)
    mode = temporary.stat().st_mode
    try:
        write(temporary)
        temporary.chmod(mode)  # safetensors puts a file of its own there, which no one else reads
        os.replace(temporary, path)
    except (SafetensorError, RuntimeError) as error:  # how the libraries report a full disk
        temporary.unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {error}") from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file with this content, whole or not at all.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def require_writable(folder: Path, option: str) -> None:
    """Make a folder for results, before they are computed.

    Args:
        folder: the folder.
        option: what the user named it with, as in "--results".

    Raises:
        InputError: it cannot be made, or nothing can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{option} {folder}: cannot be written ({error.strerror}); name another folder"
        ) from None


def write_output(path: Path, content: bytes) -> None:
    """Write the file that a command was asked for: whole or not at all, links are followed.

    Raises:
        InputError: it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():  # such as /dev/stdout
            path.write_bytes(content)
        else:
            target = path.resolve()
            target.parent.resolve(strict=True)  # a mistyped folder is not made
            write_bytes(target, content)
    except OSError as error:
        raise InputError(
            f"--output {path}: cannot be written ({error.strerror}); name another file"
        ) from None
