"""Shutting a process in with bubblewrap (bwrap): no network, no files, nothing left behind.

Inside there are the system's libraries, the interpreter and its packages, the parts of this package
that a model may need, and the model's own folder, all read-only; a /tmp of its own, where files
stay empty; no home, no data, no other process, no right to anything. When the process ends, or the
thread that started it, whatever it started ends with it.

A limit on resources hides no file, and a namespace for the network alone hides none either: where
bubblewrap is missing or may not work, code is refused rather than run unprotected.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from seqmem.errors import SubmissionError
from seqmem.submissions.process.launch import import_path, package_root
from seqmem.submissions.process.limits import one_line

__all__ = ["check_sandbox", "sandbox_problem", "shut_in", "visible_path"]

# Where programs find their libraries, and what those ask of the processor.
SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
PROCESSOR = "/sys/devices/system/cpu"
# The parts of this package that open a model, and those that a model may be made of.
PARTS = ("__init__.py", "errors.py", "files.py", "baselines", "measuring", "submissions", "tasks")
SETUP = (
    "--unshare-user",
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
    "--hostname",
    "model",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
)


def visible_path() -> list[str]:
    """Give the folders that a process inside imports from: those of installed packages."""
    names = ("site-packages", "dist-packages")
    return [place for place in import_path() if Path(place).name in names]


def shut_in(
    command: Sequence[str], readable: Iterable[Path] = (), hidden: Iterable[Path] = ()
) -> list[str]:
    """Give the command that runs another one inside.

    Args:
        command: an interpreter's.
        readable: files and folders it may read, besides what every one may.
        hidden: folders that it must not see, wherever they are.
    """
    root = package_root()
    places = [
        *(Path(place) for place in SYSTEM),
        Path(PROCESSOR),
        Path(sys.base_prefix),
        *(Path(place) for place in visible_path()),
        *(root / part for part in PARTS),
        *readable,
    ]
    bound = list(dict.fromkeys(place for place in places if place.exists()))
    # What is inside another comes behind it, or would be covered by it.
    bound.sort(key=lambda place: len(place.parts))
    binds = [text for place in bound for text in ("--ro-bind", str(place.resolve()), str(place))]
    covers = [
        text
        for secret in (place.resolve() for place in hidden if place.is_dir())
        for shown in bound
        if secret.is_relative_to(shown.resolve())
        for text in ("--tmpfs", str(shown / secret.relative_to(shown.resolve())))
    ]
    return ["bwrap", *SETUP, *binds, *covers, "--remount-ro", "/", "--chdir", "/tmp", *command]


@cache
def sandbox_problem() -> str:
    """Say why processes cannot be shut in here; empty where they can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    python = os.path.realpath(sys.executable)
    try:
        ran = subprocess.run(
            shut_in([python, "-I", "-S", "-c", ""]), capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap (bwrap) does not work here: {one_line(str(error), 160)}"
    if ran.returncode != 0:
        return f"bubblewrap (bwrap) does not work here: {one_line(ran.stderr, 160)}"
    return ""


def check_sandbox(model: str) -> None:
    """Refuse code where it cannot be shut in.

    Raises:
        SubmissionError: it cannot.
    """
    if problem := sandbox_problem():
        raise SubmissionError(
            f"model '{model}' is code, which runs shut in or not at all, and {problem}: install "
            "the package bubblewrap and let users make namespaces (user.max_user_namespaces), or "
            "give --trust to run it in this process, unprotected"
        )
