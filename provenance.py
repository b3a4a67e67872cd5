"""Where a number comes from: the code, the suite's version, the machine."""

import ast
import hashlib
import importlib.util
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import seqmem

__all__ = ["checkout_facts", "environment_facts", "source_sha256", "suite_facts"]


# Lists of what there is: adding to them changes no number, and what a cell takes from them stands
# in its identity as it is.
LISTS = {"seqmem.tasks", "seqmem.baselines", "seqmem.baselines.recipes"}


@cache
def source_sha256(*modules: str) -> str:
    """Hash the code of modules and of all that they import from this package, directly or not."""
    files: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in files or name in LISTS:
            continue
        if (spec := _spec(name)) is None or spec.origin is None:
            continue
        files[name] = Path(spec.origin)
        waiting += _imports(files[name])
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + files[name].read_bytes())
    return digest.hexdigest()


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Name the modules of this package that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return tuple(name for name in names if name.startswith("seqmem.") and _is_module(name))


def _is_module(name: str) -> bool:
    return _spec(name) is not None


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError:  # what stands before the last dot is no package
        return None


@cache
def suite_facts() -> dict[str, Any]:
    """Version of the suite, and the git commit where it is run from a checkout."""
    commit, dirty = checkout_facts(Path(__file__).parent)
    return {"version": seqmem.__version__, "commit": commit, "dirty": dirty}


def checkout_facts(root: Path) -> tuple[str | None, bool | None]:
    """Give a checkout's git commit, and whether its tree differs from it; elsewhere None.

    Results that are being added change nothing of what makes them, and count as no difference.
    """

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(root), *arguments]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    commit = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    results = [f":!leaderboard/{name}" for name in ("records", "expectations")]
    status = None if commit is None else git("status", "--porcelain", "--", ".", *results)
    return commit, None if status is None else bool(status)


def environment_facts(
    device: str, dtype: str = "float32", tf32: bool | None = None
) -> dict[str, Any]:
    """Tell of the packages, the machine, and how this process uses it.

    Args:
        device: where models ran.
        dtype: what they computed with.
        tf32: whether a GPU's convolutions took shortcuts; None: as torch is set.
    """
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
    """Name the processor, as well as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()
