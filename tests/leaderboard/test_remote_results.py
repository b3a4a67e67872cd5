"""Results at a URL: atomic files, never overwritten, and runs that resume on another machine."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest

import seqmem.leaderboard.remote_results as module
from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.loop import train
from seqmem.errors import InputError
from seqmem.leaderboard.remote_results import RemoteResults
from seqmem.runs import run_cell
from seqmem.tests.command import QUICK, Command, record_files, without_times
from seqmem.tests.processes import until


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Simulate another machine, which has only the URL."""
    return lambda name: monkeypatch.setenv("SEQMEM_CACHE", str(tmp_path / name))


def test_results_are_shared(
    seqmem_: Command, tmp_path: Path, elsewhere: Callable[[str], None]
) -> None:
    here = seqmem_("eval", "lstm", "marginal", *QUICK, "--results", "here")
    url = (tmp_path / "shared").as_uri()
    sweep = ["eval", "lstm", "marginal", *QUICK, "--results", url]
    elsewhere("one")
    first = seqmem_(*sweep)
    assert first.out == here.out
    files = record_files(tmp_path / "shared/records")
    assert [without_times(path) for path in files] == [
        without_times(path) for path in record_files(tmp_path / "here/records")
    ]
    content = [path.read_bytes() for path in files]
    elsewhere("other")
    again = seqmem_(*sweep)
    assert again.out == here.out
    assert again.err.count("already measured") == 2
    third = seqmem_(*sweep, "--k", "1")  # with the stored weights
    assert "trained for" not in third.err
    assert len(record_files(tmp_path / "shared/records")) == 4
    assert [path.read_bytes() for path in files] == content
    elsewhere("third")
    board = seqmem_("leaderboard", "--records", url, "--format", "csv")
    assert board.out == seqmem_("leaderboard", "--records", "shared", "--format", "csv").out
    below = seqmem_("leaderboard", "--records", f"{url}/records", "--format", "csv")
    assert below.out == board.out
    assert not [*(tmp_path / "shared").rglob("*.tmp"), *(tmp_path / "shared").rglob(".seqmem*")]


class KilledError(BaseException):
    pass


