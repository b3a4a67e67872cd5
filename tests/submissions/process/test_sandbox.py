"""In the sandbox, untrusted code reads, writes, reaches and outlives nothing."""

import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest
import torch

import seqmem
from seqmem.errors import CellError, SubmissionError
from seqmem.submissions.process.limits import Limits
from seqmem.submissions.process.remote import RemoteModel
from seqmem.submissions.process.sandbox import (
    check_sandbox,
    sandbox_problem,
    sandboxed,
    working_options,
)
from seqmem.submissions.python_factory import parse_factory
from seqmem.tasks.task import Tokens
from seqmem.tests.processes import all_ended, need_sandbox, nothing_left

LIMITS = Limits(memory_bytes=3 << 30, start_seconds=60, call_seconds=30)

# Its outputs are, for each attempt, whether it succeeded.
PROBER = """
import ctypes, os, resource, socket
from pathlib import Path
import torch
from torch import nn
import beside

FACTS = beside.FACTS
HERE = Path(__file__).parent

def connects():
    socket.create_connection(("127.0.0.1", FACTS["port"]), timeout=2).close()

def reads_outside():
    Path(FACTS["secret"]).read_text()

def reads_data():
    (HERE / "data" / "targets.txt").read_text()

def creates_beside():
    (HERE / "left-behind").touch()

def writes_to_the_suite():
    import seqmem
    (Path(seqmem.__file__).parent / "baselines" / "left-behind").touch()

def writes_to_tmp():
    Path("/tmp/seqmem-probe").write_text("x")

def creates_an_empty_file():
    file = Path("/tmp/seqmem-empty")
    file.touch()
    file.unlink()

def opens_a_kernel_setting_for_writing():
    # Nothing is written.
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            try:
                os.close(os.open(os.path.join(folder, name), os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                continue
            return
    raise PermissionError

def opens_a_switch_of_the_kernel():
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))

def reads_about_the_machine():
    assert Path("/proc/partitions").read_text() or os.listdir("/proc/irq")

def is_root():
    assert 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups())

def has_privileges():
    lines = Path("/proc/self/status").read_text().splitlines()
    assert any(int(line.split()[1], 16) for line in lines if line.startswith("Cap"))

def creates_a_user_namespace():
    if not (child := os.fork()):
        os._exit(ctypes.CDLL(None).unshare(0x10000000) != 0)
    assert os.waitpid(child, 0)[1] == 0

def keeps_memory_outside_its_limit():
    library = ctypes.CDLL(None)
    identifier = library.shmget(0, 4096, 0o1600)
    assert identifier >= 0
    library.shmctl(identifier, 0, None)

def sees_other_processes():
    assert len([name for name in os.listdir("/proc") if name.isdigit()]) > 4

def signals_its_parent():
    os.kill(FACTS["parent"], 0)

def knows_a_secret():
    os.environ["SECRET_TOKEN"]

def raises_its_limits():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

def becomes_another_user():
    os.setuid(12345)

def runs_a_program():
    assert os.spawnl(os.P_WAIT, "/bin/sh", "sh", "-c", "exit 0") == 0

def reads_what_is_beside():
    assert beside.WEIGHTS.read_text() == "weights"

ATTEMPTS = [
    connects, reads_outside, reads_data, creates_beside, writes_to_the_suite, writes_to_tmp,
    sees_other_processes, signals_its_parent, knows_a_secret, raises_its_limits,
    reads_what_is_beside, runs_a_program, becomes_another_user, creates_an_empty_file,
    opens_a_kernel_setting_for_writing, opens_a_switch_of_the_kernel, reads_about_the_machine,
    is_root, has_privileges, creates_a_user_namespace, keeps_memory_outside_its_limit,
]

def succeeds(attempt):
    try:
        attempt()
    except Exception:
        return 0.0
    return 1.0

class Prober(nn.Module):
    def forward(self, inputs):
        return torch.tensor([succeeds(attempt) for attempt in ATTEMPTS]).expand(*inputs.shape, -1)

def build(outputs):
    assert outputs == len(ATTEMPTS)
    return Prober()
"""
ALLOWED = {"reads_what_is_beside"}
# What must succeed without the sandbox, or the test would show nothing.
POSSIBLE = {
    "reads_outside",
    "reads_data",
    "creates_beside",
    "signals_its_parent",
    "creates_an_empty_file",
    "reads_about_the_machine",
}
POSSIBLE_FOR_ROOT = {
    "opens_a_kernel_setting_for_writing",
    "is_root",
}
# What is denied to every process of a model, sandboxed or not.
DENIED = {"connects", "creates_a_user_namespace", "keeps_memory_outside_its_limit"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    need_sandbox()
    folder = tmp_path / "model"
    folder.mkdir()
    with nothing_left(str(folder)):
        yield folder


def remote(file: Path, outputs: int, sandbox: bool | None = None) -> RemoteModel:
    factory = parse_factory(f"{file}:build")
    return RemoteModel(factory, Tokens(9), outputs, limits=LIMITS, sandbox=sandbox)


def test_nothing_can_be_reached_from_inside(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "data").mkdir()
    (folder / "data" / "targets.txt").write_text("targets")
    (folder / "weights.txt").write_text("weights")
    monkeypatch.setenv("SEQMEM_DATA", str(folder / "data"))
    monkeypatch.setenv("SECRET_TOKEN", "x")
    suite = Path(seqmem.__file__).parent
    with socket.create_server(("127.0.0.1", 0)) as server:
        facts = {
            "port": server.getsockname()[1],
            "secret": str(tmp_path / "secret.txt"),
            "parent": os.getpid(),
        }
        (folder / "beside.py").write_text(
            f"from pathlib import Path\nFACTS = {facts}\n"
            "WEIGHTS = Path(__file__).with_name('weights.txt')\n"
        )
        (folder / "prober.py").write_text(PROBER)
        attempts = [
            name.strip()
            for name in PROBER.partition("ATTEMPTS = [")[2].partition("]")[0].split(",")
            if name.strip()
        ]
        succeeded = {}
        for sandbox in (True, False):
            with remote(folder / "prober.py", len(attempts), sandbox) as model:
                outputs, _ = model.hidden(torch.zeros(1, 2, dtype=torch.int32))
            flags = outputs[0, 0].tolist()
            succeeded[sandbox] = {name for name, flag in zip(attempts, flags, strict=True) if flag}
            left = (folder / "left-behind").exists()
            assert left == (not sandbox)
            (suite / "baselines" / "left-behind").unlink(missing_ok=True)
    # Process 1 inside is not the parent: a signal may reach a process that has its number there.
    assert succeeded[True] - {"signals_its_parent"} == ALLOWED
    possible = POSSIBLE | (POSSIBLE_FOR_ROOT if os.getuid() == 0 else set())
    assert succeeded[False] >= ALLOWED | possible
    if find_library("seccomp"):
        assert not succeeded[False] & DENIED


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', PORT), timeout=2)",
        "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
        "import ctypes; assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, 0) == 0",
        "import os; os.close(os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY))",
        "import os; os.close(os.open('/proc/self/oom_score_adj', os.O_WRONLY))",
        "import os; assert os.listdir('.') or os.listdir('/home') or os.listdir('/run')",
        "assert open('/etc/passwd').read()",
    ],
)
def test_what_bubblewrap_alone_denies(attempt: str) -> None:
    """Without the limits and the filter that a model's process sets for itself."""
    need_sandbox()
    python = os.path.realpath(sys.executable)
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = attempt.replace("PORT", str(server.getsockname()[1]))
        for script, succeeds in (("pass", True), (code, False)):
            ran = subprocess.run(
                sandboxed([python, "-I", "-S", "-c", script]), capture_output=True, timeout=60
            )
            assert (ran.returncode == 0) == succeeds, ran.stderr


