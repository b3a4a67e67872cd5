"""The template of a board: its workflow's own commands, on honest and dishonest pull requests."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from seqmem.leaderboard.record import from_json
from seqmem.leaderboard.store import COMMITTED, read_records, record_directory
from seqmem.submissions.onnx.export import export_onnx
from seqmem.tasks import load_task
from seqmem.tests import onnx_models
from seqmem.tests.command import Command
from seqmem.tests.records import lower
from seqmem.tests.submissions.test_safetensors_file import trained, weights_in

pytest.importorskip("onnxruntime", reason="needs seqmem[onnx]")
yaml = pytest.importorskip("yaml")

TEMPLATE = Path(__file__).parent.parent.parent / "examples" / "board"
WORKFLOWS = TEMPLATE / ".github" / "workflows"
TASK = "hidden-markov/dwell=2"


def commands(workflow: str) -> dict[str, str]:
    """Return the commands of each step of a workflow that has a name."""
    jobs = yaml.safe_load((WORKFLOWS / workflow).read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    return {step["name"]: step["run"] for step in steps if "name" in step}


@dataclass(frozen=True)
class Board:
    """A board's repository and, beside it, the runner's workspaces.

    Attributes:
        folder: everything is below it.
    """

    folder: Path

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def start(self) -> "Board":
        shutil.copytree(TEMPLATE, self.repository)
        self.git("init", "--quiet", "--initial-branch", "main")
        self._commit("A board")
        return self

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        command = ["git", "-C", str(self.repository), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def _commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def pull_request(self, name: str, change: Callable[[Path], object]) -> None:
        """Make a branch from main, with what a function does to the repository's folder."""
        self.git("switch", "--quiet", "--create", name, "main")
        change(self.repository)
        self._commit(name)
        self.git("switch", "--quiet", "main")

    def run(self, base: str, head: str, *steps: str) -> tuple[int, str, Path]:
        """Run steps of the workflow; return the status of the last, the review, the workspace."""
        place = self.folder / f"work-{head.replace('/', '-')}"
        for name, revision in (("board", base), ("change", head)):
            self.git("worktree", "add", "--detach", "--quiet", str(place / name), revision)
        status = [self.step(step, place) for step in steps][-1]
        return status, (place / "review.md").read_text(), place

    def step(self, name: str, place: Path) -> int:
        """Run a step of the workflow in a workspace, on a runner of its own; return its status."""
        paths = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": paths, "SEQMEM_CACHE": str(place / "cache" / name)}
        command = ["bash", "-e", "-c", commands("review.yml")[name]]
        return subprocess.run(command, cwd=place, env=environment, check=False).returncode

    def review(self, head: str) -> tuple[int, str]:
        return self.run("main", head, "review")[:2]


def added(record: dict[str, Any], model: Path) -> Callable[[Path], object]:
    """Return a change that adds a record and its model at the places that these need."""

    def change(repository: Path) -> None:
        folder = record_directory(repository / "submitted", record["task"]["id"])
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"submitted-{record['model']['label'].replace(' ', '_')}"
        (folder / f"{stem}.json").write_text(json.dumps(record))
        shutil.copy(model, folder / f"{stem}{model.suffix}")

    return change


def renamed(record: dict[str, Any], name: str, **facts: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(record))
    copy["model"] |= {"label": name, "name": name, **facts}
    return copy


def submitted(seqmem_: Command, model: Path, name: str, *options: str) -> dict[str, Any]:
    """Return the record of a model that `seqmem submit` measured."""
    ran = seqmem_("submit", str(model), "--name", name, "--task", TASK, *options)
    assert ran.status == 0, ran.err
    (path,) = Path("results").rglob(f"submitted-{name}.json")
    return dict(json.loads(path.read_text()))


QUICK = ("--k", "1,8,full", "--precision", "5%")


@dataclass(frozen=True)
class Models:
    """Two models and their honest records."""

    lstm: tuple[dict[str, Any], Path]
    tcn: tuple[dict[str, Any], Path]


@pytest.fixture
def models(seqmem_: Command, tmp_path: Path) -> Models:
    task = load_task(TASK)
    export_onnx(trained("lstm", TASK, tmp_path / "l"), task.inputs, tmp_path / "net.onnx")
    trained("tcn", TASK, tmp_path / "t")
    weights = weights_in(tmp_path / "t")
    return Models(
        (submitted(seqmem_, tmp_path / "net.onnx", "my-lstm", *QUICK), tmp_path / "net.onnx"),
        (submitted(seqmem_, weights, "my-tcn", *QUICK), weights),
    )


