"""The bubblewrap sandbox (bwrap) of a model's process.

In the sandbox there is no network and no access to the user's files, and nothing is writable.
Readable are the system's libraries, the interpreter and its packages, the parts of this package
that a model may need, and the model's own folder. There are no home folder, no data, no other
processes, no privileges and no further user namespaces, and the user is nobody, also where root
started it. When the sandboxed process or the thread that started it ends, all processes inside end.

For root inside is root outside, without its privileges but as the owner of files: the settings of
the kernel are its files, and bubblewrap leaves them writable. Therefore all of /proc is read-only.

Resource limits hide no files, and neither does a network namespace alone: where bubblewrap is
missing or does not work, code is refused rather than run unprotected. Formats that hold data run
in a process with limits there, with the system calls of seccomp.py denied, as in the sandbox.
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

__all__ = ["check_sandbox", "sandbox_problem", "sandboxed", "working_options"]

NOBODY = "65534"
# Where programs find their libraries, and what libraries ask about the processor.
SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
PROCESSOR = "/sys/devices/system/cpu"
# What programs ask of /proc, besides their own processes: the processors, the memory, the kernel.
ASKED = ("cpuinfo", "filesystems", "loadavg", "meminfo", "stat", "sys", "uptime", "version")
# The parts of this package that open a model, and those that a model may be built from.
PARTS = ("__init__.py", "errors.py", "files.py", "baselines", "measuring", "submissions", "tasks")
SETUP = shlex.split(
    f"--unshare-user --unshare-all --uid {NOBODY} --gid {NOBODY} --cap-drop ALL --hostname model "
    "--die-with-parent --new-session --proc /proc --dev /dev --dir /tmp"
)
# Since bubblewrap 0.8.0, and not where it is installed setuid.
NO_USER_NAMESPACES = ("--disable-userns", "--assert-userns-disabled")


def sandboxed(
    command: Sequence[str], readable: Iterable[Path] = (), hidden: Iterable[Path] = ()
) -> list[str]:
    """Return the command that runs another command in the sandbox.

    Args:
        command: the interpreter's command line.
        readable: further readable files and folders.
        hidden: folders that appear empty, even inside readable ones.
    """
    return _command(working_options()[0], command, readable, hidden)


def _command(
    options: Sequence[str],
    command: Sequence[str],
    readable: Iterable[Path] = (),
    hidden: Iterable[Path] = (),
) -> list[str]:
    places = [
        *(Path(place) for place in SYSTEM),
        Path(PROCESSOR),
        *_interpreter(),
        *(Path(place) for place in package_folders()),
        *(ROOT / part for part in PARTS),
        *readable,
    ]
    bound = list(dict.fromkeys(place for place in places if place.exists()))
    # An inner folder is bound after its outer folder, which would cover it otherwise.
    bound.sort(key=lambda place: len(place.parts))
    binds = [text for place in bound for text in ("--ro-bind", str(place.resolve()), str(place))]
    secrets = [
        shown / secret.relative_to(shown.resolve())
        for secret in (place.resolve() for place in hidden if place.is_dir())
        for shown in bound
        if secret.is_relative_to(shown.resolve())
    ]
    # An inner folder cannot be covered after its outer folder: that one is read-only by then.
    outer = [place for place in secrets if not any(p in secrets for p in place.parents)]
    covers = [text for place in (*outer, *_unasked()) for text in _cover(place)]
    closed = [text for place in ("/proc", "/dev", "/") for text in ("--remount-ro", place)]
    return ["bwrap", *SETUP, *options, *binds, *covers, *closed, "--chdir", "/tmp", *command]


def _unasked() -> list[Path]:
    """Return the files and folders of /proc that are about the machine, except those asked for."""
    places = sorted(Path("/proc").iterdir())
    mine = [place for place in places if place.is_symlink() or place.name.isdigit()]
    return [place for place in places if place not in mine and place.name not in ASKED]


def _cover(place: Path) -> list[str]:
    """Return the options that make a place empty and read-only."""
    if place.is_dir():
        return ["--tmpfs", str(place), "--remount-ro", str(place)]
    return ["--ro-bind", "/dev/null", str(place)]


def _interpreter() -> list[Path]:
    """Return the interpreter and the folders of its libraries."""
    prefixes = {Path(sys.base_prefix), Path(sys.base_exec_prefix)}
    folders = [prefix / name for prefix in sorted(prefixes) for name in ("lib", "lib64")]
    return [Path(os.path.realpath(sys.executable)), *folders]


def sandbox_problem() -> str:
    """Return why the sandbox does not work on this machine; empty where it works."""
    return working_options()[1]


@cache
def working_options() -> tuple[Sequence[str], str]:
    """Return the optional options that work on this machine, and what `sandbox_problem` returns."""
    if shutil.which("bwrap") is None:
        return (), "bubblewrap (bwrap) is not installed"
    empty = [os.path.realpath(sys.executable), "-I", "-S", "-c", ""]
    for options in (NO_USER_NAMESPACES, ()):
        try:
            ran = subprocess.run(
                _command(options, empty), capture_output=True, text=True, timeout=30, cwd="/"
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
            continue
        if ran.returncode == 0:
            return options, ""
        problem = ran.stderr
    return (), f"bubblewrap (bwrap) does not work here: {one_line(problem, 160)}"


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