def test_the_sandbox_works_where_it_is_installed() -> None:
    """Or else all tests of it would be skipped, and code would be refused."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    assert sandbox_problem() == ""


@pytest.mark.usefixtures("empty_cache")
def test_an_older_bubblewrap_is_used_without_the_options_that_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bwrap").write_text(
        '#!/bin/sh\ncase "$*" in *--disable-userns*) echo "Unknown option" >&2; exit 1; esac\n'
    )
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox_problem() == ""
    assert "--disable-userns" not in sandboxed(["python"])


def test_what_it_starts_ends_with_it(folder: Path) -> None:
    """Although it is in a session of its own and has another parent."""
    code = """
    import os, time
    from torch import nn

    def orphan():
        if os.fork() == 0:
            os.setsid()
            if os.fork() > 0:
                os._exit(0)
            for file in range(256):
                try:
                    os.close(file)
                except OSError:
                    pass
            time.sleep(60)

    class Net(nn.Module):
        def forward(self, inputs):
            orphan()
            os._exit(9)

    def build():
        orphan()
        return Net()
    """
    (folder / "model.py").write_text(textwrap.dedent(code))
    with remote(folder / "model.py", 3) as model:
        assert not all_ended(str(folder), 0)
        with pytest.raises(CellError, match="exited with status 9"):
            model.hidden(torch.zeros(1, 2))
        assert all_ended(str(folder))


def test_a_crash_is_reported_through_the_sandbox(folder: Path) -> None:
    (folder / "model.py").write_text("import ctypes\nprint('so far')\nctypes.string_at(0)")
    with (
        pytest.raises(SubmissionError, match=r"killed by SIGSEGV; .* 'so far'"),
        remote(folder / "model.py", 3),
    ):
        pass


def test_a_package_is_found_in_the_current_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").touch()
    (folder / "mine" / "net.py").write_text(
        "import os\n"
        "from torch import nn\n"
        "def build(outputs):\n"
        "    assert os.listdir(os.path.dirname(os.path.dirname(__file__))) == ['mine']\n"
        "    return nn.Embedding(9, outputs)\n"
    )
    (folder / "other.txt").touch()
    monkeypatch.chdir(folder)
    factory = parse_factory("mine.net:build")
    with RemoteModel(factory, Tokens(9), 4, limits=LIMITS) as model:
        assert model.hidden(torch.zeros(2, 3, dtype=torch.int32))[0].shape == (2, 3, 4)


def test_a_folder_that_contains_too_much_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "model.py").touch()
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(folder / "user"))
        with (
            pytest.raises(SubmissionError, match="contains, your home folder"),
            remote(folder / "model.py", 3),
        ):
            pass
    monkeypatch.setenv("SEQMEM_DATA", str(tmp_path))
    with (
        pytest.raises(SubmissionError, match="in the data or cache directory"),
        remote(folder / "model.py", 3),
    ):
        pass


@pytest.fixture
def empty_cache() -> Iterator[None]:
    working_options.cache_clear()
    yield
    working_options.cache_clear()


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("there", [False, True])
def test_without_a_sandbox_code_is_refused(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        program = tmp_path / "bwrap"
        program.write_text("#!/bin/sh\necho 'bwrap: No permissions\nto create' >&2; exit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "model.py").write_text("open('ran', 'w')")
    says = "does not work here: bwrap: No permissions to create" if there else "is not installed"
    with pytest.raises(SubmissionError, match=says) as caught, remote(tmp_path / "model.py", 3):
        pass
    assert "install the package bubblewrap" in str(caught.value)
    assert "--trust" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sandbox_that_works_is_not_refused() -> None:
    need_sandbox()
    check_sandbox("model.py:build")
