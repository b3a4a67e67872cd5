"""The bubblewrap sandbox (bwrap) of a model that is code.

In the sandbox there is no network and no access to the user's files, and nothing lasts. Readable
are the system's libraries, the interpreter and its packages, the parts of this package that a model
may need, and the model's own folder; nothing is writable. There is an empty /tmp, in which the
worker's file-size limit forbids content. There are no home folder, no data, no other processes and
no privileges. When the sandboxed process or the thread that started it ends, all processes inside
end.

Resource limits hide no files, and neither does a network namespace alone: where bubblewrap is
missing or does not work, code is refused rather than run unprotected.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from seqmem.errors import SubmissionError
from seqmem.submissions.process.launch import ROOT, package_folders
from seqmem.submissions.process.limits import one_line

__all__ = ["check_sandbox", "sandbox_problem", "sandboxed"]

# Where programs find their libraries, and what libraries ask about the processor.
SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
PROCESSOR = "/sys/devices/system/cpu"
# The parts of this package that open a model, and those that a model may be built from.
PARTS = ("__init__.py", "errors.py", "files.py", "baselines", "measuring", "submissions", "tasks")
SETUP = shlex.split(
    "--unshare-user --unshare-all --die-with-parent --new-session --cap-drop ALL --hostname model "
    "--proc /proc --dev /dev --tmpfs /tmp"
)


def sandboxed(
    command: Sequence[str], readable: Iterable[Path] = (), hidden: Iterable[Path] = ()
) -> list[str]:
    """Return the command that runs another command in the sandbox.

    Args:
        command: the interpreter's command line.
        readable: further readable files and folders.
        hidden: folders that appear empty, even inside readable ones.
    """
    places = [
        *(Path(place) for place in SYSTEM),
        Path(PROCESSOR),
        Path(sys.base_prefix),
        *(Path(place) for place in package_folders()),
        *(ROOT / part for part in PARTS),
        *readable,
    ]
    bound = list(dict.fromkeys(place for place in places if place.exists()))
    # An inner folder is bound after its outer folder, which would cover it otherwise.
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
    """Return why the sandbox does not work on this machine; empty where it works."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (bwrap) is not installed"
    python = os.path.realpath(sys.executable)
    try:
        ran = subprocess.run(
            sandboxed([python, "-I", "-S", "-c", ""]), capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap (bwrap) does not work here: {one_line(str(error), 160)}"
    if ran.returncode != 0:
        return f"bubblewrap (bwrap) does not work here: {one_line(ran.stderr, 160)}"
    return ""


def check_sandbox(model: str) -> None:
    """Refuse code where the sandbox does not work.

    Args:
        model: the model, as the user named it.

    Raises:
        SubmissionError: it does not work.
    """
    if problem := sandbox_problem():
        raise SubmissionError(
            f"model '{model}' is code, which needs a sandbox, and {problem}: install the package "
            "bubblewrap and let users create namespaces (user.max_user_namespaces), or pass "
            "--trust to run it in this process, unprotected"
        )