def with_edited_score(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record whose loss at the second k is lower than it was, but above the optimum."""
    copy = renamed(record, record["model"]["label"])
    point = copy["curve"][1]
    lower(copy, 0.8 * (point["loss"]["mean"] - point["optimum"]), 1)
    return copy


def peeking(path: Path, symbols: int) -> Path:
    """Write a model that outputs, at each position, the next symbol of its inputs."""
    nodes = [
        onnx_models.node("Slice", ["x", "one", "end", "axis"], ["later"]),
        onnx_models.node("Slice", ["x", "zero", "one", "axis"], ["first"]),
        onnx_models.node("Concat", ["later", "first"], ["next"], axis=1),
        onnx_models.node("Gather", ["table", "next"], ["y"]),
    ]
    numbers = {"zero": 0, "one": 1, "end": 1 << 60, "axis": 1}
    constants = [onnx_models.constant(np.array([n]), name) for name, n in numbers.items()]
    table = np.eye(symbols, dtype=np.float32) * 0.3
    constants.append(onnx_models.constant(table, "table"))
    model = onnx_models.model(
        nodes,
        inputs=[onnx_models.value("x", TensorProto.INT64, ("B", "L"))],
        outputs=[onnx_models.value("y", dims=("B", "L", symbols))],
        constants=constants,
    )
    onnx.save(model, path)
    return path


def hashed(path: Path) -> dict[str, str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"sha256": digest, "weights_sha256": digest}


@pytest.mark.slow
def test_the_workflow_on_honest_and_dishonest_pull_requests(models: Models, tmp_path: Path) -> None:
    """The commands that the workflow runs, each in a process of its own."""
    board = Board(tmp_path / "board").start()
    lstm, net = models.lstm
    tcn, weights = models.tcn
    board.pull_request("lstm", added(lstm, net))
    board.pull_request("tcn", added(tcn, weights))
    for name in ("lstm", "tcn"):
        status, text, place = board.run("main", name, "review")
        assert status == 0, text
        assert f"### `my-{name}` on `{TASK}`: confirmed\n" in text
        assert "The row as it would stand, among 1 row:" in text
        (path,) = (place / "rescored").rglob("*.json")
        assert from_json(path.read_bytes()).trust == "rescored"

    _merge(board, "lstm")
    believed = board.repository / "rescored"
    assert [r.trust for r in read_records([], [believed])[0]] == ["rescored"]
    assert [r.trust for r in read_records([believed])[0]] == ["self-reported"]

    anew = tmp_path / "anew.onnx"
    stored = onnx.load(net)
    stored.producer_name = "another"
    onnx.save(stored, anew)
    peeks = peeking(tmp_path / "peeking.onnx", 32)
    dishonest = {
        "edited": (with_edited_score(tcn), weights, "another loss was found at k = 8"),
        "copied": (renamed(lstm, "b"), net, "is the same model as 'my-lstm': both have the sha256"),
        "anew": (renamed(lstm, "c", **hashed(anew)), anew, "has the losses of 'my-lstm' in all"),
        "peeking": (renamed(lstm, "d", **hashed(peeks)), peeks, "d on .* is refused: .*causality"),
    }
    for branch, (record, model, reason) in dishonest.items():
        board.pull_request(branch, added(record, model))
        status, text = board.review(branch)
        assert status == 1
        assert re.search(f"^`.*{reason}", text, re.MULTILINE), text
        assert text.count("DIFFERS") == (branch == "edited")
        assert ": confirmed" not in text


def _merge(board: Board, branch: str) -> None:
    """Merge a branch, and do what the workflow then does."""
    before = board.git("rev-parse", "main").strip()
    board.git("merge", "--quiet", branch)
    _, _, place = board.run(before, "main", "review")
    (place / "found").mkdir()
    shutil.copytree(place / "rescored", place / "found" / "rescored")
    board.git("-C", str(place / "board"), "switch", "--quiet", "--detach", "main")
    board.step("add", place)
    board.step("page", place)
    assert "my-lstm" in (place / "site" / "index.html").read_text()
    commit = board.git("-C", str(place / "board"), "rev-parse", "HEAD").strip()
    board.git("merge", "--quiet", commit)


GH = """#!/usr/bin/env bash
# Stands for GitHub's command: one open pull request, number 7, of $SHA_OF_7.
case "$*" in
    *files*) printf '%s\\n' $FILES ;;
    *--method*) [ "$SHA" != "$SHA_OF_7" ] || echo 7 ;;
    "run download "*) mkdir found && cp "$REVIEW" found/review.md ;;
    "pr comment "*) echo "$3: $(cat "$5")" ;;