def test_training_resumes_on_another_machine(
    seqmem_: Command,
    tmp_path: Path,
    elsewhere: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seqmem_("eval", "lstm", *QUICK, "--results", "here")
    url = (tmp_path / "shared").as_uri()
    sweep = ["eval", "lstm", *QUICK, "--results", url]
    monkeypatch.setattr(run_cell, "Checkpoint", partial(Checkpoint, every_seconds=0))
    monkeypatch.setattr(module, "EVERY", 0.01)

    def killed(*given: Any, progress: Callable[[int, float], object], **options: Any) -> object:
        def stop(step: int, validation: float) -> None:
            progress(step, validation)
            if step == 4:
                until(lambda: [*(tmp_path / "shared").rglob("checkpoint.pt")])
                patch.setattr(RemoteResults, "push", lambda *_: None)  # this machine fails
                raise KilledError

        return train(*given, progress=stop, **options)

    with monkeypatch.context() as patch:
        patch.setattr(run_cell, "train", killed)
        elsewhere("one")
        with pytest.raises(KilledError):
            seqmem_(*sweep)
    elsewhere("other")
    ran = seqmem_(*sweep)
    assert ran.status == 0
    assert ran.err.count("resumes after step") == 1
    (path,) = record_files(tmp_path / "shared/records")
    assert [without_times(path)] == [
        without_times(path) for path in record_files(tmp_path / "here/records")
    ]
    assert [
        each.name for each in (tmp_path / "shared/checkpoints").rglob("*") if each.is_file()
    ] == ["weights.safetensors"]


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_two_machines_that_finish_the_same_cell_lose_no_record(scheme: str, tmp_path: Path) -> None:
    place = (tmp_path / "shared").as_uri() if scheme == "file" else "memory://seqmem-two/run[1]"
    remote = RemoteResults(place)
    patterns = ("records/t/r*.json",)
    machines = {name: tmp_path / name for name in ("one", "other", "same")}
    content = {"one": "1", "other": "2", "same": "1"}
    for name, folder in machines.items():
        remote.pull(folder, patterns)
        (folder / "records/t").mkdir(parents=True)
        (folder / "records/t/r.json").write_text(content[name])
    for folder in machines.values():
        remote.push(folder, patterns, {})
    third = tmp_path / "third"
    remote.pull(third, patterns)
    found = {path.name: path.read_text() for path in third.rglob("*.json")}
    assert found == {"r.json": "1", "r.2.json": "2"}


def test_fresh_weights_replace_old_ones(seqmem_: Command, tmp_path: Path) -> None:
    sweep = ["eval", "lstm", *QUICK, "--results", (tmp_path / "shared").as_uri()]
    seqmem_(*sweep)
    (path,) = (tmp_path / "shared").rglob("*.safetensors")
    right = path.read_bytes()
    path.write_bytes(b"damaged")
    for mirror in RemoteResults(sweep[-1]).mirror.rglob("*.safetensors"):
        mirror.unlink()
    assert seqmem_(*sweep, "--fresh").status == 0
    assert path.read_bytes()[-200:] == right[-200:]
    assert len(record_files(tmp_path / "shared/records")) == 2


def test_the_newer_checkpoint_is_used(tmp_path: Path) -> None:
    remote = RemoteResults((tmp_path / "shared").as_uri())
    here, there = (tmp_path / each / "checkpoints/x/c.pt" for each in ("here", "shared"))
    for path, content, when in ((here, b"here", 2000), (there, b"there", 1000)):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        os.utime(path, (when, when))
    remote.pull(tmp_path / "here", ("checkpoints/x/*",))
    assert here.read_bytes() == b"here"
    os.utime(there, (3000, 3000))
    remote.pull(tmp_path / "here", ("checkpoints/x/*",))
    assert here.read_bytes() == b"there"


def test_the_error_of_the_cell_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        raise ConnectionError

    remote = RemoteResults((tmp_path / "shared").as_uri())

    def interrupted() -> None:
        with remote.synchronised(tmp_path / "here", ("*.json",)):
            monkeypatch.setattr(RemoteResults, "push", down)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_no_password_is_shown() -> None:
    remote = RemoteResults("nonsense://user:secret@host/results")
    assert str(remote) == "nonsense://host/results"
    with pytest.raises(InputError) as raised:
        remote.check()
    assert "secret" not in str(raised.value)
    assert remote.mirror == RemoteResults("nonsense://user:other@host/results").mirror


def test_any_file_system_works(tmp_path: Path) -> None:
    """Also one that is not local and cannot list folders."""
    remote = RemoteResults("memory://seqmem-test/results")
    with pytest.raises(InputError, match="there is no /seqmem-test"):
        remote.check()
    fsspec.filesystem("memory").mkdir("/seqmem-test")
    remote.check()
    one, other = tmp_path / "one", tmp_path / "other"
    patterns = ("records/**/*.json", "checkpoints/x/*")
    for name, content in {"records/t/r.json": b"{}", "checkpoints/x/c.pt": b"1"}.items():
        (one / name).parent.mkdir(parents=True)
        (one / name).write_bytes(content)
    with remote.synchronised(one, patterns):
        (one / "checkpoints/x/half.tmp").touch()
    with remote.synchronised(other, patterns):
        found = {path.name: path.read_bytes() for path in other.rglob("*") if path.is_file()}
        assert found == {"r.json": b"{}", "c.pt": b"1"}
        (other / "checkpoints/x/c.pt").unlink()
    third = tmp_path / "third"
    remote.pull(third, patterns)
    found = {path.name: path.read_bytes() for path in third.rglob("*") if path.is_file()}
    assert found == {"r.json": b"{}"}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense://bucket/x", "Protocol not known: nonsense"),
        ("file:///proc/seqmem", "cannot be written to"),
    ],
)
def test_an_unreachable_url_is_reported(seqmem_: Command, url: str, says: str) -> None:
    ran = seqmem_("eval", "marginal", *QUICK, "--results", url)
    assert (ran.status, ran.out) == (2, "")
    assert url in ran.err
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_a_url_without_records(seqmem_: Command, tmp_path: Path) -> None:
    url = (tmp_path / "none").as_uri()
    ran = seqmem_("leaderboard", "--records", url)
    assert ran.status == 2
    assert f"--records {url}: there are no records" in ran.err


def test_files_that_cannot_be_sent_stay_in_the_mirror(
    seqmem_: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: Any, path: str, content: bytes) -> None:
        raise PermissionError("quota exceeded")

    url = (tmp_path / "shared").as_uri()
    monkeypatch.setattr(RemoteResults, "check", lambda self: None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_add", full)
        patch.setattr(module, "PAUSES", ())
        ran = seqmem_("eval", "marginal", *QUICK, "--results", url)
    assert ran.status == 1
    assert "quota exceeded" in ran.err
    assert "results finished before are saved" in ran.err
    again = seqmem_("eval", "marginal", *QUICK, "--results", url)
    assert "already measured" in again.err
    assert len(record_files(tmp_path / "shared/records")) == 1
