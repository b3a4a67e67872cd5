"""From ``my.py:MyLayer`` or ``package.module:Class``, or a class itself, to a class to train."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from seqmem.baselines import BASELINES
from seqmem.baselines.own.errors import is_installed, one_line_errors
from seqmem.baselines.own.own_class import Kind, OwnClass, own_class
from seqmem.baselines.own.source import imported_files, source_of_names
from seqmem.errors import InputError
from seqmem.files import expand_user
from seqmem.provenance import text_sha256

__all__ = ["is_code", "load_class", "take_class"]

# A file or a module, a class, and perhaps options.
_CODE = re.compile(r"(?P<place>.*\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(:(?P<options>.*))?")


def is_code(text: str) -> bool:
    """Return whether a model on the command line names the user's own code."""
    found = _CODE.fullmatch(text)
    place = found["place"] if found else text
    return place.endswith(".py") or (found is not None and place != "hf" and place not in BASELINES)


def load_class(text: str, kind: Kind | None = None) -> tuple[OwnClass, str | None]:
    """Return the class that a text names, and the text of its options.

    The code is run in this process, with its folder first in the import path.

    Raises:
        InputError: there is no such file, module or class, or it raises an error.
    """
    found = _CODE.fullmatch(text)
    if found is None:
        raise InputError(f"model '{text}': name the class in the file, as in {text}:MyLayer")
    place, name, options = found["place"], found["name"], found["options"]
    code = f"{place}:{name}"
    if place.endswith(".py"):
        file = expand_user(place).resolve()
        if not file.is_file():
            raise InputError(f"model '{text}': there is no file {place}")
        folder = file.parent
        module, files = _run_file(file, folder, code)
    else:
        folder = Path.cwd()
        module, files = _imported(place, folder, code)
    if not hasattr(module, name):
        own = [key for key, value in vars(module).items() if _is_own(value, module)]
        raise InputError(
            f"model '{text}': there is no '{name}' in {place}; it has "
            f"{', '.join(own) or 'no classes'}"
        )
    return _taken(getattr(module, name), code, name, kind, module, files), options


def take_class(constructor: Callable[..., Any], kind: Kind | None = None) -> OwnClass:
    """Return a class or function that is in memory already, as in a notebook.

    Raises:
        InputError: it cannot be trained, or its source is not known.
    """
    name = constructor.__name__
    module = sys.modules[constructor.__module__]
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or file is None:
        sha256 = text_sha256(*source_of_names(constructor, module))
        return own_class(
            constructor, name, label=_label(name, "own"), source_sha256=sha256, kind=kind
        )
    files = _module_files(module.__name__, Path(file).resolve())
    return _taken(constructor, name, name, kind, module, files)


def _taken(
    constructor: Any,
    text: str,
    name: str,
    kind: Kind | None,
    module: ModuleType,
    files: dict[str, Path],
) -> OwnClass:
    """Return a class of a module that is made of files."""
    modules = [each for each in (module.__name__, *files) if each in sys.modules]
    if any(is_installed(path) for path in files.values()):
        modules = []  # they are installed where cells run, too
    return own_class(
        constructor,
        text,
        label=_label(name, module.__name__.rpartition(".")[2].removeprefix("own_")),
        source_sha256=text_sha256(*(path.read_bytes() for _, path in sorted(files.items()))),
        kind=kind,
        modules=tuple(dict.fromkeys(modules)),
    )


def _label(name: str, place: str) -> str:
    """Return a name for the board: that of the class, unless a baseline has it."""
    taken = {*BASELINES, "chance", "optimum"}
    label = f"{place}.{name}" if name.lower() in taken else name
    return re.sub("[^A-Za-z0-9_.]", "_", label).lstrip("_.")[:64]


def _run_file(file: Path, folder: Path, text: str) -> tuple[ModuleType, dict[str, Path]]:
    """Run a file as a new module, and the modules of its folder anew."""
    with one_line_errors(text, "the file"):
        files = imported_files(file, folder)
    for name in files:  # it may have changed, or be one of another folder
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded is not None and not is_installed(loaded):
            del sys.modules[name]
    # A name of its own: a file may be called like a library. Dataclasses look their module up.
    name = f"own_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        with one_line_errors(text, "the file"):
            spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module, files


def _imported(name: str, folder: Path, text: str) -> tuple[ModuleType, dict[str, Path]]:
    """Import a module, with the current folder last in the import path."""
    sys.path.append(str(folder))
    try:
        with one_line_errors(text, f"import {name}"):
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                    raise
                raise InputError(
                    f"model '{text}': there is no module '{error.name}' in Python's path, nor in "
                    f"{folder}; a file is named file.py:Class"
                ) from None
    finally:
        sys.path.remove(str(folder))
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        raise InputError(f"model '{text}': {name} has no Python file, so its source is not known")
    with one_line_errors(text, f"import {name}"):
        return module, _module_files(name, Path(file).resolve())


def _module_files(name: str, file: Path) -> dict[str, Path]:
    """Return the files of a module and of what it imports of its package, or of its folder.

    Of an installed package, the module's file alone: packages do not change during experiments.
    """
    folder = file.parents[name.count(".") + (file.stem == "__init__")]
    if is_installed(file):
        return {name: file}
    return imported_files(file, folder, name.partition(".")[0] if "." in name else None)


def _is_own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", None) == module.__name__
