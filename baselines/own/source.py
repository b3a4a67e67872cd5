"""What a user's class computes, as a hash: its file with the modules of its folder that it imports.

Of a class written in a notebook or a script: its own source, with the functions, classes and
numbers of the same place that it names.
"""

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from seqmem.errors import InputError

__all__ = ["Source", "imported_files", "source_of_names"]

Source = tuple[str, ...]  # Python texts


def imported_files(file: Path, folder: Path, package: str | None = None) -> dict[str, Path]:
    """Return a file and all files below a folder that it imports, directly or not, by module.

    Args:
        file: a Python file.
        folder: where its imports are looked for.
        package: the only package or module of the folder that counts; None: all do.

    Raises:
        SyntaxError: a file is no Python.
    """
    found: dict[str, Path] = {}
    waiting = [file]
    while waiting:
        path = waiting.pop()
        inside = path.relative_to(folder) if path.is_relative_to(folder) else Path(path.name)
        parts = [*inside.parent.parts, *([] if path.stem == "__init__" else [path.stem])]
        name = ".".join(parts)
        if name in found:
            continue
        found[name] = path
        inner = parts if path.stem == "__init__" else parts[:-1]
        for module in _imports(ast.parse(path.read_bytes(), path.name), inner):
            if package in (None, module[0]):
                waiting += _files(module, folder)
    return found


def _imports(tree: ast.AST, package: list[str]) -> Iterator[list[str]]:
    """Yield the names of imported modules, and of what is taken from them: it may be one, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            yield from ([*base, alias.name] for alias in node.names)


def _files(module: list[str], folder: Path) -> Iterator[Path]:
    """Yield the files that are run when a module is imported, packages above it included."""
    for depth in range(1, len(module) + 1):
        place = folder.joinpath(*module[:depth])
        for path in (place.with_name(place.name + ".py"), place / "__init__.py"):
            if path.is_file():
                yield path


def source_of_names(kind: Callable[..., Any], module: ModuleType) -> Source:
    """Return the source of a class, and of what it names among the globals of its module.

    Raises:
        InputError: the source is not known, as of a class that was made by `exec`.
    """
    texts: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [(kind.__name__, kind)]
    while waiting:
        name, value = waiting.pop()
        if name in texts:
            continue
        if not inspect.isclass(value) and not inspect.isfunction(value):
            if isinstance(value, int | float | str | tuple | list | dict):
                texts[name] = repr(value)
            continue
        if value.__module__ != module.__name__:
            continue
        try:
            texts[name] = _text(value)
        except (OSError, TypeError, SyntaxError):
            raise InputError(
                f"model '{kind.__name__}': the source of '{name}' is not known, and a record names "
                "what it measured; write it in a file or a notebook"
            ) from None
        names = {n.id for n in ast.walk(ast.parse(texts[name])) if isinstance(n, ast.Name)}
        waiting += [(each, vars(module)[each]) for each in sorted(names & vars(module).keys())]
    return tuple(texts[name] for name in sorted(texts))


def _text(value: Any) -> str:
    """Return the source of a function or class.

    Raises:
        OSError, TypeError, SyntaxError: it is not known.
    """
    if inspect.isfunction(value) or getattr(sys.modules[value.__module__], "__file__", None):
        return textwrap.dedent(inspect.getsource(value))
    # A class of a notebook knows no file; its methods do.
    codes = [each.__code__ for each in vars(value).values() if inspect.isfunction(each)]
    for code in codes:
        text = "".join(linecache.getlines(code.co_filename))
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.ClassDef)
                and node.name == value.__name__
                and node.lineno <= code.co_firstlineno <= (node.end_lineno or 0)
            ):
                return ast.get_source_segment(text, node) or ""
    raise OSError("source not available")
