"""Files that are written whole or not at all."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from seqmem.errors import InputError

__all__ = ["temporary_file", "write_atomically", "write_bytes", "write_output"]


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


def write_output(path: Path, content: bytes) -> None:
    """Write the file that a command was asked for.

    Raises:
        InputError: it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"--output {path}: cannot be written ({error.strerror}); name another file"
        ) from None
