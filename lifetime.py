"""What ends with a process, whatever ends it: its workers, its temporary folders, its files.

A process that is killed cannot clean up. So each worker ends itself once its parent has ended, a
small process removes a temporary folder once its maker has ended, and a writer's lock on a folder
ends with the writer: what is half-written in a folder that nobody has locked is removed by the next
writer.
"""

import fcntl
import glob
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["ENDING", "end_with_parent", "temporary_folder", "writing_in"]

# The signals that ask a command to end: Ctrl-C, a shutdown or a scheduler, a closed terminal.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERVAL = 0.2  # seconds between two looks at whether a process has ended
PATIENCE = 10.0  # seconds in which a folder can be removed, or what writes into it does not end


def end_with_parent(parent: int) -> None:
    """End this process when its parent has ended, even while it computes.

    Args:
        parent: the parent's process id, from the parent: it may have ended already.
    """

    def watch() -> None:
        while os.getppid() == parent:  # an orphan has another parent
            time.sleep(INTERVAL)
        os._exit(1)

    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def temporary_folder(within: Path | None = None) -> Iterator[Path]:
    """Create a folder, and remove it at the end or when this process has ended.

    Args:
        within: where it is created; None: where the system has temporary files.

    Raises:
        OSError: it cannot be created.
    """
    folder = Path(within or tempfile.gettempdir()).absolute() / f"seqmem-{secrets.token_hex(4)}"
    remover = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(folder)],  # of this file, the last line
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,  # a signal to this process's group does not end it
    )
    try:
        folder.mkdir(0o700)  # only now: there is no moment at which nobody would remove it
        yield folder
    finally:
        remover.communicate(str(os.getpid()).encode())


@contextmanager
def writing_in(folder: Path) -> Iterator[None]:
    """Create a folder if it does not exist, and hold a shared lock on it.

    Unless others hold one as well, what writers left that were killed (``*.tmp``) is removed first.
    Where the file system has no such locks, nothing is removed.

    Raises:
        OSError: the folder cannot be created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # others write there now, or there are no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.glob("*.tmp"):
                path.unlink()
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _remove(folder: str) -> None:
    """Remove a folder once the process that writes to the standard input of this one has ended.

    Or once it has written its id. What else has a file of the folder open is killed, as far as
    /proc shows it: processes of a Ray cluster live for a minute without their parents.
    """
    spared = sys.stdin.read()
    deadline = time.monotonic() + PATIENCE
    while True:
        users = _users(folder) - {spared}
        for pid in users:
            with suppress(OSError):  # has ended, or is another user's
                os.kill(int(pid), signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        # A process may have opened its first file during the pass: only a pass without any is last.
        if (not users and not os.path.lexists(folder)) or time.monotonic() > deadline:
            return
        time.sleep(INTERVAL)


def _users(folder: str) -> set[str]:
    """Return the ids of the processes that have a file of a folder open, also a deleted one."""
    users = set()
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        with suppress(OSError):  # closed meanwhile, or another user's
            if os.readlink(link).startswith(folder + os.sep):
                users.add(link.split(os.sep)[2])
    return users


if __name__ == "__main__":
    _remove(sys.argv[1])
