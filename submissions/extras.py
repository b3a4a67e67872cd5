"""Optional libraries: imported where they are used, with a one-line error if one is missing."""

import importlib
from types import ModuleType

from seqmem.errors import InputError

__all__ = ["imported"]


def imported(module: str, extra: str) -> ModuleType:
    """Import a module of a library that an extra of this package installs.

    Args:
        module: the module's name, such as ``onnx.helper``.
        extra: the extra's name in pyproject.toml.

    Raises:
        InputError: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{module} cannot be imported ({error}): pip install 'seqmem[{extra}]'"
        ) from None