esac
"""


@pytest.mark.parametrize(
    ("files", "sha", "said"),
    [
        ("submitted/a/b.json submitted/a/b.onnx", "1", "7: a review"),
        ("submitted/a/b.json .github/workflows/review.yml", "1", "not commented"),
        ("submitted/a/b.json", "2", "no open pull request has this commit"),
    ],
)
def test_only_reviews_by_the_boards_own_workflow_are_comments(
    files: str, sha: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "text").write_text("a review")
    facts = {"FILES": files, "SHA": sha, "SHA_OF_7": "1", "REVIEW": str(tmp_path / "text")}
    others = {"RUN": "3", "HEAD": "a:b", "GH_REPO": "a/board"}
    ran = subprocess.run(
        ["bash", "-e", "-c", commands("comment.yml")["comment"]],
        cwd=tmp_path,
        env={**facts, **others, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said in ran.stdout
    assert ("a review" in ran.stdout) == (said == "7: a review")


Change = Callable[[dict[str, Any]], object]


def _set(path: str, value: object) -> Change:
    def change(record: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place: Any = record
        for part in parents:
            place = place[int(part) if part.isdecimal() else part]
        place[last] = value

    return change


REFUSED: tuple[tuple[Change, str], ...] = (
    (_set("created", "2999-01-01"), "is in the future"),
    (_set("task/optimum", 0.5), "says that the optimum of"),
    (_set("curve/0/optimum", 0.5), "says that the optimum at k = 1 of"),
    (_set("task/chance", 9.0), "says that the chance of"),
    (_set("training/budget", "small"), "says of the training that budget is 'small'"),
    (_set("training/k_train", 4), "says of the training that k_train is 4"),
    (_set("model/label", "LSTM"), "is a baseline of seqmem"),
    (_set("model/label", "other"), "belongs at submitted/hidden-markov_dwell=2/submitted-other"),
    (_set("task/id", "text:/etc/passwd"), "is a file of the submitter"),
    (lambda record: record["model"].update(hashed(Path(__file__))), "is not the one of"),
)
# What the file beside a record may not say.
PLACES = ("hf:a/b", "hf:../b@" + "0" * 40, "/etc/passwd", "a.py:build", "`@team` <b>")


def test_false_records_are_not_accepted(models: Models, seqmem_: Command, tmp_path: Path) -> None:
    board, change = tmp_path / "board", tmp_path / "change"
    board.mkdir()
    record, model = models.lstm
    folder = record_directory(change / "submitted", TASK)
    for spoil, reason in REFUSED:
        added(record, model)(change)
        copy = renamed(record, "my-lstm")
        spoil(copy)
        (folder / "submitted-my-lstm.json").write_text(json.dumps(copy | {"trust": "rescored"}))
        ran = seqmem_("review", str(change), "--board", str(board), "--results", "again")
        assert ran.status == 1
        (line,) = re.findall("^`.*`$", ran.out, re.MULTILINE)
        assert reason in line
        assert line.count("`") == 2
        assert not Path("again").exists()
    for place in PLACES:
        (folder / "submitted-my-lstm.json").write_text(json.dumps(record))
        (folder / "submitted-my-lstm.onnx").unlink(missing_ok=True)
        (folder / "submitted-my-lstm.txt").write_text(place)
        ran = seqmem_("review", str(change), "--board", str(board), "--results", "again")
        assert ran.status == 1
        assert "must be one line, hf:OWNER/NAME@COMMIT" in ran.out


def test_only_files_of_records_are_added(seqmem_: Command, tmp_path: Path) -> None:
    path = min(COMMITTED.glob("hidden-markov_dwell=20/*.json"))
    record = json.loads(path.read_text())
    weights = tmp_path / "some.safetensors"
    weights.write_bytes(b"weights")
    board, change = tmp_path / "board", tmp_path / "change"
    for folder in (board, change):
        added(renamed(record, "my-tcn"), weights)(folder)
        (folder / "README.md").write_text("a board")
    (change / "README.md").write_text("another text")

    def review() -> tuple[int, str]:
        ran = seqmem_("review", str(change), "--board", str(board), "--results", "again")
        return ran.status, ran.out

    assert review() == (0, "No records are added or changed.\n")
    folder = record_directory(change / "submitted", record["task"]["id"])
    standing = folder / "submitted-my-tcn.json"
    content = standing.read_text()
    standing.write_text(content + " ")
    status, text = review()
    assert status == 1
    assert "submitted-my-tcn.json`: changed. " in text
    assert "README" not in text
    standing.write_text(content)
    stored = folder / "submitted-my-tcn.safetensors"
    digest = hashed(stored)["sha256"]
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 1\n"
    (board / stored.relative_to(change)).write_text(pointer)
    assert review()[0] == 0
    added(renamed(record, "my-lstm", weights_sha256="1" * 64), weights)(change)
    (folder / "submitted-my-lstm.safetensors").unlink()
    (folder / "submitted-my-lstm.safetensors").symlink_to("/dev/zero")
    status, text = review()
    assert status == 1
    for line in ("submitted-my-lstm.safetensors`: is a link. ", "`README.md`: changed. "):
        assert line in text
    assert "there must be one file, no link, out of" in text
