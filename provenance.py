"""Where a number comes from: the code, the suite's version, the machine."""

import ast
import hashlib
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import seqmem

__all__ = ["checkout_facts", "environment_facts", "source_sha256", "suite_facts"]

# Lists of what there is: adding to them changes no number, and what a cell takes from them stands
# in its identity as it is.
LISTS = {"seqmem.tasks", "seqmem.baselines", "seqmem.baselines.training.recipes"}

# A reference to a module of this package: what is taken from it and what it is called here, empty
# for a whole module; and the module.
Link = tuple[tuple[str, ...], str]


@cache
def source_sha256(*modules: str) -> str:
    """Return the hash of what modules compute, with all that they import from this package.

    It is taken of syntax trees: comments, layout, docstrings, imports for type checkers and the
    names of modules do not count, so that a file may be moved and explained without invalidating
    what was computed with it.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in LISTS or _path(name) is None:
            continue
        body, links = _code(name)
        found[name] = _sha256(body, sorted((*names, _body(module)) for names, module in links))
        waiting += [module for _, module in links]
    return _sha256(sorted(found.values()))


@cache
def _code(name: str) -> tuple[str, list[Link]]:
    """Return the hash of a module's syntax tree without references, and the references."""
    path = _path(name)
    assert path is not None
    links: list[Link] = []
    return _sha256(list(_tokens(ast.parse(path.read_bytes()), links))), links


def _body(name: str) -> str:
    return "" if name in LISTS or _path(name) is None else _code(name)[0]


def _tokens(value: Any, links: list[Link]) -> Iterator[str]:
    """Yield a syntax tree as text, empty fields left out; collect its references to modules.

    `ast.dump` would do, but writes the same code differently in different versions of Python.
    """
    if isinstance(value, list):
        for item in value:
            yield from _tokens(item, links)
    elif not isinstance(value, ast.AST):
        yield repr(value)
    elif found := _references(value):
        links += found
    elif isinstance(value, ast.If) and _is_name(value.test, "TYPE_CHECKING"):
        yield from _tokens(value.orelse, links)
    elif not (isinstance(value, ast.Assign) and _is_name(value.targets[0], "__all__")):
        yield f"({type(value).__name__}"
        for field, content in ast.iter_fields(value):
            if field == "body" and _has_docstring(value):
                content = content[1:]
            if content not in (None, []):
                yield field
                yield from _tokens(content, links)
        yield ")"


def _references(node: ast.AST) -> list[Link]:
    """Return the modules of this package that a node imports, or names as text."""
    if isinstance(node, ast.Import):
        return [((), alias.name) for alias in node.names if _is_module(alias.name)]
    if isinstance(node, ast.ImportFrom) and _is_module(node.module or ""):
        links: list[Link] = []
        for alias in node.names:
            module, called = f"{node.module}.{alias.name}", alias.asname or alias.name
            whole = _is_module(module)
            links.append(((called,), module) if whole else ((alias.name, called), str(node.module)))
        return links
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        module, _, name = node.value.partition(":")  # as in "seqmem.tasks.text:Text.parse"
        if _is_module(module):
            return [((name,), module)]
    return []


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _has_docstring(node: ast.AST) -> bool:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None


def _is_module(name: str) -> bool:
    return name.startswith("seqmem.") and _path(name) is not None


@cache
def _path(name: str) -> Path | None:
    """Return the file of a module of this package; None where there is no such module."""
    package, *rest = name.split(".")
    if package != "seqmem" or not all(part.isidentifier() for part in rest):
        return None
    place = Path(__file__).parent.joinpath(*rest)  # looked up, not imported
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _sha256(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@cache
def suite_facts() -> dict[str, Any]:
    """Return the version of the suite, and the git commit where it is run from a checkout."""
    commit, dirty = checkout_facts(Path(__file__).parent)
    return {"version": seqmem.__version__, "commit": commit, "dirty": dirty}


def checkout_facts(root: Path) -> tuple[str | None, bool | None]:
    """Return a checkout's git commit, and whether its tree differs from it; else None twice.

    New results do not count as a difference: they change nothing of the code.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    if not (root / ".git").exists():
        return None, None
    results = [":!leaderboard/records", ":!check/expectations"]
    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", ".", *results))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def environment_facts(
    device: str, dtype: str = "float32", tf32: bool | None = None
) -> dict[str, Any]:
    """Return the packages, the machine, and how this process uses it.

    Args:
        device: where models ran.
        dtype: what they computed with.
        tf32: whether a GPU's convolutions took shortcuts; None: as torch is set.
    """
    import torch  # not above: boards, which do without torch, may ask for the rest

    usual = device != "cpu" and torch.backends.cudnn.allow_tf32
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "numpy", "datasets")},
        "machine": platform.machine(),
        "processor": _processor(),
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "dtype": dtype,
        "tf32": usual if tf32 is None else tf32,
        "threads": torch.get_num_threads(),
        "peak_memory_mib": round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)),
    }


@cache
def _processor() -> str:
    """Return the name of the processor, as far as the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
