"""Results at a URL: atomic files, never overwritten, and runs that resume on another machine."""

import http.server
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqmem.leaderboard.remote_results as module
from seqmem.baselines.training.checkpoint import Checkpoint
from seqmem.baselines.training.loop import train
from seqmem.errors import InputError, without_secrets
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


SECRET_URLS = [
    "nonsense://user:s3cr/et@host/results",
    "nonsense://user:s3cr@et@host/results",
    "nonsense://s3cr%2Fet@host/results",
    "nonsense://host/results?token=s3cr/et",
    "nonsense://host/results?a=1&sig=s3cr%2Fet",
    "nonsense://host/results?s3cr/et",
    "nonsense://host/results#s3cr/et",
]


def test_a_password_does_not_change_the_mirror() -> None:
    remote = RemoteResults("nonsense://user:secret@host/results")
    assert str(remote) == "nonsense://host/results"
    assert remote.mirror == RemoteResults("nonsense://user:other@host/results").mirror


@pytest.mark.parametrize("url", SECRET_URLS)
def test_no_secret_of_a_url_is_shown(
    url: str, seqmem_: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = RemoteResults(url)
    secret = "s3cr" + url.partition("s3cr")[2].partition("et")[0] + "et"
    assert str(remote).startswith("nonsense://host/results")
    with pytest.raises(InputError) as raised:
        remote.check()
    ran = seqmem_("eval", "marginal", *QUICK, "--results", url)
    asked = seqmem_("leaderboard", "--records", url)

    def refuse(_: str) -> None:  # as libraries do, with the URL, a part of it, or its value
        quoted = " or ".join((secret, unquote(secret), quote(secret, safe="")))
        raise OSError(f"404 for {url}; '{url.partition('//')[2]}', {quoted}")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    monkeypatch.setattr(module, "PAUSES", ())
    with pytest.raises(InputError) as later:
        remote.fetch_records()
    with pytest.raises(OSError, match="404") as last, remote.synchronised(Path("here"), ()):
        pass
    for text in (remote, raised.value, later.value, last.value, ran.err, asked.err):
        assert "s3cr" not in str(text)
        assert "et@" not in str(text)
    assert "nonsense://host/results" in ran.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://h:80/a@b and s3://b/x.json", "see http://h:80/a@b and s3://b/x.json"),
        ("hf://datasets/me/x@main/y failed", "hf://datasets/me/x@main/y failed"),
        ("http://me:pw@proxy:3128 refused it", "http://proxy:3128 refused it"),
        ("a::s3://k:p@b/x?q=1 and http://:t@h", "a::s3://b/x?… and http://h"),
        ("no URL: a@b?c=d#e", "no URL: a@b?c=d#e"),
        ("http://h/x?t=1: none (see 'http://h?u#v').", "http://h/x?…: none (see 'http://h?…')."),
    ],
)
def test_what_messages_show_of_urls(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


class Listing:
    """A file system that lists whatever it is given, and has one content for everything."""

    protocol = "listing"

    def __init__(self, names: Sequence[str], root: str) -> None:
        self.paths = [name.replace("ROOT", root) for name in names]

    def invalidate_cache(self) -> None: ...

    def glob(self, pattern: str) -> list[str]:
        return self.paths

    def cat_file(self, path: str) -> bytes:
        return b"{}"

    def modified(self, path: str) -> datetime:
        return datetime.max


ROOT = "listing://host/results"
HOSTILE = [
    "ROOT/../x.json",
    "ROOT/a/../../x.json",
    "ROOT/../../../../../../../../../../tmp/seqmem-outside.json",
    "ROOT//tmp/seqmem-outside.json",
    "ROOT/..%2fx.json",
    "ROOT/%2e%2e/x.json",
    "ROOT/%2ftmp%2fseqmem-outside.json",
    "ROOT/..\\x.json",
    "ROOT/a\\..\\..\\x.json",
    "ROOT/..%5cx.json",
    "ROOT/C:\\x.json",
    "ROOT/C:x.json",
    "ROOT/\\\\host\\share\\x.json",
    "ROOT/link/x.json",
    "ROOT/linked.json",
    "/tmp/seqmem-outside.json",
    "listing://other/x.json",
    "../x.json",
]


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with links to places outside of it."""
    folder = tmp_path / "top/middle/mirror"
    folder.mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "linked.json").symlink_to(tmp_path / "outside/new.json")
    return folder


def outside(mirror: Path) -> list[Path]:
    top = mirror.parents[2]
    return [path for path in top.rglob("*") if path.is_file() and mirror not in path.parents]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_listed_name_leads_out_of_the_mirror(
    name: str, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Listing(["ROOT/good.json", name], ROOT)
    monkeypatch.setattr(RemoteResults, "_open", lambda self: (files, ROOT))
    with pytest.raises(InputError, match="outside the folder"):
        RemoteResults(ROOT).pull(mirror, ["**/*.json"])
    assert outside(mirror) == []
    assert not (mirror / "good.json").exists()


PARTS = st.sampled_from(
    ["..", ".", "", "a", "link", "linked.json", "%2e%2e", "..%2f", "\\", "..\\", "C:", "~", "%"]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.lists(PARTS | st.text(max_size=3), max_size=6).map("/".join))
def test_whatever_is_listed_stays_in_the_mirror(name: str, mirror: Path) -> None:
    remote = RemoteResults(ROOT)
    files = Listing([f"ROOT/{name}.json", f"ROOT/{name}.pt"], ROOT)
    pulled: set[Path] = set()
    with pytest.MonkeyPatch.context() as patch, suppress(InputError, OSError, ValueError):
        patch.setattr(RemoteResults, "_open", lambda self: (files, ROOT))
        pulled = remote.pull(mirror, ["**/*"])
    assert outside(mirror) == []
    assert all(path.resolve().is_relative_to(mirror.resolve()) for path in pulled)


def test_links_in_the_mirror_are_not_sent(mirror: Path, tmp_path: Path) -> None:
    (tmp_path / "outside/new.json").write_text("private")
    remote = RemoteResults((tmp_path / "shared").as_uri())
    with pytest.raises(InputError, match="outside the folder"):
        remote.push(mirror, ["*.json"], {})
    assert not [*tmp_path.glob("shared/*")]


class Server(http.server.BaseHTTPRequestHandler):
    """A page whose links lead to a record and out of the folder."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        page = b"<a href='good.json'>x</a><a href='../../../../../../evil.json'>x</a>"
        is_record = self.path.endswith(".json")
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if is_record else "text/html")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"{}" if is_record else page)

    def log_message(self, *_: object) -> None: ...


def test_a_server_writes_nothing_outside_the_mirror(
    seqmem_: Command, tmp_path: Path, elsewhere: Callable[[str], None]
) -> None:
    pytest.importorskip("aiohttp", reason="fsspec reads http with it")
    elsewhere("one/two/three/four/five/cache")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ran = seqmem_("leaderboard", "--records", f"http://127.0.0.1:{server.server_port}/r")
        server.shutdown()
    assert ran.status == 2
    assert "outside the folder" in ran.err
    assert not [*tmp_path.rglob("evil.json")]


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
