"""How a model's process is started: command, import path and environment variables."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import seqmem
from seqmem.submissions.process.limits import Limits

__all__ = ["import_path", "package_root", "worker_command", "worker_environment"]

# The environment variables that a worker inherits.
INHERITED = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY", "TZ")
# Imports this package wherever it is, whatever the name of its folder, without running .pth files.
_BOOT = """
import importlib.util, json, sys
settings = json.loads(sys.argv[1])
sys.path += [place for place in settings["path"] if place not in sys.path]
spec = importlib.util.spec_from_file_location(
    "seqmem", settings["root"] + "/__init__.py", submodule_search_locations=[settings["root"]]
)
sys.modules["seqmem"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["seqmem"])
from seqmem.submissions.process.worker import main
main(settings["limits"], int(sys.argv[2]), int(sys.argv[3]))
"""


def package_root() -> Path:
    """Return the folder of this package."""
    return Path(seqmem.__file__).resolve().parent


def import_path() -> list[str]:
    """Return the folders that this process imports from, except the current one."""
    return [place for place in sys.path if place and os.path.isdir(place)]


def worker_command(limits: Limits, path: Sequence[str] | None = None) -> list[str]:
    """Return the command that runs worker.py.

    Args:
        limits: the limits, which the worker sets for itself before it reads anything.
        path: the folders to import from besides the standard library; None: those of this process.
    """
    settings = {
        "root": str(package_root()),
        "path": import_path() if path is None else list(path),
        "limits": asdict(limits),
    }
    # -I: nothing from environment variables, the user's packages or the current folder.
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", "-B", "-u", "-c", _BOOT, json.dumps(settings)]


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment variables of a worker: few of the user's, and its thread counts."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return inherited | dict.fromkeys(names, str(threads)) | {"PATH": os.defpath, "HOME": "/tmp"}
