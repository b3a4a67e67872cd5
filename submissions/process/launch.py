"""How a model's process is started, and which files are the model's own.

Of a model's own folder, its process cannot read, and its hash does not cover, what is no part of
the model: hidden folders, such as that of the results, and those of tools (``.git``, ``.venv``). So
a model stays the same after its record was written into its folder.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import seqmem
from seqmem.submissions.process.limits import Limits

__all__ = [
    "hidden_within",
    "import_path",
    "package_folders",
    "worker_command",
    "worker_environment",
]

ROOT = Path(seqmem.__file__).resolve().parent  # the folder of this package

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
        "root": str(ROOT),
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
    # torch makes the last of these folders when it is imported, and no other can be made.
    fixed = {"PATH": os.defpath, "HOME": "/tmp", "TORCHINDUCTOR_CACHE_DIR": "/tmp"}
    return inherited | dict.fromkeys(names, str(threads)) | fixed


def package_folders() -> list[str]:
    """Return the folders of installed packages, from which a sandboxed process imports."""
    names = ("site-packages", "dist-packages")
    return [place for place in import_path() if Path(place).name in names]


def hidden_within(places: Iterable[Path], hidden: Iterable[Path]) -> list[Path]:
    """Return the folders inside some places that a model must not see.

    Args:
        places: the model's files and folders, resolved.
        hidden: folders that are no part of any model; one that contains the model is skipped.
    """
    needed = [Path(place).resolve() for place in (*package_folders(), sys.base_prefix)]
    hidden = [folder.resolve() for folder in hidden if folder.is_dir()]
    found = []
    for place in (place for place in places if place.is_dir()):
        found += [f for f in hidden if f != place and f.is_relative_to(place)]
        tools = [f for f in place.iterdir() if f.name.startswith(".") and f.is_dir()]
        # A tool's folder in which packages are installed is needed.
        found += [f for f in tools if not any(n.is_relative_to(f.resolve()) for n in needed)]
    return found
