"""Libraries that only some formats need: imported where they are used, missed in one line."""

import importlib
from types import ModuleType

from seqmem.errors import InputError

__all__ = ["imported"]


def imported(module: str, extra: str) -> ModuleType:
    """Import a library that an extra of this package installs.

    Args:
        module: as in ``onnx.helper``.
        extra: its name in pyproject.toml.

    Raises:
        InputError: it is not here, or cannot be loaded.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module} cannot be imported ({error}): `pip install 'seqmem[{extra}]'` gets it"
        ) from None
