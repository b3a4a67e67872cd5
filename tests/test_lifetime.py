"""What ends with a process that is killed: its workers, folders and half-written files."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from seqmem.lifetime import temporary_folder, writing_in
from seqmem.tests.processes import children, until

# Starts a process that computes without end, and prints its id.
PARENT = """
import os, subprocess, sys, time
code = "import sys; from seqmem.lifetime import end_with_parent; end_with_parent(int(sys.argv[1]))"
code += "\\nprint('begun', flush=True)\\nwhile True: pass"
child = subprocess.Popen([sys.executable, "-c", code, str(os.getpid())], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
FOLDER = """
import sys, time
from pathlib import Path
from seqmem.lifetime import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").touch()
    print(folder, flush=True)
    time.sleep(600)
"""
# Holds a file of the folder open, and opens and closes others all the time.
WRITER = """
import os, sys
file = open(sys.argv[1], "w")
print(1, flush=True)
while True:
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
    for other in others:
        os.close(other)
"""


@contextmanager
def running(code: str, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A process in a group of its own, and the first line that it prints."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_a_worker_ends_with_its_parent_while_it_computes() -> None:
    with running(PARENT) as (parent, child):
        os.kill(int(child), 0)
        parent.kill()
        parent.wait()
        until(lambda: not Path(f"/proc/{child}/exe").exists(), 20)


def test_a_worker_ends_whose_parent_ended_before_it_began() -> None:
    code = "from seqmem.lifetime import end_with_parent; end_with_parent(0); print('begun')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (1, b"")


def test_a_temporary_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    before = children()
    with temporary_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").touch()
    assert not [*tmp_path.iterdir()]
    with pytest.raises(ZeroDivisionError), temporary_folder(tmp_path):
        raise ZeroDivisionError
    assert not [*tmp_path.iterdir()]
    assert children() == before


def test_what_still_has_a_file_of_the_folder_is_killed_at_the_end_and_its_maker_is_not(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        with temporary_folder(tmp_path) as folder:
            stack.enter_context((folder / "own").open("w"))
            other, _ = stack.enter_context(running(WRITER, f"{folder}/log"))
        assert other.wait(20) == -signal.SIGKILL
    assert not folder.exists()


@pytest.mark.parametrize("to_group", [False, True])
def test_the_folder_of_a_killed_process_is_removed(tmp_path: Path, to_group: bool) -> None:
    with running(FOLDER, str(tmp_path)) as (process, folder):
        assert (Path(folder) / "inner" / "file").exists()
        (os.killpg if to_group else os.kill)(process.pid, signal.SIGKILL)
        until(lambda: not [*tmp_path.iterdir()], 20)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_what_a_killed_process_left_writing_into_its_folder_is_killed(tmp_path: Path) -> None:
    with (
        running(FOLDER, str(tmp_path)) as (process, folder),
        running(WRITER, f"{folder}/log") as (inside, _),
        running(WRITER, f"{folder}.log") as (beside, _),
    ):
        process.kill()
        assert inside.wait(20) == -signal.SIGKILL
        until(lambda: not Path(folder).exists(), 20)
        assert beside.poll() is None


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    with writing_in(folder):
        (folder / "half.tmp").touch()
        (folder / "whole.json").touch()
        with writing_in(folder):  # the first still writes
            assert (folder / "half.tmp").exists()
    with writing_in(folder):
        assert os.listdir(folder) == ["whole.json"]
        with (folder / "whole.json").open() as file:  # files are not locked
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_nothing_is_removed_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("no locks")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    (tmp_path / "another.tmp").touch()
    with writing_in(tmp_path):
        assert (tmp_path / "another.tmp").exists()
