"""How a model's process is started: the command, what it imports, and its environment."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import seqmem
from seqmem.submissions.process.limits import Limits

__all__ = ["environment", "import_path", "package_root", "worker_command"]

# What a child is told of the environment, where it is set.
ENVIRONMENT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_WAIT_POLICY", "TZ")
# Finds this package wherever it is, whatever the name of its folder, and without running what is
# installed beside it (.pth files).
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
    """Give the folder of this package."""
    return Path(seqmem.__file__).resolve().parent


def import_path() -> list[str]:
    """Give the folders that this process imports from, the current one left out."""
    return [place for place in sys.path if place and os.path.isdir(place)]


def worker_command(limits: Limits, path: Sequence[str] | None = None) -> list[str]:
    """Give the command that runs worker.py.

    Args:
        limits: what it may take; it binds itself before it reads anything.
        path: where it imports from, besides the standard library; None: as this process does.
    """
    settings = {
        "root": str(package_root()),
        "path": import_path() if path is None else list(path),
        "limits": asdict(limits),
    }
    # Isolated: nothing from environment variables, the user's folder or the current one.
    python = os.path.realpath(sys.executable)
    return [python, "-I", "-S", "-B", "-u", "-c", _BOOT, json.dumps(settings)]


def environment(threads: int) -> dict[str, str]:
    """Give the environment of a child: nothing of the user's but what is listed."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return kept | dict.fromkeys(names, str(threads)) | {"PATH": os.defpath, "HOME": "/tmp"}
