"""Where a number comes from: the code, the suite's version, the machine."""

import hashlib
import inspect
import platform
import resource
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import seqmem
from seqmem import baselines, summary, tasks
from seqmem.baselines.spec import model_class

__all__ = ["environment_facts", "source_sha256", "suite_facts", "summary_sha256"]


@cache
def source_sha256(name: str) -> str:
    """Hash the code that a baseline's losses follow from: two rooms, and its own file."""
    files = {path for room in (baselines, tasks) for path in Path(room.__path__[0]).glob("*.py")}
    files.add(Path(inspect.getsourcefile(model_class(name)) or ""))
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def summary_sha256() -> str:
    """Hash the code that turns losses into the numbers of a record."""
    return hashlib.sha256(Path(summary.__file__).read_bytes()).hexdigest()


@cache
def suite_facts() -> dict[str, Any]:
    """Version of the suite, and the git commit where it is run from a checkout."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(root), *arguments]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return None

    commit = git("rev-parse", "HEAD") if (root / ".git").exists() else None
    status = None if commit is None else git("status", "--porcelain")
    dirty = None if status is None else bool(status)
    return {"version": seqmem.__version__, "commit": commit, "dirty": dirty}


def environment_facts(device: str) -> dict[str, Any]:
    """Tell of the packages, the machine, and how this process uses it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("torch", "numpy", "datasets")},
        "machine": platform.machine(),
        "processor": _processor(),
        "device": device if device == "cpu" else torch.cuda.get_device_name(),
        "dtype": "float32",
        "tf32": device != "cpu" and torch.backends.cudnn.allow_tf32,
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
