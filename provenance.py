"""Where a number comes from: the code, the suite's version, the machine."""

import ast
import hashlib
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import seqmem

__all__ = ["checkout_facts", "environment_facts", "source_sha256", "suite_facts", "text_sha256"]

# Lists of what there is: adding to them changes no number, and what a cell takes from them stands
# in its identity as it is.
LISTS = {"seqmem.tasks", "seqmem.baselines", "seqmem.baselines.training.recipes"}

# A reference to a module of this package: what is taken from it and what it is called here, empty
# for a whole module; and the module.
# How often a module's hash is computed again with the hashes of the modules it refers to: modules
# that look alike, as those that only pass names on, differ once what they refer to does.
ROUNDS = 3


@dataclass(frozen=True)
class _Link:
    """A reference to a module of this package: what is taken from it and what it is called here."""

    taken: str
    called: str
    module: str


@cache
def source_sha256(*modules: str) -> str:
    """Return the hash of what modules compute, with all that they import from this package.

    It is taken of syntax trees: comments, layout, docstrings, imports for type checkers and the
    names of modules do not count, so that a file may be moved and explained without invalidating
    what was computed with it.

    Raises:
        ValueError: one is not a module of this package.
    """
    if unknown := [name for name in modules if not _is_module(name)]:
        raise ValueError(f"{unknown[0]} is not a module of seqmem")
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in LISTS:
            found.add(name)
            waiting += [part.module for part in _code(name) if isinstance(part, _Link)]
    hashes = dict.fromkeys(found, "")
    for _ in range(ROUNDS):
        hashes = {name: _with_links(name, hashes) for name in found}
    return _sha256([hashes[name] for name in modules if name in found], sorted(hashes.values()))


def text_sha256(*texts: str | bytes) -> str:
    """Return the hash of what Python texts compute, as `source_sha256` does of modules.

    What they import from this package counts; what they import from elsewhere does not.
    """
    parts = [tuple(_parts(ast.parse(text))) for text in texts]
    modules = {part.module for each in parts for part in each if isinstance(part, _Link)}
    return _sha256(parts, source_sha256(*sorted(modules)))


def _with_links(name: str, hashes: Mapping[str, str]) -> str:
    """Return the hash of a module, with those of the modules that it refers to in their places."""
    parts = (
        (part.taken, part.called, hashes.get(part.module, "")) if isinstance(part, _Link) else part
        for part in _code(name)
    )
    return _sha256(*parts)


@cache
def _code(name: str) -> tuple[str | _Link, ...]:
    """Return a module's syntax tree as text, with references to modules in their places."""
    path = _path(name)
    assert path is not None
    return tuple(_parts(ast.parse(path.read_bytes())))


def _parts(value: Any) -> Iterator[str | _Link]:
    """Yield a syntax tree as text and references, empty fields left out.

    `ast.dump` would do, but writes the same code differently in different versions of Python.
    """
    if isinstance(value, list):
        for imports, group in groupby(value, key=lambda item: bool(_imported(item))):
            if imports:
                yield from _in_any_order([link for item in group for link in _imported(item)])
            else:
                for item in group:
                    yield from _parts(item)
    elif not isinstance(value, ast.AST):
        module, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        if _is_module(module):  # as in "seqmem.tasks.text:Text.parse"
            yield _Link(name, "", module)
        else:
            yield repr(value)
    elif isinstance(value, ast.If) and _is_name(value.test, "TYPE_CHECKING"):
        yield from _parts(value.orelse)
    elif not (isinstance(value, ast.Assign) and _is_name(value.targets[0], "__all__")):
        yield f"({type(value).__name__}"
        for field, content in ast.iter_fields(value):
            if field == "body" and _has_docstring(value):
                content = content[1:]
            if content not in (None, []):
                yield field
                yield from _parts(content)
        yield ")"


def _imported(node: Any) -> list[_Link]:
    """Return what a statement imports from this package."""
    if isinstance(node, ast.Import):
        names = [(alias.name, alias.asname or "") for alias in node.names]
        return [_Link("", called, name) for name, called in names if _is_module(name)]
    links = []
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "seqmem":
        for alias in node.names:
            whole, called = f"{node.module}.{alias.name}", alias.asname or alias.name
            if _is_module(whole):
                links.append(_Link("", called, whole))
            elif _is_module(str(node.module)):
                links.append(_Link(alias.name, called, str(node.module)))
    return links


def _in_any_order(links: list[_Link]) -> list[_Link]:
    """Return imports in an order that the modules' names do not change, where it does not matter.

    Where one name is imported twice, the last one counts, and the order stays.
    """
    names = [link.called for link in links]
    return sorted(links, key=lambda link: link.called) if len({*names}) == len(names) else links


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
    loaded = getattr(sys.modules.get(name), "__file__", None)  # of a module added from elsewhere
    for path in (place.with_suffix(".py"), place / "__init__.py", Path(loaded or "")):
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
