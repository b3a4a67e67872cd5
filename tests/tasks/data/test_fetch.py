import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from seqmem.errors import FetchError, InputError
from seqmem.submit import cli
from seqmem.tasks import DATA
from seqmem.tasks.data import fetch as fetching
from seqmem.tasks.data import wikitext_files as corpora
from seqmem.tasks.data.fetch import FETCHABLE, fetch, fetch_data

CONTENT = bytes(range(256)) * 4000  # a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    requested: list[str]

    def do_GET(self) -> None:
        self.requested.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path == "/cut-off":
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
            self.close_connection = True
        elif self.path == "/altered":
            self.wfile.write(CONTENT[::-1])
        else:
            self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Base address of a server on this machine, used without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("Recording", (Handler,), {"requested": []})
    with HTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def test_files_are_downloaded_once(server: str, tmp_path: Path) -> None:
    files = {"a.mat": (f"{server}/a", SHA256), "b.mat": (f"{server}/b", SHA256)}
    folder = tmp_path / "data" / "set"
    fetch(files, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == dict.fromkeys(
        files, CONTENT
    )
    fetch(dict.fromkeys(files, ("http://127.0.0.1:1/gone", SHA256)), folder)  # no download


def test_a_file_with_another_hash_is_replaced(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(CONTENT[:100])
    fetch({"a.mat": (f"{server}/a", SHA256)}, tmp_path)
    assert (tmp_path / "a.mat").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("cut-off", "IncompleteRead"),
        ("altered", "the downloaded file is not the expected one, with sha256"),
        ("missing", "404"),
    ],
)
def test_no_partial_file_is_left(server: str, tmp_path: Path, path: str, problem: str) -> None:
    files = {"good": (f"{server}/good", SHA256), "bad": (f"{server}/{path}", SHA256)}
    with pytest.raises(FetchError, match=f"bad could not be downloaded from {server}/{path}") as e:
        fetch(files, tmp_path)
    assert problem in str(e.value)
    assert [file.name for file in tmp_path.iterdir()] == ["good"]


def test_an_unreachable_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(FetchError, match=r"a could not be .* from http.*ConnectionError"):
        fetch({"a": ("http://127.0.0.1:1/a", SHA256)}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_line(server: str, own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = {name: (f"{server}/{name}", SHA256) for name in ("a.mat", "b.mat")}
    monkeypatch.setattr(fetching, "FETCHABLE", {"polymusic": remote})
    done = CliRunner().invoke(cli, ["data", "fetch", "polymusic"])
    assert done.exit_code == 0
    assert done.stdout == ""
    assert done.stderr == f"polymusic: in {own_data}/polymusic, hashes correct\n"
    assert (own_data / "polymusic" / "b.mat").read_bytes() == CONTENT
    elsewhere = own_data / "elsewhere"
    elsewhere.mkdir()
    done = CliRunner().invoke(cli, ["data", "--data-dir", str(elsewhere), "fetch", "polymusic"])
    assert done.exit_code == 0
    assert (elsewhere / "polymusic" / "a.mat").exists()


@pytest.mark.parametrize(
    ("base", "status", "line"),
    [("/altered#", 1, "seqmem: a.mat could not be downloaded"), ("/", 0, "polymusic: in ")],
)
def test_one_line_and_a_status(
    server: str,
    own_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    status: int,
    line: str,
) -> None:
    remote = {"a.mat": (f"{server}{base}/a.mat", SHA256)}
    monkeypatch.setattr(fetching, "FETCHABLE", {"polymusic": remote})
    done = CliRunner().invoke(cli, ["data", "fetch", "polymusic"])
    assert done.exit_code == status
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_plain_data_is_still_the_listing(own_data: Path) -> None:
    done = CliRunner().invoke(cli, ["data", "--format", "csv"])
    assert done.exit_code == 0
    assert done.stdout.startswith("data,is,licence,")
    for name in DATA:
        assert f"\n{name}," in done.stdout


def test_what_cannot_be_downloaded(own_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="did you mean polymusic"):
        fetch_data("polymusik")
    with pytest.raises(InputError, match=r"lm1b cannot .* http://www\.statmt\.org/lm-benchmark/"):
        fetch_data("lm1b")
    monkeypatch.delenv("SEQMEM_DATA")
    with pytest.raises(InputError, match="polymusic: no data directory is given"):
        fetch_data("polymusic")


def test_a_corpus_of_the_hub_becomes_files(
    tmp_path: Path, own_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with the layout of a hub repository replaces the hub."""
    text = " \n = A = \n \n the cat \n"
    repository = tmp_path / "repository"
    repository.mkdir()
    names = {"train": "train", "validation": "valid", "test": "test"}
    listed = "".join(f"  - {{split: {hub}, path: {own}.txt}}\n" for hub, own in names.items())
    (repository / "README.md").write_text(
        f"---\nconfigs:\n- config_name: tiny-v1\n  data_files:\n{listed}---\n"
    )
    for name in names.values():
        (repository / f"{name}.txt").write_text(text)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hub")
    source = replace(
        corpora.WIKITEXT_2,
        hub=(str(repository), "tiny-v1"),
        splits={name: {"lines": 4, "tokens": 9} for name in names.values()},
        vocabulary=5,
    )
    monkeypatch.setattr(corpora, "WIKITEXT_2", source)
    line = fetch_data("wikitext-2")
    assert line == f"wikitext-2: in {own_data}/wikitext-2, counts and hashes correct"
    folder = own_data / "wikitext-2"
    assert sorted(path.name for path in folder.iterdir()) == ["test.txt", "train.txt", "valid.txt"]
    assert (folder / "test.txt").read_text() == text
    (folder / "test.txt").write_text(text + "more\n")  # the user's file stays, and is checked
    with pytest.raises(InputError, match="wikitext-2, test: 5 lines, expected 4"):
        fetch_data("wikitext-2")


def test_addresses_are_pinned() -> None:
    for remote in FETCHABLE.values():
        for address, sha256 in remote.values():
            assert address.startswith("https://")
            assert len(bytes.fromhex(sha256)) == 32


def test_pinned_hashes_are_those_of_the_real_files(data: Path) -> None:
    for name, (_, sha256) in FETCHABLE["polymusic"].items():
        content = (data / "polymusic" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
