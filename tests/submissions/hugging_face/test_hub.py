"""A model of the hub: found in the cache, downloaded, or a reason with the hub's own sentence."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from seqmem.errors import InputError
from seqmem.submissions.hugging_face.hub import find_model
from seqmem.tests import tiny_models as tiny

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_abcdefghijklmnopqrstuvwxyzabcdefgh"


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, no downloads, and a token that must not be seen."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)


class Hub(BaseHTTPRequestHandler):
    """A hub on this machine with one model, or with one answer to everything."""

    status: ClassVar[int] = 200
    headers_sent: ClassVar[dict[str, str]] = {}
    folder: ClassVar[Path]

    def do_GET(self) -> None:
        body = b""
        if self.status == 200:
            name = self.path.partition("?")[0].rpartition("/")[2]
            files = [path.name for path in self.folder.iterdir()]
            if "/tree/" in self.path:
                body = json.dumps(
                    [
                        {
                            "type": "file",
                            "path": n,
                            "size": (self.folder / n).stat().st_size,
                            "oid": n,
                        }
                        for n in files
                    ]
                ).encode()
            elif "/api/models/" in self.path:
                listed = [{"rfilename": n} for n in files]
                body = json.dumps({"id": "a/b", "sha": COMMIT, "siblings": listed}).encode()
            else:
                body = (self.folder / name).read_bytes()
        self.send_response(self.status)
        sent = {"X-Repo-Commit": COMMIT, "ETag": f'"{self.path.rpartition("/")[2]}"'}
        for key, value in {**sent, **self.headers_sent, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *arguments: object) -> None:
        pass


def online(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Let the hub be on this machine, with a password in its address."""
    from huggingface_hub import constants

    address = f"http://user:{TOKEN}@127.0.0.1:{port}"
    files = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)


@contextmanager
def hub(
    monkeypatch: pytest.MonkeyPatch, status: int, headers: dict[str, str], folder: Path
) -> Iterator[None]:
    answers = {"status": status, "headers_sent": headers, "folder": folder}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Hub,), answers))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    online(monkeypatch, server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def refused(place: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        find_model(place)
    message = str(caught.value)
    assert message.startswith(f"hf:{place}: ")
    assert "\n" not in message
    assert TOKEN not in message


def test_a_missing_folder(tmp_path: Path) -> None:
    refused(str(tmp_path / "gone"), "there is no such folder; name one")
    refused("./gone", "there is no such folder; name one")
    refused("someone/gone", "there is no such folder, .* not in the cache, and HF_HUB_OFFLINE")
    refused("some--one/gone", "no name of a model")


def test_a_model_of_the_cache(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level()
    saved = tiny.save(tmp_path / "own", tiny.gpt2(len(tokenizer)), tokenizer)
    stored = tmp_path / "cache" / "models--someone--own"
    shutil.copytree(saved, stored / "snapshots" / COMMIT)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(COMMIT)
    assert find_model("someone/own").revision == COMMIT
    assert tiny.load("someone/own").longest == 512
    assert find_model(f"someone/own@{COMMIT}").revision == COMMIT
    refused(f"someone/own@{'9' * 40}", "not in the cache")
    refused("someone/own@", "there is no such folder; name one")


SENTENCES = {
    "gated": (
        403,
        {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to a/b is restricted."},
        r"refuses access to the model \(Access to a/b is restricted\); ask for access",
    ),
    "gated, not logged in": (
        401,
        {"X-Error-Code": "GatedRepo", "X-Error-Message": "You must have access to it."},
        r"refuses access to the model \(You must have access to it\)",
    ),
    "forbidden": (403, {"X-Error-Message": f"{TOKEN} may not"}, r"refuses access .*\(… may not\)"),
    "missing": (
        404,
        {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"},
        r"the hub has no such model, or it is private \(Repository not found\)",
    ),
    "private": (
        401,
        {"X-Error-Code": "RepoNotFound"},
        r"the hub has no such model, or it is private; check the name, or log in",
    ),
    "bad login": (
        401,
        {"X-Error-Message": "Invalid credentials in Authorization header"},
        r"does not accept your login \(Invalid credentials in Authorization header\)",
    ),
    "rate": (429, {"X-Error-Message": "Slow down"}, r"limits the rate .*\(Slow down\); try again"),
    "outage": (503, {"X-Error-Message": "Maintenance"}, r"fault, status 503 \(Maintenance\); try"),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_what_the_hub_says(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status, headers, match = SENTENCES[name]
    with hub(monkeypatch, status, headers, tmp_path):
        refused("a/b", match)


def test_no_hub_there(monkeypatch: pytest.MonkeyPatch) -> None:
    online(monkeypatch, 9)
    refused("a/b", r"the hub cannot be reached \(\w+: .*\); check the network, or name a folder")


def test_a_download_takes_no_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tokenizer = tiny.byte_level()
    folder = tiny.save(tmp_path / "own", tiny.gpt2(len(tokenizer)), tokenizer)
    (folder / "modeling_own.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with hub(monkeypatch, 200, {}, folder):
        found = find_model("a/b")
    names = {path.name for path in found.path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not names & {"modeling_own.py", "pytorch_model.bin"}
    assert found.revision == COMMIT
