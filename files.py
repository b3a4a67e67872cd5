"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from seqmem.errors import InputError

__all__ = ["write_atomically", "write_bytes", "write_output"]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a temporary file with `write`, then move it to `path`.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    os.close(handle)
    try:
        write(Path(name))
        os.replace(name, path)
    except (SafetensorError, RuntimeError) as error:  # how the libraries report a full disk
        Path(name).unlink(missing_ok=True)
        raise OSError(f"{path} cannot be written: {error}") from None
    except BaseException:
        Path(name).unlink(missing_ok=True)
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
