"""What a test can observe of processes and open files."""

import gc
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, get_context, parent_process
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.data_parallel import _run_process
from seqmem.submissions.process.sandbox import sandbox_problem


class ReadByTheFirst(Checkpoint):
    """A checkpoint that only the first of several processes can read."""

    def load(self, device: str) -> dict[str, Any] | None:
        return super().load(device) if dist.get_rank() == 0 else None


def orphan(folder: Path) -> None:
    """Start a process of a group, and end before it begins."""
    get_context("spawn").Process(target=_late, args=(os.getpid(), folder)).start()
    os._exit(0)


def _late(parent: int, folder: Path) -> None:
    starter = parent_process()
    assert starter is not None
    starter.join()
    print("begins", flush=True)
    _run_process(0, parent, folder, 2, "cpu", 1, Pipe()[1])
    print("ends", flush=True)


def alive(marker: str) -> list[int]:
    """The ids of the processes, zombies excluded, whose command line contains a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if marker.encode() in command and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def all_ended(marker: str, seconds: float = 2.0) -> bool:
    """Whether there are no such processes, now or within some seconds."""
    deadline = time.monotonic() + seconds
    while alive(marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_files() -> dict[str, str]:
    """What is open in this process, by descriptor."""
    found = {}
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this list itself
            found[descriptor.name] = os.readlink(descriptor)
    return found


def children() -> str:
    """The ids of this process's children, zombies included, in whichever thread they began."""
    ids: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended: another has its children
            ids += (task / "children").read_text().split()
    return " ".join(sorted(ids))


def run_among_impostors(
    code: str, folder: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run code as a script of another folder, where files have the names of libraries.

    Every such file that is imported writes a file ``imported-NAME``.
    """
    here, script = folder / "here", folder / "bin/script.py"
    for each in (here, script.parent):
        each.mkdir()
    for name in ("joblib", "multiprocessing", "torch", "numpy", "click", "ray", "sitecustomize"):
        mark = f"open({str(folder / f'imported-{name}')!r}, 'w')"
        (here / f"{name}.py").write_text(f"{mark}; raise SystemExit('an impostor')")
    script.write_text(f"if __name__ == '__main__':\n{textwrap.indent(code, '    ')}\n")
    ran = subprocess.run(
        [sys.executable, str(script)],
        cwd=here,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert not [*folder.glob("imported-*")], ran.stderr
    return ran


def listening(mark: str) -> dict[str, str]:
    """Addresses that processes with a text in their environment listen on, with their commands.

    Addresses are as /proc has them: hexadecimal, with the port.
    """
    sockets = {}
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A":
                sockets[f"socket:[{inode}]"] = local
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes():
                for descriptor in (folder / "fd").iterdir():
                    if (link := os.readlink(descriptor)) in sockets:
                        found[sockets[link]] = (folder / "comm").read_text().strip()
    return found


@contextmanager
def nothing_left(marker: str) -> Iterator[None]:
    """Check that no process and no open file remains."""
    gc.collect()  # else what an earlier test left is closed meanwhile
    files, processes = open_files(), children()
    yield
    gc.collect()
    left = dict(open_files().items() - files.items())
    assert not left, f"open files: {left}"
    # What an earlier test started may have ended meanwhile.
    new = {*children().split()} - {*processes.split()}
    assert not new, f"processes: {new}"
    assert all_ended(marker)


def need_sandbox() -> None:
    if problem := sandbox_problem():
        pytest.skip(f"needs a working sandbox: {problem}")
